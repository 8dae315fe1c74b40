"""What is computed of a message is linear in its size: calls and octets are counted, not time."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType

import pytest

from pymaild.core.errors import Refused
from pymaild.mail import cache, objectid
from pymaild.mail.binary import Decoded, encoding
from pymaild.mail.message import Source
from pymaild.mail.recode import storable
from pymaild.mime import bodystructure, envelope, headers, parts, preview, text
from pymaild.mime._crlf import crlf_size

#: Messages that grow with a number.
SHAPES: dict[str, Callable[[int], bytes]] = {
    "parts": lambda n: (
        b"Content-Type: multipart/mixed; boundary=b\n\n"
        + b"--b\nContent-Type: text/plain\n\npart\n" * n
    ),
    "cyclic": lambda n: b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" * n,
    "deep": lambda n: b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (k, k) for k in range(n)
    ),
    "forwarded": lambda n: b"Content-Type: message/rfc822\n\n" * n,
    "headers": lambda n: b"X-A: value\n" * n + b"\nbody\n",
    "long-header": lambda n: b"Subject: " + b"x" * (50 * n) + b"\n\nbody\n",
    "folded": lambda n: b"Subject: x" + b"\n x" * n + b"\n\nbody\n",
    "addresses": lambda n: b"To: " + b"A <a@b.example>, " * n + b"\n\nbody\n",
    "words": lambda n: b"Subject: " + b"=?utf-8?b?4piD?= x " * n + b"\n\nbody\n",
    "parameters": lambda n: b"Content-Type: text/plain" + b"; a*1*=%e4" * n + b"\n\nbody\n",
    "ancestry": lambda n: b"References: " + b"<a@b> " * n + b"\n\nbody\n",
    "no-ancestry": lambda n: b"References: " + b"<a" * n + b"\n\nbody\n",
    "text": lambda n: b"Subject: x\n\n" + b"a line of words\n" * n,
    "quoted": lambda n: b"Subject: x\n\n" + b"> \n" * n,
    "base64": lambda n: b"Content-Transfer-Encoding: base64\n\n" + b"QUJD\n" * (10 * n),
    "no-base64": lambda n: b"Content-Transfer-Encoding: base64\n\n" + b"!=!\n" * (10 * n),
    "quoted-printable": lambda n: (
        b"Content-Transfer-Encoding: quoted-printable\n\n" + b"=C3=BC \n=\n" * (5 * n)
    ),
    "tags": lambda n: b"Content-Type: text/html\n\n" + b'<a b=">">' * n,
    "open-tags": lambda n: b"Content-Type: text/html\n\n" + b"<a " * n,
    "comments": lambda n: b"Content-Type: text/html\n\n" + b"<!-- -" * n,
    "binary": lambda n: (
        b"a: b\r\n" * n + b"Content-Transfer-Encoding: binary\r\n\r\n" + b"\0\n" * (10 * n)
    ),
    "nul": lambda n: b"Subject: \0\n\n" + b"\0\n" * (10 * n),
    "returns": lambda n: b"Subject: x\r\n\r\n" + b"\r\r\n\r" * (5 * n),
}


def decoded(data: bytes, part: parts.Part) -> None:
    """BINARY of each leaf."""
    waiting = [part]
    while waiting:
        leaf = waiting.pop()
        waiting += leaf.children
        view = memoryview(data)
        source = Source(view, leaf.body_start, leaf.body_end, leaf.body_crlf, nul=b"\0")
        try:
            assert Decoded(source, *encoding(data, leaf)).size >= 0
        except Refused:
            continue


def stored(data: bytes, part: parts.Part) -> int:
    """APPEND of a literal8."""
    try:
        return sum(map(len, storable(data)))
    except Refused:
        return 0


def header(data: bytes, part: parts.Part) -> bytes:
    return data[part.header_start : part.header_end]


#: What FETCH, SEARCH, SORT and THREAD may ask of a message.
WORKS: dict[str, Callable[[bytes, parts.Part], object]] = {
    "structure": lambda data, part: parts.unpack(parts.pack(parts.scan(data))),
    "size": lambda data, part: crlf_size(data),
    "ENVELOPE": lambda data, part: envelope.envelope(header(data, part)),
    "BODYSTRUCTURE": lambda data, part: bodystructure.bodystructure(data, part, True),
    "PREVIEW": preview.preview,
    "identifiers": lambda data, part: objectid.object_ids(data, header(data, part)),
    "BINARY": decoded,
    "fields": lambda data, part: headers.select(header(data, part), frozenset((b"X-A",)), True),
    "header-texts": lambda data, part: sum(map(len, text.header_texts(header(data, part), None))),
    "body-texts": lambda data, part: sum(map(len, text.body_texts(data, part))),
    "APPEND": stored,
    "cache": lambda data, part: cache.encode(cache.build(data, part)),
}

SMALL = 400


def counted(work: Callable[[bytes, parts.Part], object], data: bytes) -> int:
    """How many functions are called, those written in C too."""
    part = parts.scan(data)
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work(data, part)
    finally:
        sys.setprofile(None)
    return calls


def peak(work: Callable[[bytes, parts.Part], object], data: bytes) -> int:
    """The most octets that are held at a time beside the message."""
    part = parts.scan(data)
    tracemalloc.start()
    try:
        work(data, part)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", WORKS)
def test_four_times_the_message_four_times_the_work(shape: str, name: str) -> None:
    small, large = (SHAPES[shape](number) for number in (SMALL, 4 * SMALL))
    counted(WORKS[name], small)  # what is made once is made now
    assert counted(WORKS[name], large) <= 4.5 * counted(WORKS[name], small) + 100


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", WORKS)
def test_memory_is_in_proportion(shape: str, name: str) -> None:
    data = SHAPES[shape](10 * SMALL)
    assert peak(WORKS[name], data) <= 24 * len(data) + (1 << 20)


def test_a_large_body_is_decoded_in_pieces() -> None:
    """BINARY of 8 MiB holds one piece at a time."""
    for shape in ("base64", "no-base64", "quoted-printable", "text", "nul"):
        data = SHAPES[shape](16)
        data += data[-160:] * ((8 << 20) // 160)
        assert peak(decoded, data) <= 4 << 20
