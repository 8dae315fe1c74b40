"""The Date field as a moment (RFC 5256 §2.2; RFC 5322 §3.3 and §4.3)."""

from __future__ import annotations

import re
from datetime import date

_LONGEST = 200  # octets of a value that are looked at
_COMMENT = re.compile(r"\([^()]*+\)")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(?P<month>" + "|".join(_MONTHS) + r")[a-z]*+\.?"
_WEEKDAY = r"\s*+(?:[a-z]++\.?\s*+,?\s*+)?+"
_CLOCK = r"(?:[\s,t]+(?P<clock>[0-9:.]+)\s*+(?P<zone>[-+]?[0-9a-z]++)?)?"

#: The order of RFC 5322, then that of C's asctime, which some programs write.
_SHAPES = (
    re.compile(rf"{_WEEKDAY}(?P<day>[0-9]{{1,2}})[\s-]+{_MONTH}[\s,-]+(?P<year>[0-9]++){_CLOCK}"),
    re.compile(
        rf"{_WEEKDAY}{_MONTH}\s+(?P<day>[0-9]{{1,2}})\s+(?P<clock>[0-9:]+)"
        r"(?:\s+(?P<zone>[-+][0-9]++|[a-z]++))?\s+(?P<year>[0-9]{4})"
    ),
)
_OFFSET = re.compile(r"([-+])([0-9]{2})([0-9]{2})")
_TIME = re.compile(r"([0-9]{1,2})[:.]([0-9]{1,2})(?:[:.]([0-9]{1,2}))?")
_EPOCH = date(1970, 1, 1).toordinal()

#: Zones with a name, in hours from UTC; all others count as UTC (RFC 5322 §4.3).
_ZONES = {"est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7}


def sent_date(value: bytes) -> int | None:
    """Return the seconds from 1970, UTC, that a Date field tells; None when it tells no day.

    An invalid zone counts as UTC, an invalid time as 00:00:00 (RFC 5256 §2.2).
    """
    text = value[:_LONGEST].decode("ascii", "replace").lower()
    if "(" in text:
        text = _COMMENT.sub(" ", text)
    for shape in _SHAPES:
        if match := shape.match(text):
            day = _day(match["year"], match["month"], match["day"])
            return None if day is None else _moment(day, match["clock"], match["zone"])
    return None


def _day(year: str, month: str, day: str) -> int | None:
    """Return the days from 1970; None where the calendar has no such day."""
    try:
        whole = date(_year(year), _MONTHS.index(month) + 1, int(day))
    except (ValueError, OverflowError):
        return None
    return whole.toordinal() - _EPOCH


def _year(digits: str) -> int:
    """RFC 5322 §4.3: years of two and three digits."""
    year = int(digits[:5])
    if len(digits) == 2:
        return year + (2000 if year < 50 else 1900)
    return year + 1900 if len(digits) == 3 else year


def _moment(day: int, clock: str | None, zone: str | None) -> int:
    match = _TIME.match(clock or "")
    hour, minute, second = (int(part or 0) for part in match.groups()) if match else (24, 0, 0)
    if hour > 23 or minute > 59 or second > 60:
        return day * 86400  # neither is the zone of a time that is none
    return day * 86400 + hour * 3600 + minute * 60 + second - _east(zone or "")


def _east(zone: str) -> int:
    """Return seconds east of UTC."""
    offset = _OFFSET.fullmatch(zone)
    if offset is None:
        return _ZONES.get(zone, 0) * 3600
    seconds = int(offset[2]) * 3600 + int(offset[3]) * 60
    if seconds >= 86400 or int(offset[3]) > 59:
        return 0
    return seconds if offset[1] == "+" else -seconds
