"""A preview's key: the hash of its graph, with the content of every file in place of its name.

Two graphs have the same key exactly where they make the same picture, on whatever host: nothing of ids, titles, order
or names of files is in it. A node's hash is that of its class and inputs, where a link stands as the hash of the node
it comes from; the key is the hash of the node that saves the picture.
"""

import hashlib
import json
from collections.abc import Mapping

from server.render.graphs.allowed import ALLOWED
from server.render.graphs.nodes import File, Graph, Input, Link, Text

__all__ = ["Hashes", "content_id", "preview_key", "unverified"]

Hashes = Mapping[tuple[str, str], str | None]
"""`(folder, name)` → sha256 of the file's bytes, None or missing where no host told."""

_VERSION = "vestige preview 1"


def preview_key(graph: Graph, hashes: Hashes) -> str:
    """64 hex digits. A file whose hash nobody knows counts by its name; see `unverified`."""
    known: dict[str, str] = {}

    def digest(node_id: str) -> str:
        if node_id not in known:
            node = graph.nodes[node_id]
            names = ALLOWED[node.kind].names
            inputs = {name: said(value) for name, value in node.inputs.items() if name not in names}
            text = json.dumps([_VERSION, node.kind, inputs], sort_keys=True, separators=(",", ":"))
            known[node_id] = hashlib.sha256(text.encode()).hexdigest()
        return known[node_id]

    def said(value: Input) -> object:
        match value:
            case Link():
                return {"from": digest(value.node), "output": value.output}
            case File():
                return {"file": content_id(value, hashes)}
            case Text():
                return {"text": value.value}
            case float() if value.is_integer():
                return int(value)  # 5.0 and 5 are one number to a host
            case _:
                return value

    return digest(graph.output)


def content_id(file: File, hashes: Hashes) -> str:
    """A file by what is in it: its sha256, or `name:…` where no host told."""
    sha256 = file.sha256 or hashes.get((file.folder, file.name))
    return f"sha256:{sha256}" if sha256 else f"name:{file.folder}/{file.name}"


def unverified(graph: Graph, hashes: Hashes) -> tuple[File, ...]:
    """The files that count by their names alone, for the record."""
    return tuple(file for file in graph.files() if content_id(file, hashes).startswith("name:"))
