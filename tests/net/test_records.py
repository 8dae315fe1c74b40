"""Records of TLS 1.3 without OpenSSL: known answers, both sides of OpenSSL, hostile clients."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL

from pymaild.net import records
from pymaild.net.handshake import Buffered, Handshake, any_size
from pymaild.net.records import ALERT, DATA, HANDSHAKE, HEADER, LARGEST, SUITES, Key, Records, keys
from pymaild.net.settings import TlsSettings
from pymaild.net.tls import Contexts
from tests.support import certs

SMALL = SUITES["TLS_AES_128_GCM_SHA256"]
CLIENT = bytes.fromhex("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5")
SERVER = bytes.fromhex("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643")

#: What the client of RFC 8448 §3 sends first: the octets 0 to 49.
SENT = bytes.fromhex(
    "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20"
    "441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4"
)


class Pair:
    """Records at one end, and keys at the other to say and hear anything with."""

    def __init__(self, suite: records.Suite = SMALL) -> None:
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.far.setblocking(False)
        self.records = Records(self.near, Key(suite, CLIENT), Key(suite, SERVER))
        self.ours, self.theirs = Key(suite, CLIENT), Key(suite, SERVER)

    def say(self, kind: int, data: bytes) -> None:
        self.far.sendall(self.ours.seal(kind, data))

    def hear(self, data: bytes = b"") -> list[tuple[int, bytes]]:
        """All records in ``data`` and what has come since, with their kinds."""
        found = []
        try:
            while piece := self.far.recv(1 << 20):
                data += piece
        except BlockingIOError:
            pass
        while data:
            end = HEADER + int.from_bytes(data[3:HEADER])
            inner = self.theirs.open(data[:end])
            found.append((inner[-1], inner[:-1]))
            data = data[end:]
            if found[-1][0] == HANDSHAKE:
                self.theirs.update()
        return found

    def close(self) -> None:
        self.near.close()
        self.far.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    both = Pair()
    yield both
    both.close()


def _endless(step: Callable[[], object]) -> None:
    while True:
        step()


def test_known_answer() -> None:
    """RFC 8448 §3 gives secrets, and a record under one of them."""
    assert Key(SMALL, CLIENT).seal(DATA, bytes(range(50))) == SENT
    assert Key(SMALL, CLIENT).open(SENT) == bytes(range(50)) + bytes((DATA,))


@pytest.mark.parametrize("name", SUITES)
def test_both_ways(name: str) -> None:
    both = Pair(SUITES[name])
    for number in range(3):
        both.say(DATA, b"up %d" % number)
        assert both.records.recv(LARGEST) == b"up %d" % number
        assert both.records.send(b"down %d" % number) == 6
        assert both.hear() == [(DATA, b"down %d" % number)]
    both.close()


def test_record_in_pieces(pair: Pair) -> None:
    record = pair.ours.seal(DATA, b"whole")
    for octet in record[:-1]:
        pair.far.sendall(bytes((octet,)))
        with pytest.raises(SSL.WantReadError):
            pair.records.recv(LARGEST)
        assert not pair.records.pending()
    pair.far.sendall(record[-1:] + pair.ours.seal(DATA, b"second"))
    assert pair.records.recv(LARGEST) == b"whole"
    assert pair.records.recv(LARGEST) == b"second"


def test_pending_is_a_whole_record(pair: Pair) -> None:
    pair.far.sendall(pair.ours.seal(DATA, b"one") + pair.ours.seal(DATA, b"two"))
    assert pair.records.recv(LARGEST) == b"one"
    assert pair.records.pending()
    assert pair.records.recv(LARGEST) == b"two"
    assert not pair.records.pending()


def test_much_is_split_and_resumed(pair: Pair) -> None:
    """A client that takes nothing: the same data again, and no octet twice."""
    data = bytes(range(256)) * 256
    sent, heard = 0, []
    while sent < 40:
        try:
            pair.records.send(data)
            sent += 1
        except SSL.WantWriteError:
            heard += _drained(pair)
    heard += _drained(pair)
    assert _opened(pair.theirs, b"".join(heard)) == data * 40


def _drained(pair: Pair) -> list[bytes]:
    found = []
    try:
        while True:
            found.append(pair.far.recv(1 << 20))
    except BlockingIOError:
        return found


def _opened(key: Key, data: bytes) -> bytes:
    found = []
    while data:
        end = HEADER + int.from_bytes(data[3:HEADER])
        assert end <= HEADER + LARGEST + 17
        found.append(key.open(data[:end])[:-1])
        data = data[end:]
    return b"".join(found)


def test_end(pair: Pair) -> None:
    pair.say(ALERT, b"\x01\x5a")  # user_canceled says nothing
    pair.say(ALERT, b"\x01\x00")
    with pytest.raises(SSL.ZeroReturnError):
        pair.records.recv(LARGEST)
    assert pair.records.shutdown()
    assert pair.hear() == [(ALERT, b"\x01\x00")]


def test_end_without_notice(pair: Pair) -> None:
    pair.far.close()
    with pytest.raises(SSL.SysCallError):
        pair.records.recv(LARGEST)
    with pytest.raises(SSL.SysCallError):
        pair.records.send(b"to nobody")


@pytest.mark.parametrize("asked", [0, 1])
def test_key_update(pair: Pair, asked: int) -> None:
    """The client's key changes, ours where it asks for that."""
    pair.say(HANDSHAKE, b"\x18\0\0\x01" + bytes((asked,)))
    pair.ours.update()
    pair.say(DATA, b"under the next key")
    assert pair.records.recv(LARGEST) == b"under the next key"
    pair.records.send(b"answer")
    update = [(HANDSHAKE, b"\x18\0\0\x01\0")] * asked
    assert pair.hear() == [*update, (DATA, b"answer")]


def test_key_update_amid_what_is_not_taken(pair: Pair) -> None:
    data = b"x" * 65536
    with pytest.raises(SSL.WantWriteError):
        _endless(lambda: pair.records.send(data))
    pair.say(HANDSHAKE, b"\x18\0\0\x01\x01")
    pair.ours.update()
    with pytest.raises(SSL.WantReadError):
        pair.records.recv(LARGEST)
    heard = b"".join(_drained(pair))
    while not _taken(pair, data):
        heard += b"".join(_drained(pair))
    pair.records.send(b"end")
    found = pair.hear(heard)
    assert [kind for kind, _ in found].count(HANDSHAKE) == 1
    assert found[-1] == (DATA, b"end")
    assert sum(len(octets) for kind, octets in found if kind == DATA) % 65536 == 3


def _taken(pair: Pair, data: bytes) -> bool:
    try:
        return bool(pair.records.send(data))
    except SSL.WantWriteError:
        return False


def test_our_key_is_changed_in_time(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 8446 §5.5: a key is for a number of records."""
    monkeypatch.setattr(records, "_MOST_RECORDS", 2)
    for _ in range(5):
        pair.records.send(b"x")
    kinds = [kind for kind, _ in pair.hear()]
    assert kinds == [DATA, DATA, HANDSHAKE, DATA, DATA, HANDSHAKE, DATA]


def _flipped(key: Key) -> bytes:
    record = key.seal(DATA, b"data")
    return record[:-1] + bytes((record[-1] ^ 1,))


_LONG = b"\x17\x03\x03" + (LARGEST + 257).to_bytes(2) + bytes(LARGEST + 256)

HOSTILE: dict[str, tuple[Callable[[Key], bytes], int]] = {
    "changed": (_flipped, 20),
    "again": (lambda key: key.seal(DATA, b"a") * 2, 20),
    "plain alert": (lambda key: b"\x15\x03\x03\0\x02\x01\0", 10),
    "change of cipher": (lambda key: b"\x14\x03\x03\0\x01\x01", 10),
    "no tls": (lambda key: b"a LOGIN x y\r\n", 10),
    "too long": (lambda key: _LONG, 22),
    "carries too much": (lambda key: key.seal(DATA, bytes(LARGEST) + b"1"), 22),
    "empty": (lambda key: b"\x17\x03\x03\0\0", 20),
    "of no kind": (lambda key: key.seal(0, b"\0\0"), 10),
    "other kind": (lambda key: key.seal(20, b"\x01"), 10),
    "other handshake": (lambda key: key.seal(HANDSHAKE, b"\x01\0\0\0"), 10),
    "no handshake": (lambda key: key.seal(HANDSHAKE, b""), 10),
    "wrong key update": (lambda key: key.seal(HANDSHAKE, b"\x18\0\0\x01\x02"), 10),
    "two key updates": (lambda key: key.seal(HANDSHAKE, b"\x18\0\0\x01\0" * 2), 10),
    "short alert": (lambda key: key.seal(ALERT, b"\x01"), 50),
    "nothing, often": (lambda key: b"".join(key.seal(DATA, b"") for _ in range(40)), 10),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(pair: Pair, name: str) -> None:
    """Each ends the connection, and the client is told why (RFC 8446 §6.2)."""
    make, alert = HOSTILE[name]
    pair.far.sendall(make(pair.ours))
    with pytest.raises(SSL.Error) as caught:
        _endless(lambda: pair.records.recv(LARGEST) and pair.records.pending())
    assert not isinstance(caught.value, SSL.WantReadError)
    assert pair.hear() == [(ALERT, bytes((2, alert)))]


def test_padding(pair: Pair) -> None:
    pair.far.sendall(pair.ours.seal(0, b"padded\x17" + bytes(99)))
    assert pair.records.recv(LARGEST) == b"padded"


def test_clients_alert(pair: Pair) -> None:
    pair.say(ALERT, b"\x02\x28")
    with pytest.raises(SSL.Error, match="alert 40"):
        pair.records.recv(LARGEST)


def test_keys_follow_what_was_sent() -> None:
    """Only behind records that are all authentic, and tickets."""
    name = "TLS_AES_128_GCM_SHA256"
    key = Key(SMALL, SERVER)
    said = key.seal(HANDSHAKE, b"ticket") + key.seal(HANDSHAKE, b"another")
    found = keys(name, CLIENT, SERVER, said)
    assert found
    assert [item.number for item in found] == [0, 2]
    assert keys(name, CLIENT, CLIENT, said) is None
    assert keys(name, CLIENT, SERVER, said[HEADER + 23 :]) is None
    assert keys(name, CLIENT, SERVER, key.seal(DATA, b"data")) is None
    assert keys(name, CLIENT, SERVER, Key(SMALL, SERVER).seal(DATA, b"data")) is None
    assert keys("TLS_AES_128_CCM_SHA256", CLIENT, SERVER, b"") is None


# -- behind a handshake of OpenSSL ---------------------------------------------------------------


@pytest.fixture
def context(tmp_path: Path) -> SSL.Context:
    certificate, key = certs.make(tmp_path)
    contexts = Contexts(TlsSettings())
    contexts.load([(certificate.read_bytes(), key.read_bytes())], b"")
    return contexts.default("never")


def _client(sock: socket.socket, suite: str = "", newest: int = SSL.TLS1_3_VERSION) -> Any:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(newest)
    if suite:
        context.set_tls13_ciphersuites(suite.encode())
    client = SSL.Connection(context, sock)
    client.set_connect_state()
    return client


def _shaken(handshake: Handshake, client: Any) -> None:
    waiting: list[Callable[[], None]] = [client.do_handshake, handshake.go_on]
    while waiting:
        for step in list(waiting):
            try:
                step()
                waiting.remove(step)
            except SSL.WantReadError:
                continue


def _ends() -> tuple[socket.socket, socket.socket]:
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    return near, far


@pytest.mark.parametrize("name", [*SUITES, "TLSv1.2"])
def test_after_a_handshake(context: SSL.Context, name: str) -> None:
    """What the client says at once is not lost; both ends understand each other to the end."""
    near, far = _ends()
    handshake = Handshake(context, near)
    old = name == "TLSv1.2"
    client = _client(far, newest=SSL.TLS1_2_VERSION) if old else _client(far, name)
    _shaken(handshake, client)
    client.send(b"one")
    client.send(b"two")
    server = handshake.connection()
    assert isinstance(server, Buffered if old else Records)
    assert [server.recv(LARGEST), server.recv(LARGEST)] == [b"one", b"two"]
    with pytest.raises(SSL.WantReadError):
        server.recv(LARGEST)
    left = b"x" * 40_000
    while left:
        left = left[server.send(left) :]
    heard = b""
    while len(heard) < 40_000:
        heard += client.recv(65536)
    assert heard == b"x" * 40_000
    server.shutdown()
    with pytest.raises(SSL.ZeroReturnError):
        client.recv(100)
    client.shutdown()
    with pytest.raises(SSL.ZeroReturnError):
        server.recv(LARGEST)
    near.close()
    far.close()


def test_said_with_the_last_of_the_handshake(context: SSL.Context) -> None:
    near, far = _ends()
    handshake, client = Handshake(context, near), _client(far)
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    with pytest.raises(SSL.WantReadError):
        handshake.go_on()
    client.do_handshake()
    client.send(b"a LOGIN x y\r\n")
    handshake.go_on()
    assert handshake.connection().recv(LARGEST) == b"a LOGIN x y\r\n"
    near.close()
    far.close()


def _hello(*extensions: tuple[int, bytes]) -> bytes:
    rows = [kind.to_bytes(2) + len(value).to_bytes(2) + value for kind, value in extensions]
    tail = b"".join(rows)
    body = bytes(34) + b"\x02id" + b"\0\x02\x13\x01" + b"\x01\0" + len(tail).to_bytes(2) + tail
    message = b"\x01" + len(body).to_bytes(3) + body
    return b"\x16\x03\x01" + len(message).to_bytes(2) + message


def test_clients_that_want_small_records() -> None:
    """RFC 6066 §4, RFC 8449 §4: those stay with OpenSSL, as does who is not understood."""
    assert any_size(_hello())
    assert any_size(_hello((0, b"name"), (28, b"\x40\x01")))
    assert not any_size(_hello((0, b"name"), (28, b"\x40\x00")))
    assert not any_size(_hello((1, b"\x01")))
    assert not any_size(_hello((0, b"name"))[:-1])
    assert not any_size(b"")
    assert not any_size(b"\x17" + _hello()[1:])
    assert not any_size(_hello()[:50])


def test_client_that_wants_small_records_gets_them(context: SSL.Context) -> None:
    """Whoever may not have any size is served by OpenSSL, also in TLS 1.3."""
    near, far = _ends()
    handshake, client = Handshake(context, near), _client(far)
    _shaken(handshake, client)
    handshake._hello = _hello((1, b"\x01"))
    server = handshake.connection()
    assert isinstance(server, Buffered)
    server.send(b"still here")
    assert client.recv(100) == b"still here"
    client.send(b"yes")
    assert server.recv(LARGEST) == b"yes"
    near.close()
    far.close()
