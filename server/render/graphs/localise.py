"""A graph as one host is sent it: ComfyUI's API format, with files by the names that the host lists."""

from collections.abc import Callable, Sequence

from server.errors import GraphRejected
from server.loras.names import registered, tenant_of_listed
from server.render.graphs.allowed import refuse_unknown
from server.render.graphs.check import check
from server.render.graphs.key import Hashes
from server.render.graphs.nodes import FOLDERS, File, Graph, Input, Link, Text
from server.render.graphs.offer import Offer
from server.render.types import Graph as ApiGraph

__all__ = ["by_catalog", "localise", "missing"]

_PLACES = {"characters": "loras", "references": "input"}
_SHOWN = 8


def localise(graph: Graph, offer: Offer, hashes: Hashes) -> ApiGraph:
    """The graph for that host, checked against what it has.

    Args:
        hashes: what every file's content has to be, over all hosts; a host's own file of that name with another
            content is not taken.

    Raises:
        GraphRejected: the host lacks a file or a node, or would not take a value; the message names both.
    """
    refuse_unknown(graph)
    check(graph, offer)
    lacking = missing(graph, offer, hashes)
    if lacking is not None:
        raise GraphRejected(_sentence(lacking, offer), host=offer.host, folder=lacking.folder, file=lacking.name)

    return _written(graph, lambda file: offer.name(file, _wanted(file, hashes)))


def by_catalog(graph: Graph) -> ApiGraph:
    """The graph for people to read: no host's, with files by the catalog's names."""
    return _written(graph, lambda file: file.name)


def missing(graph: Graph, offer: Offer, hashes: Hashes) -> File | None:
    """The first file of the graph that the host does not have; None where it has them all."""
    return next((file for file in graph.files() if offer.name(file, _wanted(file, hashes)) is None), None)


def _written(graph: Graph, called: Callable[[File], str | None]) -> ApiGraph:
    def local(value: Input) -> object:
        match value:
            case File():
                return called(value)
            case Text():
                return value.value
            case Link():
                return [value.node, value.output]
            case _:
                return value

    return {
        node_id: {
            "class_type": node.kind,
            "inputs": {name: local(value) for name, value in node.inputs.items()},
            "_meta": {"title": node.title},
        }
        for node_id, node in graph.nodes.items()
    }


def _wanted(file: File, hashes: Hashes) -> str | None:
    return file.sha256 or hashes.get((file.folder, file.name))


def _sentence(file: File, offer: Offer) -> str:
    what, place = FOLDERS[file.folder], _PLACES.get(file.folder, file.folder)
    listed = _listed_for(file, offer)
    shown = ", ".join(listed[:_SHOWN]) + (f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else "")
    same = [one for one in offer.listed(file.folder) if one.replace("\\", "/") == file.name]
    if same:
        return (
            f"{offer.host} has another file under the name of the {what} {file.name!r} than the other hosts: "
            f"copy theirs into its models/{place}."
        )
    choose = f"or choose one of {shown}" if listed else "there is none yet"
    return f"{offer.host} has no {what} {file.name!r}: put it into its models/{place}, {choose}."


def _listed_for(file: File, offer: Offer) -> Sequence[str]:
    """What the host has in place of a file, to be named to whose the file is: no other tenant's characters."""
    listed = offer.listed(file.folder)
    if file.folder not in ("loras", "characters"):
        return listed
    tenant, _ = registered(file.name)
    return [one for one in listed if tenant_of_listed(one) == tenant]
