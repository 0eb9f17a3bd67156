"""Which IP addresses are on the public internet, and so may be asked for a picture.

Everything else is refused: this machine, its network, a cloud's metadata service (169.254.169.254), and whatever form
such an address can be written in. Registries: IANA IPv4 and IPv6 Special-Purpose Address Registries, RFC 6890.
"""

from __future__ import annotations

import ipaddress

__all__ = ["is_public"]

_UNICAST = ipaddress.ip_network("2000::/3")  # all of IPv6 that is given out for the internet (RFC 4291)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_NEVER = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",  # protocols' own, RFC 6890; some of it counts as global in older Pythons
        "192.88.99.0/24",  # 6to4 relays, RFC 7526
        "2001::/23",  # Teredo and other protocols' own, RFC 2928
        "2002::/16",  # 6to4: an IPv4 address in disguise, RFC 3056
        "3fff::/20",  # documentation, RFC 9637
    )
)


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
