"""A host's refusal of a graph as sentences a person can act on."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from server.errors import GraphRejected

MAX_SENTENCES = 6
MAX_LIST = 12
_CLASS_MISSING = ("invalid_prompt", "missing_node_type")


def rejection(host: str, body: bytes) -> GraphRejected:
    """The error for the body that came with status 400 of `POST /prompt`. `details.nodes` has it by node id."""
    try:
        report = json.loads(body)
    except ValueError:
        report = {}
    error = report.get("error") if isinstance(report, dict) else None
    nodes = report.get("node_errors") if isinstance(report, dict) else None
    sentences = list(_sentences(nodes)) if isinstance(nodes, Mapping) else []
    if not sentences:
        sentences = [_whole(error)]
    shown = " ".join(sentences[:MAX_SENTENCES])
    return GraphRejected(f"{host} refuses the graph. {shown}", nodes=nodes or {})


def _whole(error: object) -> str:
    """What is wrong with the graph as such; ComfyUI names an unknown class here."""
    if not isinstance(error, Mapping):
        return "It does not say why."
    message, extra = str(error.get("message") or ""), error.get("extra_info")
    named = re.search(r"node (\S+) does not exist", message)  # v0.8 and before
    name = named[1] if named else extra.get("class_type") if isinstance(extra, Mapping) else None
    if error.get("type") in _CLASS_MISSING and name:
        return f"It has no node {name}: install the pack it comes from there."
    return f"{message.rstrip('.')}."


def _sentences(nodes: Mapping[str, Any]) -> Iterator[str]:
    for node_id, found in nodes.items():
        if not isinstance(found, Mapping):
            continue
        where = f"Node {node_id} ({found.get('class_type')})"
        for error in found.get("errors") or ():
            if isinstance(error, Mapping):
                yield f"{where}: {_sentence(error)}"


def _sentence(error: Mapping[str, Any]) -> str:
    extra = error.get("extra_info")
    extra = extra if isinstance(extra, Mapping) else {}
    name, given = extra.get("input_name"), extra.get("received_value")
    match error.get("type"):
        case "required_input_missing":
            return f"{name} is missing."
        case "value_not_in_list":
            return f"{name} is {given!r}, which is not there.{_choices(extra.get('input_config'))}"
        case _:
            message, details = str(error.get("message") or "is wrong"), str(error.get("details") or "")
            return f"{name or 'an input'}: {message}{f' ({details})' if details and details != name else ''}."


def _choices(config: object) -> str:
    """What would be right, where the host says it and the list is short."""
    first = config[0] if isinstance(config, list) and config else None
    options = first if isinstance(first, list) else None
    if options is None and isinstance(config, list) and len(config) > 1 and isinstance(config[1], Mapping):
        options = config[1].get("options")
    if not isinstance(options, list) or len(options) > MAX_LIST:
        return ""
    return f" There is: {', '.join(map(str, options))}." if options else " There is none."
