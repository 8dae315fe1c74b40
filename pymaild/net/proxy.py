"""The PROXY protocol, versions 1 and 2: who is at the other side of a proxy. No I/O here.

Source: "The PROXY protocol, versions 1 & 2" by Willy Tarreau (haproxy.org); section numbers
below are of that text. Version 2 is also what the tls role writes to the workers' private
socket, with values of our own from the range that §2.2.7 leaves to applications; they are
believed on that socket alone.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from pymaild.core.session import Peer, TlsFacts

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"  # §2.2
LONGEST_V1 = 107  # §2.1, CRLF included
LONGEST_PUBLIC = 4096  # octets behind the fixed part of version 2 that a public proxy may send
LONGEST_PRIVATE = 65535

_FIXED = struct.Struct("!12sBBH")
_TLV = struct.Struct("!BH")
_SSL = struct.Struct("!BI")
_CLIENT_SSL = 0x01
_IPV4 = struct.Struct("!4s4sHH")
_IPV6 = struct.Struct("!16s16sHH")


class Tlv(IntEnum):
    """Types of values behind the addresses (§2.2.6, §2.2.7)."""

    AUTHORITY = 0x02
    SSL = 0x20
    SSL_VERSION = 0x21
    SSL_CN = 0x22
    SSL_CIPHER = 0x23
    EXPORTER = 0xE0  # ours: tls-exporter channel binding, 32 octets (RFC 9266 §2)
    LISTENER = 0xE1  # ours: title of the public listener
    RECORD = 0xE2  # ours: encoded SessionRecord of a session that asked for TLS
    CLIENT_NAME = 0xE3  # ours: the user whom the client's certificate names


class ProxyError(Exception):
    """This is no PROXY header, or one that cannot be right."""


@dataclass(slots=True)
class Header:
    """What a proxy said. Without addresses (LOCAL, UNKNOWN) the connection's own count."""

    peer: Peer | None = None
    local: Peer | None = None
    values: dict[int, bytes] = field(default_factory=dict)

    def tls(self) -> TlsFacts | None:
        """Return what the proxy said of TLS, or None when the client had none (§2.2.5)."""
        ssl = self.values.get(Tlv.SSL)
        if ssl is None or len(ssl) < _SSL.size:
            return None
        client, verify = _SSL.unpack_from(ssl)
        if not client & _CLIENT_SSL:
            return None
        inner = dict(_tlvs(ssl[_SSL.size :]))
        return TlsFacts(
            version=_text(inner.get(Tlv.SSL_VERSION, b"")),
            cipher=_text(inner.get(Tlv.SSL_CIPHER, b"")),
            server_name=_text(self.values.get(Tlv.AUTHORITY, b"")),
            client_subject=_text(inner.get(Tlv.SSL_CN, b"")) if verify == 0 else "",
            exporter=self.values.get(Tlv.EXPORTER, b""),
            client_name=self.values.get(Tlv.CLIENT_NAME, b"").decode("utf-8", "replace"),
        )


class Reader:
    """Takes a header from the front of a stream and not one octet more.

    Feed it what has been peeked at; it says how much of that belongs to the header and has to
    be consumed. ``header`` is set when all is there.
    """

    def __init__(self, private: bool = False) -> None:
        self.header: Header | None = None
        self._private = private
        self._data = b""

    def feed(self, data: bytes) -> int:
        """Return how many octets of ``data`` to consume. Raises ProxyError."""
        whole = self._data + data[: LONGEST_PRIVATE + _FIXED.size]
        if whole[: len(SIGNATURE)] == SIGNATURE[: len(whole)]:
            end = self._end_v2(whole)
        elif not self._private and whole[:6] == b"PROXY "[: len(whole)]:
            end = self._end_v1(whole)
        else:
            raise ProxyError("no PROXY header")
        taken = min(end, len(whole)) - len(self._data)
        self._data = whole[:end]
        if len(whole) >= end:
            self.header = self._parsed()
        return taken

    def _end_v1(self, whole: bytes) -> int:
        end = whole.find(b"\n", 0, LONGEST_V1) + 1
        if not end and len(whole) >= LONGEST_V1:
            raise ProxyError("PROXY line too long")
        return end or len(whole) + 1

    def _end_v2(self, whole: bytes) -> int:
        if len(whole) < _FIXED.size:
            return _FIXED.size
        length = int(_FIXED.unpack_from(whole)[3])
        if length > (LONGEST_PRIVATE if self._private else LONGEST_PUBLIC):
            raise ProxyError("PROXY header too long")
        return _FIXED.size + length

    def _parsed(self) -> Header:
        header = _parse_v2(self._data) if self._data[:1] == b"\r" else _parse_v1(self._data)
        if not self._private:
            header.values = {t: v for t, v in header.values.items() if t < Tlv.EXPORTER}
        return header


_V1 = re.compile(rb"PROXY (TCP[46]) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) (\d{1,5}) (\d{1,5})\r\n")


def _parse_v1(line: bytes) -> Header:
    """Read ``PROXY TCP4 src dst sport dport`` (§2.1)."""
    if line.startswith(b"PROXY UNKNOWN") and line.endswith(b"\r\n"):
        return Header()
    found = _V1.fullmatch(line)
    if found is None:
        raise ProxyError("malformed PROXY line")
    family, *ends = (part.decode() for part in found.groups())
    kind = ipaddress.IPv4Address if family == "TCP4" else ipaddress.IPv6Address
    try:
        source, target = (address_text(kind(end).packed) for end in ends[:2])
    except ValueError:
        raise ProxyError("malformed address in PROXY line") from None
    ports = int(ends[2]), int(ends[3])
    if max(ports) > 65535:
        raise ProxyError("malformed port in PROXY line")
    return Header(Peer(source, ports[0]), Peer(target, ports[1]))


def _parse_v2(data: bytes) -> Header:
    """Read the binary form (§2.2)."""
    _, version, family, _ = _FIXED.unpack_from(data)
    if version not in (0x20, 0x21):
        raise ProxyError("unknown version or command of PROXY header")
    rest = data[_FIXED.size :]
    if version == 0x20:  # LOCAL: a health check of the proxy itself
        return Header()
    size, layout = _FAMILIES.get(family, (0, None))
    if len(rest) < size:
        raise ProxyError("PROXY header without its addresses")
    header = Header(values=dict(_tlvs(rest[size:])))
    if layout is not None:
        source, target, *ports = layout.unpack_from(rest)
        header.peer = Peer(address_text(source), ports[0])
        header.local = Peer(address_text(target), ports[1])
    return header


def address_text(packed: bytes) -> str:
    """Write an address; IPv4 inside IPv6 (RFC 4291 §2.5.5.2) gets its own form."""
    address = ipaddress.ip_address(packed)
    if address.version == 6 and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


#: Family and transport -> size of the addresses and their layout (§2.2, "stream" ones).
_FAMILIES: dict[int, tuple[int, struct.Struct | None]] = {
    0x11: (_IPV4.size, _IPV4),
    0x21: (_IPV6.size, _IPV6),
    0x31: (216, None),  # Unix sockets; the paths say nothing that is needed
}


def _tlvs(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset < len(data):
        if len(data) - offset < _TLV.size:
            raise ProxyError("truncated value in PROXY header")
        kind, length = _TLV.unpack_from(data, offset)
        offset += _TLV.size
        if offset + length > len(data):
            raise ProxyError("truncated value in PROXY header")
        yield kind, data[offset : offset + length]
        offset += length


def _text(data: bytes) -> str:
    """Make printable text of what a peer said."""
    text = data.decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "?" for c in text)


def _pack_tlv(kind: int, value: bytes) -> bytes:
    return _TLV.pack(kind, len(value)) + value


def encode(peer: Peer, local: Peer, tls: TlsFacts | None, values: dict[int, bytes]) -> bytes:
    """Write a version 2 header. Raises ProxyError when it does not fit."""
    family, addresses = _addresses(peer, local)
    body = addresses + b"".join(_pack_tlv(kind, value) for kind, value in values.items())
    if tls is not None:
        body += _encode_tls(tls)
    if len(body) > LONGEST_PRIVATE:
        raise ProxyError("PROXY header too long")
    return _FIXED.pack(SIGNATURE, 0x21, family, len(body)) + body


def _addresses(peer: Peer, local: Peer) -> tuple[int, bytes]:
    if not peer.address or not local.address:
        return 0x00, b""
    source, target = ipaddress.ip_address(peer.address), ipaddress.ip_address(local.address)
    if source.version == target.version == 4:
        return 0x11, _IPV4.pack(source.packed, target.packed, peer.port, local.port)
    return 0x21, _IPV6.pack(_as_v6(source), _as_v6(target), peer.port, local.port)


def _as_v6(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bytes:
    return address.packed.rjust(16, b"\0") if address.version == 6 else _mapped(address.packed)


def _mapped(packed: bytes) -> bytes:
    return b"\0" * 10 + b"\xff\xff" + packed


def _encode_tls(tls: TlsFacts) -> bytes:
    inner = _pack_tlv(Tlv.SSL_VERSION, tls.version.encode())
    inner += _pack_tlv(Tlv.SSL_CIPHER, tls.cipher.encode())
    if tls.client_subject:
        inner += _pack_tlv(Tlv.SSL_CN, tls.client_subject.encode())
    client = _CLIENT_SSL | (0x02 if tls.client_subject else 0)
    values = {Tlv.SSL: _SSL.pack(client, 0) + inner}
    if tls.server_name:
        values[Tlv.AUTHORITY] = tls.server_name.encode()
    if tls.exporter:
        values[Tlv.EXPORTER] = tls.exporter
    if tls.client_name:
        values[Tlv.CLIENT_NAME] = tls.client_name.encode("utf-8", "replace")
    return b"".join(_pack_tlv(kind, value) for kind, value in values.items())
