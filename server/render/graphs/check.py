"""Whether a host would take a graph, asked of its `/object_info` before anything is sent, and said in sentences."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from server.errors import GraphRejected
from server.render.graphs.nodes import File, Graph, Input, Link, Node, Text
from server.render.graphs.offer import Offer

__all__ = ["check"]

_SHOWN = 12
_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "INT": int,
    "FLOAT": (int, float),
    "STRING": (str, Text),
    "BOOLEAN": bool,
}


def check(graph: Graph, offer: Offer) -> None:
    """Nothing where the host has every class and every input is one that it takes. Files are `localise`'s to find.

    Raises:
        GraphRejected: it is not so. `details.problems` has every sentence.
    """
    problems = list(dict.fromkeys(_problems(graph, offer)))
    if problems:
        raise GraphRejected(" ".join(problems[:3]), host=offer.host, problems=problems)


def _problems(graph: Graph, offer: Offer) -> Iterator[str]:
    for node_id, node in graph.nodes.items():
        described = offer.nodes.get(node.kind)
        if not isinstance(described, Mapping):
            yield f"{offer.host} has no node {node.kind}: install the pack it comes from there, then restart it."
            continue
        yield from _of_node(f"{offer.host}: {node_id} ({node.kind})", node, graph, described)


def _of_node(where: str, node: Node, graph: Graph, described: Mapping[str, Any]) -> Iterator[str]:
    inputs = described.get("input") or {}
    required, optional = inputs.get("required") or {}, inputs.get("optional") or {}
    for name in required:
        if name not in node.inputs:
            yield f"{where} wants {name}, which this graph does not have: bring the pack there up to date, or ours."
    for name, value in node.inputs.items():
        if isinstance(value, Link) and value.node not in graph.nodes:
            yield f"{where}: {name} is linked to nothing."
        entry = required.get(name, optional.get(name))
        if entry is None:
            yield f"{where} has no input {name}: bring the pack there up to date."
        elif isinstance(entry, Sequence) and entry:
            yield from _of_input(f"{where}: {name}", value, entry)


def _of_input(where: str, value: Input, entry: Sequence[Any]) -> Iterator[str]:
    """`entry` as `/object_info` has it: `[type or list of choices, options]`."""
    kind, told = entry[0], entry[1] if len(entry) > 1 else {}
    options = told if isinstance(told, Mapping) else {}
    if isinstance(value, File | Link):
        return
    choices = kind if isinstance(kind, list) else options.get("options") if kind == "COMBO" else None
    if isinstance(choices, list):
        if value not in choices:
            shown = ", ".join(map(str, choices[:_SHOWN])) or "nothing"
            yield f"{where} is {value!r}: it must be one of {shown}."
        return
    wanted = _KINDS.get(str(kind))
    if wanted is None or not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        yield f"{where} is {_shown(value)}: it takes {kind}."
    elif isinstance(value, int | float) and not isinstance(value, bool):
        low, high = options.get("min"), options.get("max")
        if isinstance(low, int | float) and value < low:
            yield f"{where} is {value}: it must be at least {low}."
        if isinstance(high, int | float) and value > high:
            yield f"{where} is {value}: it must be at most {high}."


def _shown(value: object) -> str:
    return "text" if isinstance(value, str | Text) else repr(value)
