"""Octets in DEFLATE form between two sockets, moved by a real relay."""

from __future__ import annotations

import os
import select
import socket
import zlib
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL

from pymaild.net.deflate import PIECE, Deflated
from pymaild.net.relay import IN, RECORD, Closed, Relay
from tests.support.deflated import DeflatedSocket

FLUSHES = {
    "sync": zlib.Z_SYNC_FLUSH,
    "partial": zlib.Z_PARTIAL_FLUSH,
    "full": zlib.Z_FULL_FLUSH,
}


class Ends:
    """A client and a session with a relay between them, which moves when it is asked to."""

    def __init__(self, before: bytes = b"", level: int = 3, window: int = 13) -> None:
        self.wire, inside = socket.socketpair()
        self.session, outside = socket.socketpair()
        self._inside = (inside, outside)
        for sock in (self.wire, self.session, *self._inside):
            sock.setblocking(False)
        self.deflated = Deflated(inside, before, level, window)
        self.relay = Relay(self.deflated, outside)

    def move(self) -> None:
        """Move until nothing moves any more."""
        self.relay.move(IN, IN)
        while True:
            waits = self.relay.client_events, self.relay.worker_events
            poller = select.poll()
            for sock, events in zip(self._inside, waits, strict=True):
                poller.register(sock, events)
            ready = dict(poller.poll(0))
            if not any(ready.values()):
                return
            self.relay.move(*(ready.get(sock.fileno(), 0) for sock in self._inside))

    def close(self) -> None:
        for sock in (self.wire, self.session, *self._inside):
            sock.close()


def received(sock: socket.socket) -> bytes:
    data = b""
    try:
        while piece := sock.recv(1 << 20):
            data += piece
    except BlockingIOError:
        pass
    return data


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.close()


@given(
    up=st.lists(st.binary(min_size=1, max_size=3000), max_size=5),
    down=st.lists(st.binary(min_size=1, max_size=3000), max_size=5),
    cut=st.integers(1, 50),
    flush=st.sampled_from(sorted(FLUSHES)),
    window=st.integers(9, 15),
)
def test_both_ways(up: list[bytes], down: list[bytes], cut: int, flush: str, window: int) -> None:
    """However it is cut, and whichever flush and window the client uses."""
    client = DeflatedSocket(None, flush=FLUSHES[flush], window=window)
    packed = b"".join(client.packed(piece) for piece in up)
    ends = Ends(packed[:cut], window=window)
    try:
        came = b""
        for start in range(cut, len(packed), cut):
            ends.wire.send(packed[start : start + cut])
            ends.move()
            came += received(ends.session)
        ends.move()
        assert came + received(ends.session) == b"".join(up)
        inflate = zlib.decompressobj(-window)
        for piece in down:
            ends.session.send(piece)
            ends.move()
            assert inflate.decompress(received(ends.wire)) == piece  # at once, to its end
    finally:
        ends.close()


def bomb(size: int) -> bytes:
    return DeflatedSocket(None).packed(bytes(size))


def test_a_bomb_is_inflated_as_it_is_read(ends: Ends) -> None:
    """The rest stays deflated until the session has taken what there is."""
    packed = bomb(40_000_000)
    assert len(packed) < 40_000
    ends.wire.send(packed)
    ends.move()
    assert ends.relay.client_events == 0  # nothing more is read
    assert len(ends.deflated._input) <= PIECE
    assert len(ends.relay._up) <= RECORD
    total = 0
    while piece := received(ends.session):
        total += len(piece)
        ends.move()
    assert total == 40_000_000


def test_a_client_that_takes_nothing_stops_its_session(ends: Ends) -> None:
    noise = os.urandom(65536)
    sent = 0
    with suppress(BlockingIOError):
        while sent < 10_000_000:
            sent += ends.session.send(noise)
            ends.move()
    assert sent < 2_000_000
    assert ends.relay.stalled
    assert max(len(ends.deflated._output), len(ends.relay._down)) < 80_000
    inflate, total = zlib.decompressobj(-15), 0
    while piece := received(ends.wire):
        total += len(inflate.decompress(piece))
        ends.move()
    assert total == sent
    assert not ends.relay.stalled


@pytest.mark.parametrize("data", [b"\xff" * 100, b"a1 NOOP\r\n" * 10, bomb(10)[:-4] + b"\xff" * 9])
def test_what_is_not_deflated_ends_the_connection(ends: Ends, data: bytes) -> None:
    ends.wire.send(data)
    with pytest.raises(Closed):
        ends.move()


def test_a_last_block_is_the_end_of_what_the_client_says(ends: Ends) -> None:
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    data = deflate.compress(b"a1 LOGOUT\r\n") + deflate.flush(zlib.Z_FINISH)
    ends.wire.send(data + b"rubbish")
    ends.move()
    assert received(ends.session) == b"a1 LOGOUT\r\n"
    assert ends.session.recv(1) == b""
    ends.session.send(b"* BYE\r\n")
    ends.move()
    assert zlib.decompressobj(-15).decompress(received(ends.wire)) == b"* BYE\r\n"


def test_the_end_of_either_side(ends: Ends) -> None:
    ends.wire.shutdown(socket.SHUT_WR)
    ends.move()
    assert ends.session.recv(1) == b""
    ends.session.close()
    with pytest.raises(Closed):
        ends.move()


def test_a_client_that_is_gone(ends: Ends) -> None:
    ends.session.send(b"x")
    ends.wire.close()
    with pytest.raises(Closed):
        ends.move()
    with pytest.raises(SSL.Error):
        ends.deflated.recv(1)


def test_what_was_sent_can_be_forgotten() -> None:
    """For the client it is one stream all the same, also when half of a piece is on its way."""
    ends, inflate = Ends(), zlib.decompressobj(-15)
    news = b"* 11 EXISTS\r\n* 1 RECENT\r\n"
    sizes = []
    for forgets in (False, False, True, False):
        if forgets:
            ends.deflated.rest()
        ends.session.sendall(news)
        ends.move()
        data = received(ends.wire)
        sizes.append(len(data))
        assert inflate.decompress(data) == news
    assert sizes[0] == sizes[2] > sizes[1] == sizes[3]
    noise = os.urandom(1 << 20)
    with suppress(SSL.WantWriteError):
        ends.deflated.send(noise)
    ends.deflated.rest()
    found = b""
    while len(found) < len(noise):
        found += inflate.decompress(received(ends.wire))
        with suppress(SSL.WantWriteError):
            ends.deflated.send(noise if len(found) < len(noise) else b"")
    assert found[: len(noise)] == noise
    ends.close()
