"""Removing everything of a person, whatever part of the server has it."""

from server.api.keys import Erase, Erasure
from server.catalog.catalog import Catalog
from server.catalog.references import References
from server.catalog.store import CharacterStore
from server.chat.pictures.service import ChatPictures
from server.chat.service import ChatService
from server.render.previews.open import Pictures
from server.routing.ledger.ledger import Ledger

__all__ = ["eraser"]


def eraser(
    chat: ChatService,
    in_chat: ChatPictures,
    characters: CharacterStore,
    catalog: Catalog,
    references: References,
    made_pictures: Pictures,
    ledger: Ledger,
) -> Erase:
    """Conversations go last: only then are the store's files written anew, without all that went before. By then hosts
    were told to forget what they have, and those that answer had a moment to."""
    previews, forgetting = made_pictures.previews, made_pictures.forgetting

    async def erase(tenant: str, user: str) -> Erasure:
        await ledger.forget(tenant, user)
        for character in await characters.owned(tenant, user):
            await catalog.looks.delete(tenant, character.id)
        made = await characters.delete_owned(tenant, user)
        worn = await catalog.erase(tenant, user)
        renders = await previews.erase(tenant, user)  # before the references that their jobs would ask for
        pictures = await references.erase(tenant, user, catalog.items.shown)
        await in_chat.erase(tenant, user)
        deleted = await chat.delete_user(tenant, user)
        late = await previews.erase(tenant, user)  # a turn that was under way may have asked for one since
        await ledger.forget(tenant, user)  # and a reply may have made an attempt
        counts = {"conversations": deleted.conversations, "messages": deleted.messages, "characters": made}
        counts |= {**worn, "references": len(pictures), "previews": renders.previews + late.previews}
        return Erasure(counts, await forgetting.left(renders.keys | late.keys, pictures))

    return erase
