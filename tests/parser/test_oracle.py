"""The tokenizer against its oracle: whole, octet by octet, in random pieces (RFC 3501 §9)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymaild import _parser
from pymaild._parser import COMMAND, LITERAL, NEED_MORE, Tokenizer
from tests.parser import oracle
from tests.parser.oracle import Met, Oracle, Policy

LIMIT = 200
NESTING = 4

KINDS = {
    _parser.ATOM: oracle.ATOM,
    _parser.QUOTED: oracle.QUOTED,
    _parser.KEPT: oracle.KEPT,
    _parser.STREAMED: oracle.STREAMED,
    _parser.LIST_BEGIN: oracle.BEGIN,
    _parser.LIST_END: oracle.END,
}

POLICIES: dict[str, Policy] = {
    "keep": lambda size: "keep",
    "stream": lambda size: "stream",
    "discard": lambda size: "discard",
    "by size": lambda size: ("keep", "stream", "discard")[size % 3],
}

SAMPLES = (
    b"a1 NOOP\r\n",
    b"a1 NOOP\na2 NOOP\r\n",
    b"\r\na NOOP\r\n",
    b"a LOGIN {5}\r\nalice {6+}\r\nsecret\r\nb NOOP\r\n",
    b"a LOGIN {0}\r\n {0+}\r\n\r\nb NOOP\r\n",
    b'a LOGIN "al\\"ice" "se\\\\cret"\r\n',
    b"a FETCH 1 (BODY[HEADER.FIELDS (A B)]<0.10> FLAGS)\r\n",
    b"a FETCH 1 BODY[HEADER.FIELDS ({4}\r\nDate)]\r\n",
    b'a LIST "" %*\r\na SEARCH 1:* (OR (NOT (SEEN)) FLAGGED)\r\n',
    b"a APPEND x (\\Seen) ~{9}\r\n012345678\r\nb NOOP\r\n",
    b"a APPEND x {300+}\r\n" + b"m" * 300 + b"\r\nb NOOP\r\n",
    b"a APPEND x {300}\r\n" + b"m" * 300 + b"\r\nb NOOP\r\n",
    b"a APPEND x {30+}\r\n" + b"m" * 30 + b" {2+}\r\nok\r\nb NOOP\r\n",
    b"a ((((()))))\r\nb NOOP\r\n",
    b"a ((((1))))\r\n",
    b"a )\r\nb (\r\nc (x\r\nd NOOP\r\n",
    b"a \x01 {3+}\r\nxyz\r\nb NOOP\r\n",
    b'a "x {3+}\r\nxyz {2+}\r\n\r\n\r\nb NOOP\r\n',
    b'a "x\\y"\r\nb NOOP\r\n',
    b"a {5x}\r\nb NOOP\r\n",
    b"a {}\r\nb {+}\r\nc {5+\r\nd {5+}x\r\ne NOOP\r\n",
    b"a {1234567890123456789}\r\nb NOOP\r\n",
    b"a {1234567890123456789+}\r\nb NOOP\r\n",
    b"a x{3+}\r\nabc\r\nb NOOP\r\n",
    b"a \r x\r\nb NOOP\r\n",
    b"a " + b"x" * 300 + b"\r\nb NOOP\r\n",
    b'a "' + b"x" * 300 + b'"\r\nb NOOP\r\n',
    b"a " + b"x" * 195 + b"{3+}\r\nabc\r\nb NOOP\r\n",
    b"x" * 196 + b"\r\n\r\n",
    b"x" * 197 + b"\r\n\r\n",
    b"x" * 198 + b"\r\n\r\n",
    b"x" * 199 + b"\r\n\r\n",
    b"+ x \x00\r\n* (\r\n%a (\r\n a (\r\nb NOOP\r\n",
    b"a {150+}\r\n" + b"k" * 150 + b" {150+}\r\n" + b"k" * 150 + b"\r\nb NOOP\r\n",
    "a SELECT Entw\u00fcrfe\r\n".encode(),
    b"a ~{2+}\r\nab ~x ~\r\n",
)


def tokenize(pieces: Iterable[bytes], policy: Policy) -> list[Met]:
    """What the tokenizer meets, in the oracle's words."""
    source = Tokenizer(LIMIT, NESTING)
    met: list[Met] = []
    feed = iter(pieces)
    while True:
        event = source.next()
        if event == NEED_MORE:
            piece = next(feed, None)
            if piece is None:
                return met
            source.feed(piece)
        elif event == LITERAL:
            if not _decide(source, policy, feed):
                return met
        elif event == COMMAND:
            met.append(Met(_tokens(source)))
        else:
            met.append(Met(refused=source.refused_tag, own=source.refusal is None))


def _decide(source: Tokenizer, policy: Policy, feed: Iterator[bytes]) -> bool:
    """Do as the policy says; false when the input ends inside a streamed literal."""
    decision = policy(source.literal_size)
    if decision == "stream":
        return _stream(source, feed)
    if decision == "keep":
        source.keep()
    else:
        source.discard()
    return True


def _stream(source: Tokenizer, feed: Iterator[bytes]) -> bool:
    size = source.literal_size
    source.stream()
    taken = len(source.take())
    while source.literal_left:
        piece = next(feed, None)
        if piece is None:
            return False
        taken += len(source.absorb(piece))
    assert taken == size
    return True


def _tokens(source: Tokenizer) -> list[tuple[str, bytes, int]]:
    octets = source.octets()
    return [
        (KINDS[kind], octets[start:end], depth) for kind, start, end, depth in source.tokens_met()
    ]


def check(data: bytes, pieces: Iterable[bytes], policy: Policy) -> None:
    expected = Oracle(data, LIMIT, NESTING, policy).commands()
    found = tokenize(pieces, policy)
    assert found == expected


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("data", SAMPLES)
def test_samples_whole_and_octet_by_octet(data: bytes, policy: str) -> None:
    check(data, [data], POLICIES[policy])
    check(data, [data[i : i + 1] for i in range(len(data))], POLICIES[policy])
    check(data + b"z NOOP\r\n", [data, b"z NOOP\r\n"], POLICIES[policy])


@pytest.mark.parametrize("data", SAMPLES)
def test_samples_cut_in_two_anywhere(data: bytes) -> None:
    for cut in range(len(data) + 1):
        check(data, [data[:cut], data[cut:]], POLICIES["by size"])


WORDS = st.sampled_from(
    (
        *(b"a", b"tag", b" ", b" ", b"(", b")", b"\r\n", b"\r\n", b"\n", b"\r", b'"', b"\\", b"~"),
        *(b'"q"', b'"a\\"b"', b"{3}\r\n", b"{3+}\r\n", b"abc", b"{40+}\r\n", b"{0+}\r\n", b"+"),
        *(
            b"{",
            b"}",
            b"{5+}",
            b"7",
            b"BODY[",
            b"]<0.1>",
            b"\x00",
            b"\x7f",
            b"\xc3\xbc",
            b"*",
            b"%",
        ),
        *(b"~{4}\r\n", b"x" * 60, b"{190+}\r\n", b"{150}\r\n"),
    )
)


@settings(max_examples=600, deadline=None)
@given(st.lists(WORDS, max_size=40).map(b"".join), st.data(), st.sampled_from(sorted(POLICIES)))
def test_random_commands_in_random_pieces(data: bytes, draw: st.DataObject, policy: str) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=8)))
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    check(data, pieces, POLICIES[policy])
