"""What THREAD compares: identities of messages and of their references (RFC 5256 §3)."""

from __future__ import annotations

import struct

import pytest

from pymaild.mime import order
from tests.support.rfc import rfc


@rfc("5256", "3", 4, 5)
@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"<a@b>", [b"a@b"]),
        (b'<"01KF8JCEOCBS0045PS"@xxx.yyy.com>', [b"01KF8JCEOCBS0045PS@xxx.yyy.com"]),
        (b'<"a\\b\\"c"@d>', [b'ab"c@d']),
        (b"<A@b> text <a@B>,<c@d>", [b"A@b", b"a@B", b"c@d"]),
        (b"<a@\r\n b>", [b"a@b"]),
        (b'<"a \\\r\n b"@c>', [b"ab@c"]),
        (b'<"\\"\\ "@x>', [b'"@x']),  # a blank that was quoted
        (b'<"a@b"@c>', [b"a@b@c"]),
        (b"<a> <@b> <a@> <> a@b <a@b", []),
        (b"<<a@b>>", [b"a@b"]),
        (b'<"a@b>', []),
        (b"", []),
    ],
)
def test_message_ids(value: bytes, found: list[bytes]) -> None:
    assert order.message_ids(value) == found
    assert order.message_ids(value, 1) == found[:1]


def test_the_nearest_references_are_kept() -> None:
    value = b" ".join(b"<%d@x>" % number for number in range(1000))
    found = order.message_ids(value)
    assert found == [b"%d@x" % number for number in range(900, 1000)]


@pytest.mark.parametrize(
    "value",
    [
        b'<"%b\\ "@x>' % (b'\\"' * (1 << 19)),
        b"<" * (1 << 20),
        b'<"' * (1 << 19),
        b'<"\\' * (1 << 18) + b">",
        b'<"a"b"' * (1 << 17),
        b"<%b@x>" % (b"\\ " * (1 << 19)),
        b"<%b@x>" % (b"a " * (1 << 19)),
        b"<%b>" % (b'"@"' * (1 << 18)),
        b"<%b>" % (b"@" * (1 << 20)),
        b"<a@b>" * (1 << 18),
    ],
)
def test_hostile_values_are_read_in_one_pass(value: bytes) -> None:
    """Of a mebibyte, so that anything but a pass over it would not end."""
    found = order.message_ids(value)
    assert len(found) <= order.MOST_REFERENCES
    assert sum(map(len, found)) <= len(value)
    keys = order.thread_keys(b"Message-Id: %b\r\nReferences: %b\r\n\r\n" % (value, value))
    assert len(keys) <= 8 + 16 * (1 + order.MOST_REFERENCES)


def identities(header: bytes) -> tuple[bytes, list[bytes]]:
    """The digests of a header's own identity and of its references."""
    keys = order.thread_keys(header.replace(b"\n", b"\r\n") + b"\r\n\r\n")
    (count,) = struct.unpack_from("<Q", keys)
    found = [keys[8 + 16 * place : 24 + 16 * place] for place in range(count + 1)]
    assert len(keys) == 8 + 16 * len(found)
    return found[0], found[1:]


def digests(*names: bytes) -> list[bytes]:
    return [identities(b"Message-Id: <%b>" % name)[0] for name in names]


NONE = bytes(16)


@pytest.mark.parametrize(
    ("header", "own", "references"),
    [
        (b"References: <a@x> <b@x>\nIn-Reply-To: <c@x>", NONE, (b"a@x", b"b@x")),
        (b"References: none\nIn-Reply-To: Ann <c@x> <d@x>", NONE, (b"c@x",)),
        (b"In-Reply-To: <ann> <c@x>", NONE, (b"c@x",)),
        (b"In-Reply-To: your message of yesterday", NONE, ()),
        (b"Message-Id: 5", NONE, ()),
        (b"Message-Id: <a@x>\nReferences: <a@x>", digests(b"a@x")[0], (b"a@x",)),
    ],
)
def test_references(header: bytes, own: bytes, references: tuple[bytes, ...]) -> None:
    assert identities(header) == (own, digests(*references))
