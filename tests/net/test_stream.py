"""The stream over real sockets, with a supervisor that a test steers."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pymaild.core.errors import Disconnected, Leave, TimedOut
from pymaild.core.session import Event, SessionRecord
from pymaild.net import _journal
from pymaild.net.sender import HIGH_WATER, SMALL_FILE
from pymaild.net.stream import SocketStream

SIZE = 4 * 1024 * 1024  # more than sockets hold


class Wishes:
    """A supervisor over a pipe: what is written there is what the server wants."""

    def __init__(self) -> None:
        self.leaving = ""
        self.urgent = False
        self.beats = 0
        self._read, self._write = os.pipe()

    def wish(self, urgent: bool = False) -> None:
        os.write(self._write, b"!" if urgent else b".")

    def fileno(self) -> int:
        return self._read

    def rest(self) -> None:
        pass

    def attend(self) -> None:
        self.urgent = b"!" in os.read(self._read, 100)
        self.leaving = "go"

    def beat(self) -> None:
        self.beats += 1

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


class Pair:
    """A stream and the client's socket."""

    def __init__(self, family: str, write_timeout: float = 20.0) -> None:
        if family.startswith("unix"):
            self.client, self.server = socket.socketpair()
        else:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                self.client = socket.create_connection(listener.getsockname())
                self.server, _ = listener.accept()
        self.client.settimeout(20)
        self.wishes = Wishes()
        self.memory = _journal.make(1)
        journal = _journal.Journal(self.memory, 0) if family.endswith("journal") else None
        self.stream = SocketStream(self.server, self.wishes, write_timeout, journal)
        self.stream.begin(SessionRecord(id="a"))

    def close(self) -> None:
        self.client.close()
        self.server.close()
        self.wishes.close()
        os.close(self.memory)

    def left(self) -> _journal.Remains:
        """What another process would find."""
        found = _journal.remains(self.memory, 0)
        assert found is not None
        return found

    def receive(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            piece = self.client.recv(65536)
            if not piece:
                break
            data += piece
        return bytes(data)


@pytest.fixture(params=["tcp", "unix", "tcp journal", "unix journal"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    made = Pair(request.param)
    yield made
    made.close()


@pytest.fixture
def journaled() -> Iterator[Pair]:
    made = Pair("unix journal")
    yield made
    made.close()


def beside(action: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=action)
    thread.start()
    return thread


def test_read_returns_what_is_there(pair: Pair) -> None:
    pair.client.sendall(b"a NOOP\r\n")
    assert pair.stream.read(10) == b"a NOOP\r\n"


def test_read_is_bounded(pair: Pair) -> None:
    sender = beside(lambda: pair.client.sendall(b"x" * SIZE))
    total = 0
    while total < SIZE:
        data = pair.stream.read(10)
        assert 0 < len(data) <= 65536
        total += len(data)
    sender.join()


def test_read_flushes_first(pair: Pair) -> None:
    pair.stream.write(b"* OK ")
    pair.stream.write(memoryview(b"ready\r\n"))
    with pytest.raises(TimedOut):
        pair.stream.read(0)
    assert pair.receive(12) == b"* OK ready\r\n"


def test_end_of_file(pair: Pair) -> None:
    pair.client.close()
    with pytest.raises(Disconnected):
        pair.stream.read(10)


def test_last_words_before_the_end_of_file(pair: Pair) -> None:
    """What a client sent before it closed is read first."""
    pair.client.sendall(b"QUIT\r\n")
    pair.client.shutdown(socket.SHUT_WR)
    assert pair.stream.read(10) == b"QUIT\r\n"
    with pytest.raises(Disconnected):
        pair.stream.read(10)


def test_leave_only_when_idle(pair: Pair) -> None:
    pair.wishes.wish()
    with pytest.raises(Leave, match="go"):
        pair.stream.read(10)
    with pytest.raises(Leave):  # and again: it is still wanted
        pair.stream.read(10)
    pair.client.sendall(b"rest of a literal")
    assert pair.stream.read(10, idle=False) == b"rest of a literal"
    pair.stream.write(b"bye")
    pair.stream.flush()
    assert pair.receive(3) == b"bye"


def test_orders_come_before_what_the_client_says(pair: Pair) -> None:
    """A client that never pauses does not keep the server from stopping its session."""
    pair.client.sendall(b"a NOOP\r\n" * 100)
    pair.wishes.wish()
    assert pair.stream.read(10, idle=False).startswith(b"a NOOP")
    assert pair.wishes.leaving
    pair.client.sendall(b"a NOOP\r\n")
    pair.wishes.wish(urgent=True)
    with pytest.raises(Disconnected, match="go"):
        pair.stream.read(10, idle=False)


def test_urgent_interrupts_a_command(pair: Pair) -> None:
    pair.wishes.wish(urgent=True)
    with pytest.raises(Disconnected):
        pair.stream.read(10, idle=False)


def test_last_words_of_an_urgent_leave(pair: Pair) -> None:
    """The reason can still be told to a client that reads."""
    pair.wishes.wish(urgent=True)
    with pytest.raises(Leave):
        pair.stream.read(10)
    pair.stream.write(b"bye")
    pair.stream.flush()
    assert pair.receive(3) == b"bye"


def test_many_small_writes(pair: Pair) -> None:
    """More pieces than one sendmsg takes, and more octets than the buffer holds."""
    reader: list[bytes] = []
    pieces = [bytes([65 + n % 26]) * (n % 700) for n in range(5000)]
    thread = beside(lambda: reader.append(pair.receive(sum(map(len, pieces)))))
    for piece in pieces:
        pair.stream.write(piece)
    pair.stream.flush()
    thread.join()
    assert reader[0] == b"".join(pieces)


def test_writes_are_bounded(pair: Pair) -> None:
    """Nobody has to flush: the queue is sent when it is high."""
    thread = beside(lambda: pair.receive(SIZE))
    for _ in range(SIZE // 4096):
        pair.stream.write(b"x" * 4096)
        assert pair.stream._queued < HIGH_WATER
    pair.stream.flush()
    thread.join()


@pytest.mark.parametrize("count", [0, 1, SMALL_FILE, SMALL_FILE + 1, SIZE])
def test_file_between_other_output(pair: Pair, tmp_path: Path, count: int) -> None:
    """Order is kept, and the file's own position is not moved."""
    body = os.urandom(count)
    path = tmp_path / "body"
    path.write_bytes(b"skip" + body + b"rest")
    received: list[bytes] = []
    thread = beside(lambda: received.append(pair.receive(count + 10)))
    with path.open("rb") as file:
        pair.stream.write(b"<<<<<")
        pair.stream.write_file(file.fileno(), 4, count)
        pair.stream.write(b">>>>>")
        pair.stream.flush()
        assert file.tell() == 0
    thread.join()
    assert received[0] == b"<<<<<" + body + b">>>>>"


@pytest.mark.parametrize("count", [SMALL_FILE, SMALL_FILE * 2])
def test_file_that_is_too_short(pair: Pair, tmp_path: Path, count: int) -> None:
    """The client was promised more octets than there are: only closing is honest."""
    path = tmp_path / "body"
    path.write_bytes(b"x" * (count - 1))
    with path.open("rb") as file, pytest.raises(Disconnected):
        pair.stream.write_file(file.fileno(), 0, count)


def test_client_gone_while_writing(pair: Pair) -> None:
    pair.client.close()

    def write_on() -> None:
        for _ in range(SIZE // 4096):
            pair.stream.write(b"x" * 4096)
            pair.stream.flush()

    with pytest.raises(Disconnected):
        write_on()


@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_client_that_takes_nothing(family: str, tmp_path: Path) -> None:
    """The kernel may notice first (TCP_USER_TIMEOUT)."""
    pair = Pair(family, write_timeout=0.2)
    try:
        with pytest.raises(Disconnected, match=r"takes nothing|timed out"):
            pair.stream.write(b"x" * SIZE * 4)
    finally:
        pair.close()


def test_urgent_interrupts_a_write(pair: Pair) -> None:
    pair.wishes.wish(urgent=True)
    with pytest.raises(Disconnected, match="go"):
        pair.stream.write(b"x" * SIZE * 4)


def test_leave_does_not_interrupt_a_write(pair: Pair) -> None:
    pair.wishes.wish()
    received: list[bytes] = []
    thread = beside(lambda: received.append(pair.receive(SIZE)))
    pair.stream.write(b"x" * SIZE)
    thread.join()
    assert len(received[0]) == SIZE


def test_wait_for_the_client(pair: Pair) -> None:
    pair.stream.write(b"+ idling\r\n")
    pair.client.sendall(b"DONE\r\n")
    assert pair.stream.wait(10, None) is Event.CLIENT
    assert pair.receive(10) == b"+ idling\r\n"
    assert pair.stream.read(10) == b"DONE\r\n"


def test_wait_for_a_watch(pair: Pair) -> None:
    watch = os.eventfd(0)
    try:
        assert pair.stream.wait(0, watch) is Event.TIMEOUT
        os.eventfd_write(watch, 1)
        assert pair.stream.wait(10, watch) is Event.WATCH
        pair.client.sendall(b"DONE\r\n")
        assert pair.stream.wait(10, watch) in (Event.CLIENT, Event.WATCH)
    finally:
        os.close(watch)
    assert pair.stream.wait(10, None) is Event.CLIENT


def test_wait_ends_with_the_client(pair: Pair) -> None:
    pair.client.close()
    assert pair.stream.wait(10, None) is Event.CLIENT
    with pytest.raises(Disconnected):
        pair.stream.read(10)


def test_wait_ends_with_leave(pair: Pair) -> None:
    pair.wishes.wish()
    with pytest.raises(Leave):
        pair.stream.wait(10, None)
    with pytest.raises(Leave):
        pair.stream.wait(10, None)


def test_pause_lasts(pair: Pair) -> None:
    """Also when the client has sent something meanwhile: it does not help."""
    pair.client.sendall(b"again\r\n")
    began = time.monotonic()
    pair.stream.pause(0.2)
    assert time.monotonic() - began >= 0.2
    assert pair.stream.read(10) == b"again\r\n"


def test_pause_ends_when_the_client_goes(pair: Pair) -> None:
    pair.client.close()
    pair.stream.pause(1000)


def test_pause_ends_when_the_server_leaves(pair: Pair) -> None:
    pair.wishes.wish()
    pair.stream.pause(1000)


def test_signs_of_life(pair: Pair) -> None:
    pair.client.sendall(b"x")
    pair.stream.read(10)
    assert pair.wishes.beats > 0


# -- with a journal ----------------------------------------------------------------------------


def test_a_reply_is_sent_behind_its_checkpoint(journaled: Pair) -> None:
    journaled.client.sendall(b"a NOOP\r\nb")
    journaled.stream.read(10)
    journaled.stream.write(b"a OK\r\n")
    journaled.stream.commit(lambda: b"{}", 1)
    left = journaled.left()
    assert (left.record, left.unread, left.outbox) == (b"{}", b"b", b"a OK\r\n")
    journaled.stream.flush()
    assert journaled.receive(6) == b"a OK\r\n"
    assert (journaled.left().outbox, journaled.left().begun) == (b"", False)


def test_what_is_sent_of_a_command_under_way(journaled: Pair, tmp_path: Path) -> None:
    """It cannot run again, until it has ended."""
    journaled.stream.write(b"* 1 FETCH")
    assert not journaled.left().begun
    journaled.stream.flush()
    assert journaled.left().begun
    journaled.stream.commit(None, 0)
    assert not journaled.left().begun
    (tmp_path / "body").write_bytes(b"x" * SMALL_FILE * 2)
    thread = beside(lambda: journaled.receive(SMALL_FILE * 2))
    with (tmp_path / "body").open("rb") as file:
        journaled.stream.write_file(file.fileno(), 0, SMALL_FILE * 2)
    thread.join()
    assert journaled.left().begun


def test_a_question_is_not_a_part_of_the_reply(journaled: Pair) -> None:
    assert journaled.stream.ask(b"+ OK\r\n", 5)
    journaled.client.sendall(b"abcde")
    assert journaled.stream.read(10, idle=False) == b"abcde"
    assert journaled.receive(6) == b"+ OK\r\n"
    assert (journaled.left().asked, journaled.left().begun) == (b"+ OK\r\n", False)
    journaled.stream.write(b"* begun\r\n")
    journaled.stream.ask(b"+ more\r\n")
    assert journaled.left().begun


def test_notices_do_not_begin_a_reply(journaled: Pair) -> None:
    journaled.stream.write(b"* 1 FETCH ...\r\n")
    journaled.stream.offer(b"* OK [INPROGRESS]\r\n")
    assert journaled.receive(19) == b"* OK [INPROGRESS]\r\n"
    assert not journaled.left().begun
    journaled.stream.flush()
    journaled.stream.offer(b"* OK [INPROGRESS]\r\n")
    assert journaled.receive(34) == b"* 1 FETCH ...\r\n* OK [INPROGRESS]\r\n"


def test_a_large_reply_is_sent_before_its_checkpoint(journaled: Pair) -> None:
    received: list[bytes] = []
    thread = beside(lambda: received.append(journaled.receive(HIGH_WATER - 1)))
    journaled.stream.write(b"x" * (HIGH_WATER - 1))
    journaled.stream.commit(None, 0)
    journaled.stream.flush()
    thread.join()
    assert len(received[0]) == HIGH_WATER - 1


def test_who_waits_does_not_work(journaled: Pair) -> None:
    assert journaled.left().running
    with pytest.raises(TimedOut):
        journaled.stream.read(0)
    assert not journaled.left().running
    assert journaled.stream.wait(0, None) is Event.TIMEOUT
    assert journaled.left().running


def test_the_outbox_of_a_record_is_sent_without_a_journal() -> None:
    pair = Pair("unix")
    record = SessionRecord(outbox=b"a OK\r\n")
    pair.stream.begin(record)
    pair.stream.flush()
    assert (pair.receive(6), record.outbox) == (b"a OK\r\n", b"")
    pair.close()
