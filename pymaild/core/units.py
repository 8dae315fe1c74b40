"""Sizes and durations as people write them: 64KiB, 100MiB, 60s, 30m."""

from __future__ import annotations

import re

SIZE_UNITS: dict[str, int] = {
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
}
DURATION_UNITS: dict[str, float] = {
    "ms": 0.001,
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86400,
    "w": 604800,
}

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", re.ASCII)


def parse_size(text: str) -> int:
    """Return octets. Raises ValueError with a sentence that names the units."""
    number, unit = _split(text, "a size", SIZE_UNITS, "B")
    return int(number * SIZE_UNITS[unit])


def parse_duration(text: str) -> float:
    """Return seconds. Raises ValueError with a sentence that names the units."""
    number, unit = _split(text, "a duration", DURATION_UNITS, "s")
    return number * DURATION_UNITS[unit]


def format_size(octets: int) -> str:
    """Write octets in the largest unit that divides them: 65536 is 64KiB."""
    return _format(octets, SIZE_UNITS)


def format_duration(seconds: float) -> str:
    """Write seconds in the largest unit up to days that divides them: 1800 is 30m."""
    units = {name: count for name, count in DURATION_UNITS.items() if name != "w"}
    return "0s" if seconds == 0 else _format(seconds, units)


def human_size(octets: float) -> str:
    """Write octets for a table: three figures or so, as 1.4MiB."""
    for unit, count in reversed(SIZE_UNITS.items()):
        if octets >= count and count > 1:
            return f"{octets / count:.1f}{unit}"
    return f"{octets:.0f}B"


def _split(
    text: str, what: str, units: dict[str, int] | dict[str, float], bare: str
) -> tuple[float, str]:
    found = _QUANTITY.fullmatch(text.strip())
    unit = found[2] or bare if found else ""
    if found is None or unit not in units:
        raise ValueError(f"{text!r} is not {what}; write a number with {', '.join(units)}")
    return float(found[1]), unit


def _format(amount: float, units: dict[str, int] | dict[str, float]) -> str:
    for name, count in reversed(units.items()):
        if amount >= count and (amount / count).is_integer():
            return f"{round(amount / count)}{name}"
    return f"{amount:g}" + next(iter(name for name, count in units.items() if count == 1))
