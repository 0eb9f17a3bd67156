"""Serves the page: every file is read once, kept in memory and addressed by the hash of all of them.

`/static/<version>/…` can be cached for ever: relative imports between modules stay inside one version, so a browser
never mixes two. The page itself (`/`) is small and revalidated by its strong ETag. A request's path is only ever a
key of a dict, never a path on the disk.
"""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from server.errors import NotFound

__all__ = ["CONTENT_SECURITY_POLICY", "IMAGE_ORIGIN", "Asset", "Page", "routes"]

ROOT = Path(__file__).parent / "static"

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # The one function that turns a server-rendered message into nodes is the only holder of this policy.
        "require-trusted-types-for 'script'",
        "trusted-types vestige-message",
    )
)

IMAGE_ORIGIN: web.AppKey[str | None] = web.AppKey("image_origin")
"""Where pictures come from beside this server: the object store's origin, None for a folder."""

_TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}
_COMPRESSIBLE = frozenset({".css", ".js", ".svg", ".webmanifest", ".html"})
_FOREVER = "public, max-age=31536000, immutable"
_REVALIDATE = "no-cache"

_COMMON_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_PAGE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent. `etag` is the sha256 of `body`, without quotes; `packed` is `body` gzipped."""

    body: bytes
    packed: bytes | None
    content_type: str
    etag: str

    @classmethod
    def of(cls, body: bytes, suffix: str, content_type: str) -> "Asset":
        packed = gzip.compress(body, 9, mtime=0) if suffix in _COMPRESSIBLE else None
        if packed is not None and len(packed) >= len(body):
            packed = None
        return cls(body, packed, content_type, hashlib.sha256(body).hexdigest())


class Page:
    """The page's files. `version` is 16 hex digits that change when any of them does.

    Args:
        root: the folder with all files, `index.html` among them, which only `/` serves.

    Raises:
        ValueError: a file whose type is not known lies in the folder.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self.assets: dict[str, Asset] = {}
        page = root / "index.html"
        for path in sorted(root.rglob("*")):
            if path.is_symlink() or not path.is_file() or path == page:
                continue
            if path.suffix not in _TYPES:
                raise ValueError(f"no content type is known for {path.relative_to(root)}")
            name = path.relative_to(root).as_posix()
            self.assets[name] = Asset.of(path.read_bytes(), path.suffix, _TYPES[path.suffix])
        listing = "\n".join(f"{name} {asset.etag}" for name, asset in self.assets.items())
        self.version = hashlib.sha256(listing.encode()).hexdigest()[:16]
        self.index = Asset.of(self._index(page), ".html", "text/html; charset=utf-8")

    def _index(self, path: Path) -> bytes:
        base = f"/static/{self.version}"
        preload = "\n".join(
            f'<link rel="modulepreload" href="{base}/{name}">'
            for name in self.assets
            if name.endswith(".js") and name != "early.js"
        )
        text = path.read_text("utf-8").replace("{{preload}}", preload).replace("{{static}}", base)
        return text.encode()


def _respond(request: web.Request, asset: Asset, cache: str, extra: Mapping[str, str]) -> web.Response:
    packed = asset.packed is not None and "gzip" in request.headers.get("Accept-Encoding", "").lower()
    # Two encodings are two representations, so a strong ETag must tell them apart.
    etag = f"{asset.etag}-gz" if packed else asset.etag
    headers = {**_COMMON_HEADERS, **extra, "Cache-Control": cache, "ETag": f'"{etag}"', "Vary": "Accept-Encoding"}
    seen = request.if_none_match or ()
    if any(tag.value in (etag, "*") for tag in seen):
        return web.Response(status=304, headers=headers)
    headers["Content-Type"] = asset.content_type
    if packed:
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=asset.packed if packed else asset.body, headers=headers)


def routes(page: Page) -> list[web.RouteDef]:
    """`GET /` and `GET /static/<version>/<name>`; neither needs a credential.

    Raises:
        NotFound: (from the handler) a name that is not one of the page's files, or another version's.
    """

    async def index(request: web.Request) -> web.Response:
        headers = dict(_PAGE_HEADERS)
        if elsewhere := request.app.get(IMAGE_ORIGIN):
            headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY.replace("blob:", f"blob: {elsewhere}")
        return _respond(request, page.index, _REVALIDATE, headers)

    async def static(request: web.Request) -> web.Response:
        asset = page.assets.get(request.match_info["name"])
        if asset is None or request.match_info["version"] != page.version:
            raise NotFound("There is no such file. Reload the page if it was open while the server was updated.")
        return _respond(request, asset, _FOREVER, {})

    return [web.get("/", index), web.get("/static/{version}/{name:.+}", static)]
