"""The delay of failed logins, by address.

The delay doubles with each failure of an address and is forgotten when the address has been
quiet for a while. It is part of the answer: the session holds its reply back, so that logins
that succeed are never slowed down, whoever else is behind the same address.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

from pymaild.auth.settings import AuthSettings

#: Addresses that are remembered; beyond, the one that was quiet for longest is forgotten.
LARGEST_TABLE = 10_000
_IPV6_PREFIX = 64  # who has one address of a /64 has them all (RFC 6177 §2)


class Penalties:
    """Failures by address; times are seconds of any monotonic clock."""

    def __init__(self, settings: AuthSettings) -> None:
        self._base = settings.failure_delay
        self._most = settings.failure_delay_max
        self._memory = settings.failure_memory
        self._table: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._table)

    def fail(self, address: str, now: float) -> float:
        """Count a failure; returns the delay of its answer in seconds."""
        place = network(address)
        count, last = self._table.pop(place, (0, now))
        count = count + 1 if now - last < self._memory else 1
        self._table[place] = (count, now)
        if len(self._table) > LARGEST_TABLE:
            self._table.popitem(last=False)
        return float(min(self._base * 2.0 ** min(count - 1, 32), self._most))


def network(address: str) -> str:
    """Return what is punished together: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""  # Unix sockets: whoever is behind the same front end
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed), _IPV6_PREFIX), strict=False))
