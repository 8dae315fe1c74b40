"""The cursor: each argument's grammar, and what breaks it (RFC 3501 §9)."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymaild._parser import COMMAND, LITERAL, NEED_MORE, BadSyntax, Tokenizer
from pymaild.imap._arguments import Arguments


def arguments(line: bytes) -> Arguments:
    """A cursor at the first argument of ``line``, its literals kept."""
    source = Tokenizer(65536, 50)
    source.feed(line + b"\r\n")
    while (event := source.next()) == LITERAL:
        source.keep()
    assert event == COMMAND
    args = Arguments(source)
    args.rewind()
    return args


def read(method: str, line: bytes) -> Any:
    args = arguments(line)
    value = getattr(args, method)()
    args.end()
    return value


GOOD: list[tuple[str, bytes, Any]] = [
    ("tag", b"a]1", b"a]1"),
    ("atom", b"x}y&+~", b"x}y&+~"),
    ("name", b"uid", b"UID"),
    ("word", b"body[1.mime]<0.5>", b"body[1.mime]<0.5>"),
    ("flag", b"\\Seen", b"\\Seen"),
    ("flag", b"$Forwarded", b"$Forwarded"),
    ("string", b'"a b"', b"a b"),
    ("string", b'"a\\"\\\\b"', b'a"\\b'),
    ("string", b'""', b""),
    ("string", b"{3}\r\na\rb", b"a\rb"),
    ("string", b"{0}\r\n", b""),
    ("astring", b"in]box", b"in]box"),
    ("astring", "Entw\u00fcrfe".encode(), "Entw\u00fcrfe".encode()),
    ("astring", b"NIL", b"NIL"),
    ("list_mailbox", b"foo/%*", b"foo/%*"),
    ("list_mailbox", b'"%"', b"%"),
    ("nstring", b"nil", None),
    ("nstring", b'"NIL"', b"NIL"),
    ("number", b"0", 0),
    ("number", b"4294967295", 4294967295),
    ("date", b"1-Feb-2024", 1706745600),
    ("date", b'"29-feb-2024"', 1709164800),
    ("date", b"01-Jan-1970", 0),
    ("date", b"31-Dec-0001", -62104147200),
    ("date_time", b'"17-Jul-1996 02:44:25 -0700"', 837596665),
    ("date_time", b'" 1-Jan-1970 01:00:00 +0100"', 0),
    ("date_time", b'"31-Dec-2016 23:59:60 +0000"', 1483228800),
    ("sequence_set", b"1", [(1, 1)]),
    ("sequence_set", b"*", [(0, 0)]),
    ("sequence_set", b"*:4,5:7", [(4, 0), (5, 7)]),
    ("sequence_set", b"4:2", [(2, 4)]),
    ("sequence_set", b"3:*", [(3, 0)]),
    ("sequence_set", b"*:*", [(0, 0)]),
    ("sequence_set", b"1,2,3,7:9,8:12,14", [(1, 3), (7, 12), (14, 14)]),
    ("sequence_set", b"5,4,3", [(5, 5), (4, 4), (3, 3)]),
    ("sequence_set", b"4294967295", [(4294967295, 4294967295)]),
]


@pytest.mark.parametrize(("method", "line", "value"), GOOD)
def test_good_argument(method: str, line: bytes, value: Any) -> None:
    assert read(method, line) == value


BAD: list[tuple[str, bytes]] = [
    ("tag", b"a+1"),
    ("tag", b"*"),
    ("tag", b'"a"'),
    ("atom", b"a]"),
    ("atom", b"a*"),
    ("atom", b"\\a"),
    ("atom", b'"a"'),
    ("atom", b"\xc3\xbc"),
    ("flag", b"\\"),
    ("flag", b"\\*"),
    ("flag", b"\\\\Seen"),
    ("flag", b"a]"),
    ("string", b"abc"),
    ("string", b"{3}\r\na\x00b"),
    ("string", b"~{3}\r\nabc"),
    ("astring", b"a%"),
    ("astring", b"a\\b"),
    ("astring", b"()"),
    ("list_mailbox", b"a\\b"),
    ("nstring", b"NILS"),
    ("number", b"-1"),
    ("number", b"4294967296"),
    ("number", b"99999999999999999999"),
    ("number", b"1x"),
    ("date", b"30-Feb-2024"),
    ("date", b"29-Feb-1900"),
    ("date", b"0-Jan-2024"),
    ("date", b"1-Foo-2024"),
    ("date", b"1-Jan-24"),
    ("date", b'" 1-Jan-2024"'),
    ("date", b"1-Jan-0000"),
    ("date_time", b'"1-Jan-1970 01:00:00 +0100"'),
    ("date_time", b'" 1-Jan-1970 24:00:00 +0100"'),
    ("date_time", b'" 1-Jan-1970 01:60:00 +0100"'),
    ("date_time", b'" 1-Jan-1970 01:00:00 0100"'),
    ("date_time", b'" 1-Jan-1970 01:00:00 +0160"'),
    ("date_time", b'" 1-Jan-1970 01:00:00  +010"'),
    ("date_time", b'"\\"-Jan-1970 01:00:00 +0100"'),
    ("sequence_set", b"0"),
    ("sequence_set", b"01"),
    ("sequence_set", b"1,"),
    ("sequence_set", b",1"),
    ("sequence_set", b"1:"),
    ("sequence_set", b"1:2:3"),
    ("sequence_set", b"1;2"),
    ("sequence_set", b"4294967296"),
    ("sequence_set", b"**"),
    ("sequence_set", b"$"),
]


@pytest.mark.parametrize(("method", "line"), BAD)
def test_bad_argument(method: str, line: bytes) -> None:
    with pytest.raises(BadSyntax):
        read(method, line)


@pytest.mark.parametrize(
    "line", [b"a  b", b"a b ", b" a b", b"a b c", b"a", b'a"b"', b"a(b)", b"a {1}\r\nb{1}\r\nc"]
)
def test_arguments_stand_apart_by_exactly_one_space(line: bytes) -> None:
    """RFC 3501 §9, note 2."""
    with pytest.raises(BadSyntax):
        two_strings(arguments(line))


def two_strings(args: Arguments) -> None:
    args.astring()
    args.sp()
    args.astring()
    args.end()


def items(line: bytes) -> list[bytes]:
    args = arguments(line)
    found = []
    args.open()
    while args.item():
        found.append(args.atom())
    args.end()
    return found


def test_lists() -> None:
    assert items(b"()") == []
    assert items(b"(a)") == [b"a"]
    assert items(b"(a b c)") == [b"a", b"b", b"c"]


@pytest.mark.parametrize("line", [b"( a)", b"(a )", b"(a  b)", b"( )", b"(a(b))", b"(a) ", b"a"])
def test_lists_with_wrong_spaces(line: bytes) -> None:
    with pytest.raises(BadSyntax):
        items(line)


def test_section_of_fetch_stands_without_spaces() -> None:
    args = arguments(b'BODY[HEADER.FIELDS (A "b")]<0.10> FLAGS')
    assert args.word() == b"BODY[HEADER.FIELDS"
    args.sp()
    args.open()
    names = []
    while args.item():
        names.append(args.astring())
    assert names == [b"A", b"b"]
    assert args.glued()
    assert args.word() == b"]<0.10>"
    assert not args.glued()
    assert args.more()
    assert args.rest() == b" FLAGS"


def test_looking_ahead() -> None:
    args = arguments(b"charset UTF-8")
    assert args.ahead(b"CHARSET")
    assert not args.ahead(b"CHARSEX")
    assert not args.ahead(b"CHARSETS")
    assert args.first() == ord("c")
    args.finish()
    args.end()
    assert args.first() == -1
    assert not args.ahead(b"CHARSET")


@given(st.datetimes(datetime.datetime(1, 1, 2), datetime.datetime(9999, 12, 30)))
def test_dates_agree_with_the_calendar(moment: datetime.datetime) -> None:
    moment = moment.replace(microsecond=0, tzinfo=datetime.UTC)
    month = "JanFebMarAprMayJunJulAugSepOctNovDec"[moment.month * 3 - 3 : moment.month * 3]
    day = f"{moment.day:2}-{month}-{moment.year:04}"
    text = f'"{day} {moment:%H:%M:%S} +0000"'
    seconds = round((moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)).total_seconds())
    assert read("date_time", text.encode()) == seconds
    assert read("date", day.strip().encode()) == seconds // 86400 * 86400


@given(
    st.lists(st.tuples(st.integers(0, 40), st.one_of(st.none(), st.integers(0, 40))), min_size=1)
)
def test_sets_name_the_same_numbers_after_joining(parts: list[tuple[int, int | None]]) -> None:
    top = 30

    def numbers(low: int, high: int) -> set[int]:
        low, high = sorted((low or top, high or top))
        return set(range(low, high + 1))

    words, wanted = [], set()
    for low, high in parts:
        words.append(f"{low or '*'}" + ("" if high is None else f":{high or '*'}"))
        wanted |= numbers(low, low if high is None else high)
    pairs = read("sequence_set", ",".join(words).encode())
    assert set().union(*(numbers(*pair) for pair in pairs)) == wanted
    assert len(pairs) <= len(parts)


# -- the tokenizer's other ways in and out -----------------------------------------------------


def test_a_line_is_taken_as_it_is_and_leaves_what_follows() -> None:
    """DONE and a command in one packet."""
    source = Tokenizer(65536, 50)
    source.feed(b"a IDLE\r\nDO")
    assert source.next() == COMMAND
    assert source.line() is None
    source.feed(b"NE\r\nb NOOP\r\nc")
    assert source.line() == b"DONE"
    assert source.complete
    assert source.next() == COMMAND
    assert source.unread() == b"c"
    assert not source.idle


def test_a_line_above_the_limit_is_thrown_away() -> None:
    source = Tokenizer(100, 50)
    for _ in range(50):
        assert source.line() is None
        source.feed(b"x" * 60)
    source.feed(b"\r\nnext\r\n")
    with pytest.raises(BadSyntax):
        source.line()
    assert source.line() == b"next"


def test_idle_means_that_nothing_has_arrived() -> None:
    source = Tokenizer(100, 50)
    assert source.idle
    source.feed(b"a")
    assert not source.idle
    assert source.next() == NEED_MORE
    assert not source.idle
    source.feed(b" {3+}\r\nabc\r\n")
    assert source.next() == LITERAL
    assert not source.complete
    source.discard()
    source.next()
    assert source.complete
    assert source.idle


def test_unread_is_what_follows_the_command() -> None:
    source = Tokenizer(100, 50)
    source.feed(b"a LOGIN b c\r\nd NOOP\r\ne")
    assert source.next() == COMMAND
    assert source.unread() == b"d NOOP\r\ne"


def test_a_literal_that_does_not_fit_is_refused_with_its_command() -> None:
    source = Tokenizer(100, 50)
    source.feed(b"a LOGIN {90}\r\n")
    assert source.next() == LITERAL
    assert source.literal_waits
    assert not source.keep()
    source.feed(b"b NOOP\r\n")
    source.next()
    assert source.refused_tag == b"a"
    assert source.too_long
    assert source.refusal
    assert source.next() == COMMAND


@pytest.mark.parametrize(
    "start", [b"a APPEND x {100000000+}\r\n", b"a \x01", b'a "', b"a " + b"x" * 200, b"a {9+}\r\n"]
)
def test_what_is_thrown_away_is_not_kept(start: bytes) -> None:
    """Memory is bounded, however much comes behind a refused command."""
    source = Tokenizer(100, 50)
    source.feed(start)
    for _ in range(100):
        if source.next() == LITERAL:
            source.discard()
            source.next()
        source.feed(b"y" * 65536)
    assert source.next() == NEED_MORE
    assert len(source.unread()) < 100
