"""A preset's pins against what a node is wired to: before anything loads from the graph, and again once it has."""

from __future__ import annotations

from comfy_api.latest import io
from comfy_execution.utils import get_executing_context

from ...host import prompt_server
from ..pins import Loaded, PinsError, check_pins
from ..presets.record import UNPINNED
from ..sockets import OutfitModels
from ..tuning import Tuning
from .graph import adapter_behind, checkpoint_behind, encoder_behind, sha256_of

__all__ = ["EVENT", "check_before_loading", "check_loaded"]

EVENT = "vestige.misfits"


def check_before_loading(hidden: io.HiddenHolder, tuning: Tuning) -> None:
    """Compares the pins with the files that inputs `model` and `models` will be loaded from, as far as the graph tells.

    Only what is pinned is looked at; a hash that is not remembered costs one reading of the file.

    Raises:
        PinsError: they differ, and the tuning refuses that.
        ModelFileError: a file that is pinned cannot be read.
    """
    adapter = adapter_behind(hidden) if tuning.pins.adapter else None
    encoder = encoder_behind(hidden) if tuning.pins.encoder else None
    _check(
        hidden,
        tuning,
        adapter=None if adapter is None else sha256_of(adapter),
        encoder=None if encoder is None else sha256_of(encoder),
    )


def check_loaded(hidden: io.HiddenHolder, tuning: Tuning, models: OutfitModels) -> None:
    """Compares the pins with an adapter and encoder that are loaded, and the checkpoint as the graph tells it.

    Raises:
        PinsError, ModelFileError: as `check_before_loading`.
    """
    _check(hidden, tuning, adapter=models.adapter.sha256, encoder=models.encoder_sha256)


def _check(hidden: io.HiddenHolder, tuning: Tuning, *, adapter: str | None, encoder: str | None) -> None:
    if tuning.pins == UNPINNED:
        _tell(hidden, [])
        return
    checkpoint = checkpoint_behind(hidden, hashed=tuning.pins.base is not None)
    loaded = Loaded(adapter=adapter, encoder=encoder)
    if checkpoint is not None:
        loaded = Loaded(checkpoint.lineage, checkpoint.sha256, adapter, encoder)
    try:
        found = check_pins(tuning, loaded)
    except PinsError as error:
        _tell(hidden, [str(error)])
        raise
    _tell(hidden, [str(misfit) for misfit in found])


def _tell(hidden: io.HiddenHolder, misfits: list[str]) -> None:
    """For the badge on the node, in the editor that runs this graph. What a node expanded into leaves it alone."""
    if hidden.dynprompt.get_parent_node_id(hidden.unique_id) is not None:
        return
    server, context = prompt_server(), get_executing_context()
    told = {
        "prompt_id": None if context is None else context.prompt_id,
        "node": hidden.unique_id,
        "misfits": misfits,
    }
    server.send_sync(EVENT, told, server.client_id)
