"""Whether a host has all that a render needs."""

from collections.abc import Sequence

from server.errors import GraphRejected
from server.render.fleet.types import Needs
from server.render.graphs.check import check
from server.render.graphs.key import Hashes, content_id
from server.render.graphs.localise import localise
from server.render.graphs.nodes import File, Graph
from server.render.graphs.offer import Offer

__all__ = ["fits", "needs_of", "refusal"]

_PUSHED = ("loras", "characters")


def needs_of(graph: Graph, files: Hashes, *, urgent: bool, since: float) -> Needs:
    """What a graph needs: its classes, its models with the content they must have, and who waits for it."""
    models = [file for file in graph.files() if file.folder != "references"]
    wanted = [File(file.folder, file.name, file.sha256 or files.get((file.folder, file.name))) for file in models]
    return Needs(
        classes=tuple(sorted(graph.classes())),
        files=tuple(wanted),
        models=tuple(sorted(f"{file.folder}/{content_id(file, files)}" for file in models)),
        urgent=urgent,
        since=since,
    )


def fits(needs: Needs, offer: Offer, *, pushes: bool, graph: Graph | None = None) -> bool:
    """Whether the host could run it; with a `graph`, its values are looked at too.

    `pushes`: its pack takes LoRAs from us, so one with a known hash need not be there.
    """
    if any(kind not in offer.nodes for kind in needs.classes):
        return False
    for file in needs.files:
        pushed = pushes and file.folder in _PUSHED and file.sha256 is not None
        if not pushed and offer.name(file, file.sha256) is None:
            return False
    if graph is not None:
        try:
            check(graph, offer)
        except GraphRejected:
            return False
    return True


def refusal(graph: Graph, offers: Sequence[Offer], files: Hashes) -> GraphRejected:
    """Why none of the hosts can run it, one sentence for each of the first."""
    said: list[str] = []
    for offer in offers[:4]:
        try:
            localise(graph, offer, files)
        except GraphRejected as error:
            said.append(error.message)
    return GraphRejected(
        " ".join(dict.fromkeys(said)) or "No host can run this graph.", hosts=[one.host for one in offers]
    )
