"""What the server answers: the operations of all its parts, in the order of its document."""

from server.api import (
    admin,
    backup,
    catalog_exchange,
    characters,
    chat,
    companion,
    complete,
    fleet,
    inventory,
    items,
    jobs,
    looks,
    lora_grids,
    loras,
    memory,
    openai,
    ops,
    pictures,
    previews,
    references,
    routing,
    session,
    usage,
    usage_table,
    worn,
)
from server.api.routes import Route

__all__ = ["all_routes"]


def all_routes() -> list[Route]:
    chatting = (session, chat, pictures, openai, complete, memory, companion, characters)
    dressing = (looks, worn, items, inventory, references, catalog_exchange, previews, jobs, loras, lora_grids)
    parts = (*chatting, *dressing, usage, usage_table, routing, fleet, backup, admin, ops)
    return [route for part in parts for route in part.routes()]
