"""SEARCH (RFC 3501 §6.4.4) and ESEARCH (RFC 4731 §3.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymaild.imap.search_message import _sent_day
from pymaild.imap.spans import Spans
from tests.imap.conftest import Client, ImapBench
from tests.support.rfc import rfc

DATES = ("1-Jan-2020 23:30:00 +0000", "2-Jan-2020 00:30:00 +0000", "3-Jan-2020 12:00:00 +0000")


@pytest.fixture
def found(mail: ImapBench) -> Client:
    """A mailbox of three messages, with flags and dates, as UIDs 1 to 3 of Archive."""
    from tests.imap.conftest import MESSAGES

    client = mail.login()
    flags = ("(\\Seen \\Answered)", "(\\Flagged $Work)", "(\\Deleted \\Draft)")
    for message, flag, date in zip(MESSAGES, flags, DATES, strict=True):
        client.appended("Archive", message, f'{flag} "{date:>26}"')
    client.ok("SELECT Archive")
    return client


def search(client: Client, keys: str | bytes) -> list[int]:
    text = keys.encode() if isinstance(keys, str) else keys
    return [int(value) for value in client.ok(b"SEARCH " + text).one("SEARCH").values[1:]]


KEYS: list[tuple[str | bytes, list[int]]] = [
    ("ALL", [1, 2, 3]),
    ("ANSWERED", [1]),
    ("UNANSWERED", [2, 3]),
    ("DELETED", [3]),
    ("UNDELETED", [1, 2]),
    ("DRAFT", [3]),
    ("UNDRAFT", [1, 2]),
    ("FLAGGED", [2]),
    ("UNFLAGGED", [1, 3]),
    ("SEEN", [1]),
    ("UNSEEN", [2, 3]),
    ("KEYWORD $work", [2]),
    ("KEYWORD $none", []),
    ("UNKEYWORD $Work", [1, 3]),
    ("UNKEYWORD $none", [1, 2, 3]),
    ("RECENT", []),
    ("NEW", []),
    ("OLD", [1, 2, 3]),
    ("BEFORE 2-Jan-2020", [1]),
    ("ON 2-Jan-2020", [2]),
    ("SINCE 2-Jan-2020", [2, 3]),
    ('SINCE "03-jan-2020"', [3]),
    ("SENTBEFORE 2-Jan-2024", [1]),
    ("SENTON 2-Jan-2024", [2]),
    ("SENTSINCE 1-Jan-2024", [1, 2]),
    ("LARGER 0", [1, 2, 3]),
    ("LARGER 115", [1, 2]),
    ("LARGER 116", [2]),
    ("SMALLER 116", [3]),
    ("SMALLER 117", [1, 3]),
    ("FROM ANN", [1]),
    ("FROM nobody", []),
    ("TO bob@", [1, 2]),
    ("CC x", []),
    ("BCC x", []),
    ("SUBJECT TWO", [2]),
    ('FROM ""', [1, 2, 3]),
    ('HEADER Date ""', [1, 2]),
    ("HEADER MIME-Version 1.0", [2]),
    ("BODY first", [1]),
    ("BODY inner", [2]),
    ("BODY ann@example.org", []),
    ("TEXT ann@example.org", [1]),
    ('TEXT ""', [1, 2, 3]),
    ("CHARSET UTF-8 FROM J\u00f6rg".encode(), [3]),
    ("CHARSET UTF-8 FROM J\u00d6RG".encode(), [3]),
    ("CHARSET ISO-8859-1 FROM J\u00f6rg".encode("latin-1"), [3]),
    ("FROM J\u00f6rg".encode(), [3]),
    (b"CHARSET UTF-8 FROM {5+}\r\nJ\xc3\xb6rg", [3]),
    (b"CHARSET UTF-8 FROM {5}\r\nJ\xc3\xb6rg", [3]),
    ("1", [1]),
    ("2:*", [2, 3]),
    ("*", [3]),
    ("5:7", []),
    ("UID 2:3", [2, 3]),
    ("UID 9:*", [3]),
    ("NOT SEEN", [2, 3]),
    ("NOT (SEEN ANSWERED)", [2, 3]),
    ("NOT NOT SEEN", [1]),
    ("OR SEEN FLAGGED", [1, 2]),
    ("OR BODY inner SEEN", [1, 2]),
    ("OR (2 SUBJECT two) NOT UID 1:2", [2, 3]),
    ("OR 1 OR FROM carl UID 3", [1, 2, 3]),
    ("UNSEEN SINCE 1-Jan-2020 SUBJECT t BODY third", [3]),
    ("(UNSEEN (UNFLAGGED))", [3]),
    ("1:2 2:3 LARGER 1", [2]),
    ("NOT TEXT body", []),
    ("OR SMALLER 80 SENTON 1-Jan-2024", [1, 3]),
    ("OR (RECENT) (KEYWORD $Work TEXT inner)", [2]),
]


@rfc("3501", "6.4.4", 1)
@rfc("9051", "6.4.4", 9, 10, 12, 15)
@rfc("3501", "6.4.4", 2, 3)
@pytest.mark.parametrize(("keys", "numbers"), KEYS, ids=[repr(keys) for keys, _ in KEYS])
def test_key(found: Client, keys: str | bytes, numbers: list[int]) -> None:
    assert search_any(found, keys) == numbers


def search_any(client: Client, keys: str | bytes) -> list[int]:
    """A search whose literal, if it has one, may have to wait for the server."""
    if isinstance(keys, bytes) and b"}\r\n" in keys and b"+}" not in keys:
        head, octets = keys.split(b"\r\n")
        client.send(b"s SEARCH " + head + b"\r\n")
        assert client.read().tag == "+"
        client.send(octets + b"\r\n")
        return [int(value) for value in client.finish("s").one("SEARCH").values[1:]]
    return search(client, keys)


@rfc("9051", "6.4.4", 1)
@rfc("9051", "2.2.2", 1, 2)
@rfc("3501", "2.2.2", 1, 2)
@pytest.mark.parametrize(
    "keys",
    [
        *("", "FROB", "NOT", "OR SEEN", "()", "(SEEN", "SEEN  SEEN", "KEYWORD", "KEYWORD \\Seen"),
        *("BEFORE yesterday", "SINCE 30-Feb-2020", "LARGER x", "LARGER -1", "UID x", "UID", "0"),
        *("1:x", '"SEEN"', "FROM", "FROM (a)", "HEADER x", "CHARSET UTF-8", "RETURN ALL", "SEEN)"),
        *("RETURN (FROB) ALL", "RETURN (MIN)", "RETURN (MIN", "CHARSET", "SEEN ", "1,,2", "$,1"),
    ],
)
def test_malformed_search_is_bad(found: Client, keys: str) -> None:
    found.bad(f"SEARCH {keys}")
    found.bad(f"UID SEARCH {keys}")


def test_recent_messages(mail: ImapBench) -> None:
    client = mail.select()
    client.ok("STORE 1 +FLAGS (\\Seen)")
    assert search(client, "RECENT") == [1, 2, 3]
    assert search(client, "NEW") == [2, 3]
    assert search(client, "OLD") == []
    assert search(client, "RECENT SUBJECT two") == [2]
    assert search(mail.select(), "RECENT") == []


@rfc("9051", "6.4.4", 13, 14)
@rfc("3501", "6.4.4", 4, 5)
def test_unknown_charset(found: Client) -> None:
    """RFC 3501 §6.4.4."""
    assert found.no("SEARCH CHARSET X-UNKNOWN ALL").code == "BADCHARSET"
    found.no(b"SEARCH CHARSET UTF-8 FROM \xff")


def test_numbers_or_uids(mail: ImapBench) -> None:
    client = mail.select()
    client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    client.ok("EXPUNGE")
    assert search(client, "ALL") == [1, 2]
    assert client.told(client.ok("UID SEARCH ALL")) == ["SEARCH 2 3"]
    assert client.told(client.ok("UID SEARCH 1")) == ["SEARCH 2"]


RETURNS = [
    ("()", "ALL", " ALL 1:3"),
    ("(MIN)", "ALL", " MIN 1"),
    ("(MAX)", "UNSEEN", " MAX 3"),
    ("(ALL)", "NOT 2", " ALL 1,3"),
    ("(COUNT)", "ALL", " COUNT 3"),
    ("(min max count all)", "2:3", " MIN 2 MAX 3 COUNT 2 ALL 2:3"),
    ("(MIN MAX ALL)", "KEYWORD none", ""),
    ("(MIN COUNT)", "KEYWORD none", " COUNT 0"),
    ("(ALL)", "CHARSET UTF-8 SEEN", " ALL 1"),
]


@rfc("9051", "7.3.4", 1)
@rfc("9051", "6.4.9", 1)
@rfc("9051", "6.4.4", 8)
@pytest.mark.parametrize(("options", "keys", "told"), RETURNS)
def test_return_options(found: Client, options: str, keys: str, told: str) -> None:
    tag = f"t{found.count + 1}"
    answer = found.ok(f"SEARCH RETURN {options} {keys}")
    assert found.told(answer) == [f'ESEARCH (TAG "{tag}"){told}']
    tag = f"t{found.count + 1}"
    answer = found.ok(f"UID SEARCH RETURN {options} {keys}")
    assert found.told(answer) == [f'ESEARCH (TAG "{tag}") UID{told}']


ENVELOPES = [
    (b'("Mon, 1 Jan 2024 23:59:59 -1200" "x")', 19723),
    (b'("1 Jan 2024 00:00:00 +1200" "x")', 19723),
    (b"({31}\r\nMon, 1 Jan 2024 23:59:59 -0000 NIL", 19723),
    (b"(NIL NIL)", None),
    (b'("" NIL)', None),
    (b'("yesterday" NIL)', None),
    (b'("99 Foo 2024" NIL)', None),
    (b'("31 Feb 2024 00:00:00 +0000" NIL)', None),
    (b"", None),
]


@pytest.mark.parametrize(("envelope", "day"), ENVELOPES)
def test_day_of_the_date_field(envelope: bytes, day: int | None) -> None:
    assert _sent_day(envelope) == day


@given(st.binary(max_size=60).map(lambda octets: b'("' + octets.replace(b'"', b"") + b'" NIL)'))
def test_any_date_field_is_a_day_or_none(envelope: bytes) -> None:
    day = _sent_day(envelope)
    assert day is None or -800_000 < day < 3_000_000


RANGES = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)))


def numbers(ranges: list[tuple[int, int]]) -> set[int]:
    wanted: set[int] = set()
    for low, high in ranges:
        low, high = sorted((low or 15, high or 15))
        wanted |= set(range(low, high + 1))
    return wanted


@given(RANGES, st.lists(st.integers(1, 25), max_size=30))
def test_spans(ranges: list[tuple[int, int]], toggled: list[int]) -> None:
    spans, wanted = Spans.of(ranges, 15), numbers(ranges)
    for number in toggled:
        spans.toggle(number)
        wanted ^= {number}
    assert list(spans.bounds) == sorted(set(spans.bounds))
    assert {n for n in range(30) if n in spans} == wanted
    assert {n for low, high in spans for n in range(low, high + 1)} == wanted
