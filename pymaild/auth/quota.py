"""Limits of one user as a passwd-file writes them."""

from __future__ import annotations

from pymaild.core.units import SIZE_UNITS

#: RFC 9208 §5, by the word of a rule.
RESOURCES = {"storage": "STORAGE", "messages": "MESSAGE", "mailboxes": "MAILBOX"}
LARGEST = (1 << 63) - 1  # RFC 9208 §3.1.2

_FACTORS = {unit[0].upper(): factor for unit, factor in SIZE_UNITS.items()} | SIZE_UNITS


def parse(text: str) -> dict[str, int]:
    """Read ``1G``, or ``storage=1G:messages=5000:mailboxes=100``; STORAGE is returned in KiB.

    0 takes a limit away (there is none then), as in the settings. Raises ValueError.
    """
    found = {}
    for word in text.split(":"):
        name, divider, value = word.rpartition("=")
        resource = RESOURCES.get(name.lower() if divider else "storage")
        if resource is None:
            raise ValueError(f"quota: {name!r} is none of {', '.join(RESOURCES)}")
        number = _number(value, resource == "STORAGE")
        found[resource] = number
    return found


def _number(text: str, octets: bool) -> int:
    digits = text.rstrip("BKMGTibkmgt")
    unit = text[len(digits) :]
    factor = _FACTORS.get(unit) or _FACTORS.get(unit.upper()) if unit else 1
    if not digits.isdecimal() or not digits.isascii() or not factor or (unit and not octets):
        raise ValueError(f"quota: {text!r} is no number, or has no unit of {', '.join(SIZE_UNITS)}")
    number = int(digits[:20]) * factor
    return min(-(-number // 1024) if octets else number, LARGEST)
