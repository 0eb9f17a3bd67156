"""Which hosts references may come from: those that the operator named, over https."""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx

from .fetch_errors import FetchingOff, FetchRefused

__all__ = ["HOSTS_VARIABLE", "AllowedHosts", "Place"]

HOSTS_VARIABLE = "VESTIGE_REFERENCE_HOSTS"
_MAX_URL = 8192  # characters; a presigned one has about 2,000
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+", re.ASCII)  # a name in punycode, or an IP address


@dataclass(frozen=True)
class Place:
    """Where one request goes: what was checked is what is connected to. `target` is path and query."""

    host: str
    port: int
    target: bytes

    @property
    def name(self) -> str:
        """As the `Host` header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"

    def __repr__(self) -> str:
        return f"Place({self.host}:{self.port})"  # the target may hold a signature


class AllowedHosts:
    """An allow-list: `shop.example`, `*.cdn.example` (names below it), `shop.example:8443`, `*` (every public host)."""

    def __init__(self, entries: str) -> None:
        """`entries` are separated by commas or spaces; an `https://` before one is as good as none."""
        names = (entry.lower().removeprefix("https://").rstrip("/") for entry in re.split(r"[\s,]+", entries))
        self._entries = frozenset(name.removesuffix(":443") for name in names if name)

    def check(self, url: str | httpx.URL) -> Place:
        """Where `url` leads.

        Raises:
            FetchingOff: no host is allowed.
            FetchRefused: not https, another host or port, or with a user name or password in it.
        """
        if not self._entries:
            raise FetchingOff(
                "no_hosts_allowed",
                f"Fetching is switched off: name the hosts that references may come from in {HOSTS_VARIABLE}, in the "
                f"environment of ComfyUI, and start it again.",
            )
        try:
            parsed = httpx.URL(url)
            too_long = len(str(parsed)) > _MAX_URL
        except (httpx.InvalidURL, TypeError, ValueError):
            raise FetchRefused("bad_url", "This is not an address: copy the whole of it, from https:// on.") from None
        if parsed.scheme != "https":
            raise FetchRefused("not_https", "Only https:// addresses are fetched.")
        host, port = parsed.raw_host.decode("ascii"), 443 if parsed.port is None else parsed.port
        if too_long or not _HOST.fullmatch(host) or not 0 < port < 2**16:
            raise FetchRefused("bad_url", "This is not an address: copy the whole of it, from https:// on.")
        if parsed.userinfo:
            raise FetchRefused("credentials_in_url", "An address with a user name or password in it is not fetched.")
        if not self._allows(host, port):
            raise FetchRefused(
                "host_not_allowed", f"{host}:{port} is not among the hosts in {HOSTS_VARIABLE}: add it there, or "
                f"save the picture and load the file.",
            )  # fmt: skip
        return Place(host, port, parsed.raw_path)

    def _allows(self, host: str, port: int) -> bool:
        labels = host.split(".")
        names = ["*", host, *(".".join(["*", *labels[at:]]) for at in range(1, len(labels)))]
        return any((name if port == 443 else f"{name}:{port}") in self._entries for name in names)
