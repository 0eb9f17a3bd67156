"""Serving pictures out of the object store: as they are, or by a link to S3 that outlives the page."""

from pathlib import PurePosixPath

from aiohttp import web

from server.stores.objects import CONTENT_TYPES, Objects

__all__ = ["LINK_SECONDS", "MOST_BYTES", "picture_response"]

LINK_SECONDS = 86_400
"""How long a link that is given out lasts at least: a page may stay open for a day."""
MOST_BYTES = 32 * 1024 * 1024
"""Of one picture."""

_FOREVER = "private, max-age=31536000, immutable"
# Whatever it is that a browser takes it for, it runs nothing and belongs to no origin.
_POLICY = "default-src 'none'; sandbox"


async def picture_response(
    request: web.Request, objects: Objects, path: str, *, etag: str, own: bool = False
) -> web.StreamResponse:
    """The picture at `path`, whose address never shows another one.

    The caller has looked whether who asks may see it: this does not. `etag` is the content's hash or key. `own`: it is
    one person's, and leaves by no link, since a link works for whoever has it and cannot be taken back. Shared caches
    keep none: every picture needs a credential.

    Raises:
        NotFound: it is not there (any more).
        StoreUnavailable: the store does not answer.
    """
    headers = {"ETag": f'"{etag}"', "Cache-Control": _FOREVER, "Content-Security-Policy": _POLICY}
    if any(tag.value in (etag, "*") for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    if not own and (link := await objects.link(path, LINK_SECONDS)) is not None:
        # as long as the browser remembers it, the link works
        return web.Response(status=302, headers={"Location": link, "Cache-Control": f"private, max-age={LINK_SECONDS}"})
    content = await objects.get(path, most=MOST_BYTES)
    return web.Response(body=content, content_type=CONTENT_TYPES[PurePosixPath(path).suffix], headers=headers)
