"""Where a picture may be fetched from: https, a usual port, and an address of the public internet.

Everything else is refused: this machine, its network, a cloud's metadata service (169.254.169.254), and whatever form
such an address can be written in. Registries: IANA IPv4 and IPv6 Special-Purpose Address Registries, RFC 6890.
"""

import ipaddress
import re
from dataclasses import dataclass

import httpx

from server.errors import InvalidReference

__all__ = ["Place", "is_public", "place_of"]

PORTS = frozenset({443, 8443})
_LONGEST = 8_192  # characters; a presigned one has about 2,000
_HOST = re.compile(r"[a-z0-9._-]{1,253}|[0-9a-f:.]{2,45}", re.ASCII)  # a name in punycode, or an IP address
_UNICAST = ipaddress.ip_network("2000::/3")  # all of IPv6 that is given out for the internet (RFC 4291)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # the last 32 bits are an IPv4 address (RFC 6052)
_NEVER = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",  # protocols' own (RFC 6890); some of it counts as global in older Pythons
        "192.88.99.0/24",  # 6to4 relays (RFC 7526)
        "2001::/23",  # Teredo and other protocols' own (RFC 2928)
        "2002::/16",  # 6to4: an IPv4 address in disguise (RFC 3056)
        "3fff::/20",  # documentation (RFC 9637)
    )
)


@dataclass(frozen=True, slots=True)
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

    def elsewhere(self, location: str) -> "Place":
        """Where a redirect from here leads, checked like a first address.

        Raises:
            InvalidReference: as `place_of`.
        """
        here = httpx.URL(scheme="https", host=self.host, port=self.port, raw_path=self.target)
        try:
            return place_of(here.join(location))
        except httpx.InvalidURL:
            raise _no_address() from None

    def __repr__(self) -> str:
        return f"Place({self.host}:{self.port})"  # the target may hold a signature


def place_of(url: str | httpx.URL) -> Place:
    """Where `url` leads.

    Raises:
        InvalidReference: no address, not https, another port, or a user name or password in it.
    """
    try:
        parsed = httpx.URL(url)
        host, port = parsed.raw_host.decode("ascii"), 443 if parsed.port is None else parsed.port
        too_long = len(str(parsed)) > _LONGEST
    except (httpx.InvalidURL, TypeError, ValueError):
        raise _no_address() from None
    if parsed.scheme != "https":
        raise InvalidReference("Only addresses that begin with https:// are fetched.", reason="not_https")
    if too_long or not _HOST.fullmatch(host):
        raise _no_address()
    if parsed.userinfo:
        raise InvalidReference(
            "An address with a user name or password in it is not fetched.", reason="credentials_in_url"
        )
    if port not in PORTS:
        raise InvalidReference("Only the ports 443 and 8443 are fetched from.", reason="port")
    return Place(host, port, parsed.raw_path)


def is_public(address: str) -> bool:
    """Whether an address, as a resolver gives it, is one of the public internet."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip not in _UNICAST:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not any(ip in network for network in _NEVER)


def _no_address() -> InvalidReference:
    return InvalidReference("This is not an address: copy the whole of it, from https:// on.", reason="bad_url")
