"""Graphs with slots, from `workflows/api/`: which slots they have, and how they are filled.

A template is a graph in ComfyUI's API format. A slot is an input whose whole value is the string `"<tune:NAME>"`; the
same name may stand in several places. A node whose `_meta` says `"optional": true` can be left out: what came from its
n-th output then comes from what its n-th linked input came from, as with a bypassed node in the editor.
"""

import json
import math
import re
import sysconfig
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.render.graphs.nodes import File, Text
from server.render.types import Graph

__all__ = ["FOLDER", "Template", "TemplateError", "Value", "read_template"]

_CHECKOUT = Path(__file__).parents[2] / "workflows" / "api"
_INSTALLED = Path(sysconfig.get_path("data")) / "share" / "vestige" / "workflows" / "api"
FOLDER = _CHECKOUT if _CHECKOUT.is_dir() else _INSTALLED
Value = str | int | float | bool
_SLOT = re.compile(r"<tune:([a-z0-9_]+)>")


class TemplateError(ValueError):
    """A template that cannot be read, or values that do not fit its slots."""


@dataclass(frozen=True)
class Template:
    """A graph with slots. `nodes` is as in the file, titles included."""

    name: str
    nodes: Graph

    @property
    def slots(self) -> frozenset[str]:
        """The names of all slots."""
        return frozenset(slot for node in self.nodes.values() for slot in _slots(node))

    @property
    def optional(self) -> frozenset[str]:
        """The ids of the nodes that can be left out."""
        return frozenset(name for name, node in self.nodes.items() if node.get("_meta", {}).get("optional") is True)

    def slot(self, node: str, name: str) -> str | None:
        """The slot that is the input `name` of a node; None where it is a fixed value or a link."""
        return _slot(self.nodes[node]["inputs"][name])

    def fill(self, values: Mapping[str, Value | File | Text], leave_out: Collection[str] = ()) -> Graph:
        """The graph, ready to be submitted.

        Args:
            values: by slot, for every node that stays. They are values and nothing else: text that looks like a slot
                stays text, and a list, which ComfyUI would take for a link, is refused. Typed values of
                `render.graphs.nodes` stay what they are.
            leave_out: ids of optional nodes; values for their slots are not looked at.

        Raises:
            TemplateError: a slot without a value, a value without a slot, a value of another type, a node that cannot
                be left out.
        """
        fixed = set(leave_out) - self.optional
        if fixed:
            raise TemplateError(f"{self.name} cannot do without {_listed(fixed)}.")
        kept = {name: node for name, node in self.nodes.items() if name not in leave_out}
        slots = {slot for node in kept.values() for slot in _slots(node)}
        if slots - values.keys():
            raise TemplateError(f"{self.name} has no value for {_listed(slots - values.keys())}.")
        if values.keys() - self.slots:
            raise TemplateError(f"{self.name} has no slot for {_listed(values.keys() - self.slots)}.")
        odd = {name for name, value in values.items() if not _is_value(value)}
        if odd:
            raise TemplateError(f"{self.name} takes text, finite numbers, true and false: not so {_listed(odd)}.")

        def filled(value: Any) -> Any:
            slot = _slot(value)
            return values[slot] if slot is not None else self._past(value, leave_out)

        return {
            name: {**node, "inputs": {key: filled(value) for key, value in node["inputs"].items()}}
            for name, node in kept.items()
        }

    def _past(self, value: Any, left_out: Collection[str]) -> Any:
        """The same value, or the link that reaches past the nodes that were left out."""
        while isinstance(value, list) and value[0] in left_out:
            value = _links(self.nodes[value[0]])[value[1]]
        return value


def read_template(name: str, folder: Path = FOLDER) -> Template:
    """A template by its file's name, without `.json`.

    Raises:
        TemplateError: there is no such file, or it is no graph whose links lead to its own nodes.
    """
    path = folder / f"{name}.json"
    try:
        nodes = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TemplateError(f"{path} cannot be read: {error}") from error
    if not isinstance(nodes, dict) or not all(_is_node(node) for node in nodes.values()):
        raise TemplateError(f"{path} is no graph in the API's format: export it with 'Export (API)'.")
    for node_id, node in nodes.items():
        for key, value in node["inputs"].items():
            if isinstance(value, list) and not (len(value) == 2 and value[0] in nodes and type(value[1]) is int):
                raise TemplateError(f"{path}: {key} of {node_id} is linked to nothing ({value}).")
    template = Template(name, nodes)
    for source, output in (link for node in nodes.values() for link in _links(node)):
        if source in template.optional and output >= len(_links(nodes[source])):
            raise TemplateError(f"{path}: {source} cannot be optional, for nothing goes into its output {output}.")
    return template


def _is_node(node: object) -> bool:
    return isinstance(node, dict) and isinstance(node.get("class_type"), str) and isinstance(node.get("inputs"), dict)


def _is_value(value: object) -> bool:
    return isinstance(value, (str, int, File, Text)) or (isinstance(value, float) and math.isfinite(value))


def _slot(value: object) -> str | None:
    match = _SLOT.fullmatch(value) if isinstance(value, str) else None
    return match[1] if match else None


def _slots(node: Mapping[str, Any]) -> Iterator[str]:
    for value in node["inputs"].values():
        slot = _slot(value)
        if slot is not None:
            yield slot


def _links(node: Mapping[str, Any]) -> list[list[Any]]:
    return [value for value in node["inputs"].values() if isinstance(value, list)]


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
