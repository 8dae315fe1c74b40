"""The sent date of a Date field (RFC 5256 §2.2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymaild.mime.dates import sent_date
from tests.support.rfc import rfc

MOMENTS = st.datetimes(
    min_value=datetime(1900, 1, 2),
    max_value=datetime(9998, 12, 30),
    timezones=st.integers(-1439, 1439).map(lambda east: timezone(timedelta(minutes=east))),
)


@given(MOMENTS)
def test_what_is_written_as_the_rfc_says_is_read(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    assert sent_date(format_datetime(moment).encode()) == int(moment.timestamp())


def at(*moment: int) -> int:
    """Seconds from 1970 of a moment in UTC."""
    return int(datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"Mon, 1 Jan 2024 10:00:00 +0100", at(2024, 1, 1, 9)),
        (b"1 Jan 2024 10:00 -0530", at(2024, 1, 1, 15, 30)),
        (b" Mon , 1 Jan 2024 10:00:00 (noon) +0000 (UTC)", at(2024, 1, 1, 10)),
        (b"Monday, 01-Jan-24 10:00:00 GMT", at(2024, 1, 1, 10)),
        (b"1 Jan 99 10:00:00 EST", at(1999, 1, 1, 15)),
        (b"1 Jan 124 10:00:00 PDT", at(2024, 1, 1, 17)),
        (b"Mon Jan  1 10:00:00 2024", at(2024, 1, 1, 10)),
        (b"Sat, 31 Dec 2016 23:59:60 +0000", at(2017, 1, 1)),
    ],
)
def test_forms(value: bytes, found: int) -> None:
    """RFC 5322 §4.3: old forms too, and that of C's asctime."""
    assert sent_date(value) == found


@rfc("5256", "2.2", 1)
@pytest.mark.parametrize("zone", [b"", b" +9960", b" -2500", b" 100", b" Z", b" ABC", b" +01:00"])
def test_an_invalid_zone_is_utc(zone: bytes) -> None:
    assert sent_date(b"1 Jan 2024 10:00:00" + zone) == at(2024, 1, 1, 10)


@rfc("5256", "2.2", 2)
@pytest.mark.parametrize(
    "clock", [b"", b" 24:00:00", b" 10:60", b" 10:00:61 +0100", b" ten", b" 1"]
)
def test_an_invalid_time_is_midnight(clock: bytes) -> None:
    assert sent_date(b"Mon, 1 Jan 2024" + clock) == at(2024, 1, 1)


@pytest.mark.parametrize(
    "value", [b"", b"Monday", b"31 Feb 2024 10:00:00", b"0 Jan 2024", b"1 Jan 0", b"1 Jan", b"\xff"]
)
def test_no_day_is_no_date(value: bytes) -> None:
    assert sent_date(value) is None


@given(st.binary(max_size=60))
def test_any_octets_are_a_moment_or_none(value: bytes) -> None:
    found = sent_date(value)
    assert found is None or -(1 << 62) < found < 1 << 62


@pytest.mark.parametrize("piece", [b"(", b"()", b"mon, ", b"1", b" ", b"a", b"1 jan 1"])
def test_hostile_values(piece: bytes) -> None:
    """Of a mebibyte, of which the start alone is looked at."""
    value = piece * ((1 << 20) // len(piece))
    assert sent_date(value) == sent_date(value[:200])
