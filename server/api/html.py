"""Messages as HTML, each text rendered once."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Iterable

from server.markdown import render

INLINE_CHARACTERS = 3_000
"""More than this is rendered in a thread: it would hold up every other stream."""


class Html:
    """Keeps what was rendered lately, by the hash of its text; at most `capacity` characters of HTML."""

    def __init__(self, capacity: int = 8_000_000) -> None:
        self._capacity = capacity
        self._rendered: OrderedDict[bytes, str] = OrderedDict()
        self._held = 0

    async def render(self, texts: Iterable[str]) -> dict[str, str]:
        """HTML by text. See `server.markdown.render` for what it is safe from."""
        keys = {text: hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts}
        missing = [text for text, key in keys.items() if key not in self._rendered]
        if sum(map(len, missing)) > INLINE_CHARACTERS:
            new = await asyncio.to_thread(lambda: list(map(render, missing)))
        else:
            new = list(map(render, missing))
        fresh = dict(zip(missing, new, strict=True))
        out = {text: fresh[text] if text in fresh else self._known(key) for text, key in keys.items()}
        for text, html in fresh.items():
            self._keep(keys[text], html)
        return out

    def _known(self, key: bytes) -> str:
        self._rendered.move_to_end(key)
        return self._rendered[key]

    def _keep(self, key: bytes, html: str) -> None:
        if key not in self._rendered:
            self._rendered[key] = html
            self._held += len(html)
        while self._held > self._capacity:
            _, dropped = self._rendered.popitem(last=False)
            self._held -= len(dropped)
