"""The PROXY protocol: every sample whole, octet by octet, and with what follows it."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymaild.core.session import Peer, TlsFacts
from pymaild.net.proxy import SIGNATURE, Header, ProxyError, Reader, Tlv, encode

V4 = (Peer("192.0.2.7", 4711), Peer("192.0.2.1", 143))
V6 = (Peer("2001:db8::7", 1), Peer("2001:db8::1", 65535))
MIXED = (Peer("2001:db8::7", 1), Peer("192.0.2.1", 143))
UNIX = (Peer(), Peer())


def v2(family: int, body: bytes, version: int = 0x21) -> bytes:
    return SIGNATURE + struct.pack("!BBH", version, family, len(body)) + body


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


FOUR = bytes([192, 0, 2, 7, 192, 0, 2, 1]) + struct.pack("!HH", 4711, 143)

#: §2.1, §2.2: sample, client, server
GOOD = {
    b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 143\r\n": V4,
    b"PROXY TCP6 2001:db8::7 2001:db8::1 1 65535\r\n": V6,
    b"PROXY UNKNOWN\r\n": (None, None),
    b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n": (None, None),
    v2(0x11, FOUR): V4,
    v2(0x11, FOUR + tlv(0x05, b"unique") + tlv(0x04, b"")): V4,
    v2(0x11, FOUR, version=0x20): (None, None),  # LOCAL
    v2(0x00, b"", version=0x20): (None, None),
    v2(0x00, b""): (None, None),
    v2(0x31, bytes(216)): (None, None),
}

BAD = [
    b"GET / HTTP/1.0\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.1 4711\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 143 \r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 143\n",
    b"PROXY TCP4 2001:db8::7 192.0.2.1 4711 143\r\n",
    b"PROXY TCP4 192.0.2.777 192.0.2.1 4711 143\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.1 65536 143\r\n",
    b"PROXY TCP5 192.0.2.7 192.0.2.1 4711 143\r\n",
    b"PROXY \r\n",
    b"PROXY TCP4 " + b"1" * 200,
    b"\r\n\r\n\0\r\nQUIX\n",
    v2(0x11, FOUR, version=0x11),
    v2(0x11, FOUR, version=0x22),
    v2(0x11, FOUR[:-1]),
    v2(0x21, FOUR),
    v2(0x11, FOUR + b"\x02"),
    v2(0x11, FOUR + b"\x02\0\x05abc"),
    SIGNATURE + b"\x21\x11\xff\xff",
]


def read(data: bytes, step: int, private: bool = False) -> tuple[Header, int]:
    """Feed as a socket would be peeked at; returns the header and what was consumed."""
    reader, taken = Reader(private), 0
    while reader.header is None:
        assert taken < len(data), "more was wanted than there is"
        count = reader.feed(data[taken : taken + step])
        assert 0 < count <= step
        taken += count
    return reader.header, taken


@pytest.mark.parametrize("step", [1, 7, 100000])
@pytest.mark.parametrize(("sample", "ends"), GOOD.items())
def test_good(sample: bytes, ends: tuple[Peer | None, Peer | None], step: int) -> None:
    """Whatever follows the header stays where it is."""
    for behind in (b"", b"a LOGIN x y\r\n", sample):
        header, taken = read(sample + behind, step)
        assert taken == len(sample)
        assert (header.peer, header.local) == ends


@pytest.mark.parametrize("step", [1, 7, 100000])
@pytest.mark.parametrize("sample", BAD)
def test_bad(sample: bytes, step: int) -> None:
    with pytest.raises(ProxyError):
        read(sample, step)


@pytest.mark.parametrize("sample", list(GOOD))
def test_never_more_than_needed(sample: bytes) -> None:
    """An incomplete header is asked on, not refused."""
    reader = Reader()
    assert reader.feed(sample[:-1]) == len(sample) - 1
    assert reader.header is None
    assert reader.feed(sample[-1:] + b"rest") == 1
    assert reader.header is not None


FACTS = [
    TlsFacts(),
    TlsFacts(
        "TLSv1.3", "TLS_AES_256_GCM_SHA384", "mail.example.org", "Alice", b"x" * 32, "\xe4lice"
    ),
]


@pytest.mark.parametrize("facts", FACTS)
@pytest.mark.parametrize("ends", [V4, V6, MIXED, UNIX])
def test_private_header_there_and_back(ends: tuple[Peer, Peer], facts: TlsFacts) -> None:
    values = {int(Tlv.RECORD): b"{}", int(Tlv.LISTENER): b"imaps"}
    header, _ = read(encode(*ends, facts, values), 100000, private=True)
    if ends == UNIX:
        assert header.peer is None
    else:
        assert (header.peer, header.local) == ends
    assert header.tls() == facts
    assert header.values[Tlv.RECORD] == b"{}"


def test_own_values_count_on_the_private_socket_alone() -> None:
    """A public proxy brings neither records nor channel bindings (§2.2.7 leaves them to us)."""
    data = encode(*V4, FACTS[1], {int(Tlv.RECORD): b"{}", int(Tlv.LISTENER): b"imaps"})
    header, _ = read(data, 100000)
    assert set(header.values) == {Tlv.SSL, Tlv.AUTHORITY}
    tls = header.tls()
    assert tls is not None
    assert tls.exporter == b""


def test_only_version_2_on_the_private_socket() -> None:
    with pytest.raises(ProxyError):
        Reader(private=True).feed(b"PROXY UNKNOWN\r\n")


def test_tls_of_other_terminators() -> None:
    """§2.2.5: without the client bit there was no TLS; a bad certificate names nobody."""
    name = tlv(Tlv.SSL_CN, b"Mallory")
    for client, verify, wanted in (
        (0, 0, None),
        (1, 1, TlsFacts()),
        (3, 0, TlsFacts(client_subject="Mallory")),
    ):
        value = struct.pack("!BI", client, verify) + name
        header, _ = read(v2(0x11, FOUR + tlv(Tlv.SSL, value)), 100000)
        assert header.tls() == wanted


def test_tls_with_broken_inside() -> None:
    value = struct.pack("!BI", 1, 0) + b"\x21\0\x09abc"
    header, _ = read(v2(0x11, FOUR + tlv(Tlv.SSL, value)), 100000)
    with pytest.raises(ProxyError):
        header.tls()


def test_control_characters_do_not_reach_the_log() -> None:
    value = struct.pack("!BI", 1, 0) + tlv(Tlv.SSL_VERSION, b"TLS\r\nfake \xff")
    header, _ = read(v2(0x11, FOUR + tlv(Tlv.SSL, value)), 100000)
    tls = header.tls()
    assert tls is not None
    assert tls.version == "TLS??fake \ufffd"


@given(st.binary(min_size=1, max_size=300), st.booleans())
def test_any_octets(data: bytes, private: bool) -> None:
    """No input does anything but parse, be refused, or need more."""
    reader = Reader(private)
    try:
        taken = reader.feed(data)
    except ProxyError:
        return
    assert 0 < taken <= len(data)
    if reader.header is None:
        assert taken == len(data)


@given(st.binary(max_size=120), st.sampled_from([0x20, 0x21]), st.integers(0, 255))
def test_any_body(body: bytes, version: int, family: int) -> None:
    data = v2(family, body, version)
    try:
        header, taken = read(data + b"x", 50)
        header.tls()
    except ProxyError:
        return
    assert taken == len(data)


def test_too_long_to_write() -> None:
    with pytest.raises(ProxyError):
        encode(*V4, None, {1: b"x" * 40000, 2: b"x" * 40000})
