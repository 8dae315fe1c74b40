"""What a client has yet to take: octets in a file, in front of all that is said later."""

from __future__ import annotations

import os
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymaild.core.errors import Disconnected, Parked
from pymaild.core.session import Cause, SessionRecord, Wait
from pymaild.net import backlog
from pymaild.net.backlog import Backlog
from pymaild.net.sender import SMALL_FILE
from pymaild.net.stream import SocketStream

from .test_stream import Pair

SIZE = 12 * 1024 * 1024  # more than the sockets of a connection hold
WHOLE = b"".join(b"%07d\n" % i for i in range(SIZE // 8))


@pytest.fixture(params=["tcp", "unix", "tcp journal", "unix journal"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    made = Pair(request.param)
    lose_patience(made.stream, tmp_path)
    yield made
    made.stream.close()
    made.close()


@pytest.fixture
def journaled(tmp_path: Path) -> Iterator[Pair]:
    made = Pair("unix journal")
    lose_patience(made.stream, tmp_path)
    yield made
    made.stream.close()
    made.close()


def lose_patience(stream: SocketStream, folder: Path, most: int = 2 * SIZE) -> None:
    stream.patience = lambda silence: -1.0
    stream.folder, stream.most = str(folder), most


def parked(stream: SocketStream, unread: bytes = b"") -> Wait:
    """Park the session, which has a backlog."""
    with pytest.raises(Parked):
        stream.turn()
    record = SessionRecord(id="a", unread=unread, wait=Wait())
    stream.flush()  # as sessions do at their end
    stream.park(record)
    assert record.wait is not None
    assert record.wait.backlog >= 0
    return record.wait


def sent(pair: Pair, wait: Wait, count: int) -> bytes:
    """What the client gets of which the rest is in the backlog."""
    found = bytearray()
    while len(found) < count:
        while left := backlog.left(wait.backlog):
            if not backlog.send(wait.backlog, pair.server.fileno(), left):
                break
        found += pair.client.recv(65536)
    os.close(wait.backlog)
    return bytes(found)


# -- the file ----------------------------------------------------------------------------------


def test_who_has_a_descriptor_knows_what_was_sent(pair: Pair, tmp_path: Path) -> None:
    made = Backlog.make(str(tmp_path))
    made.add(b"abcdef")
    other = os.dup(made.fd)
    assert backlog.send(made.fd, pair.server.fileno(), 2) == 2
    made.close()
    assert backlog.left(other) == 4
    assert Backlog(other).send(pair.server.fileno())
    assert pair.receive(6) == b"abcdef"
    os.close(other)


def test_all_or_none(tmp_path: Path) -> None:
    """A full disk leaves what was there before."""
    made = Backlog.make(str(tmp_path))
    made.add(b"abcdef")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            made.add(b"ghijkl")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert made.size == backlog.left(made.fd) == 6
    made.close()


def test_a_shorter_file(pair: Pair, tmp_path: Path) -> None:
    """Nothing is made up for what is missing."""
    made = Backlog.make(str(tmp_path))
    made.add(b"abcdef")
    os.ftruncate(made.fd, 0)
    with pytest.raises(OSError, match="shorter"):
        backlog.send(made.fd, pair.server.fileno(), 6)
    made.close()


# -- the stream --------------------------------------------------------------------------------


def test_pieces(pair: Pair) -> None:
    for start in range(0, SIZE, 50_000):
        pair.stream.write(WHOLE[start : start + 50_000])
    assert sent(pair, parked(pair.stream), SIZE) == WHOLE


def test_a_file(pair: Pair) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(WHOLE)
        file.flush()
        pair.stream.write(b"<")
        pair.stream.write_file(file.fileno(), 0, SIZE)
        pair.stream.write_file(file.fileno(), 8, SMALL_FILE)
        pair.stream.write(b">")
    expected = b"<" + WHOLE + WHOLE[8 : 8 + SMALL_FILE] + b">"
    assert sent(pair, parked(pair.stream), len(expected)) == expected


def test_nothing_comes_ahead(pair: Pair) -> None:
    pair.stream.write(WHOLE)
    pair.stream.commit(lambda: b"record", 0)
    pair.stream.offer(b"* OK\n")
    pair.stream.ask(b"+ go on\n")
    pair.stream.write(b"end\n")
    pair.stream.commit(None, 0)
    expected = WHOLE + b"* OK\n+ go on\nend\n"
    assert sent(pair, parked(pair.stream), len(expected)) == expected


def test_small_replies_that_nobody_reads(pair: Pair) -> None:
    """They are in the journal, and go from there into the file."""
    lines = [b"%07d\n" % i * 512 for i in range(SIZE // 4096)]
    for line in lines:
        pair.stream.write(line)
        pair.stream.commit(lambda: b"record", 0)
    assert sent(pair, parked(pair.stream), SIZE) == b"".join(lines)


@pytest.mark.parametrize("most", [1, SIZE // 2])
def test_beyond_the_bound(pair: Pair, most: int, tmp_path: Path) -> None:
    """The process waits for its client, as it does without a file."""
    lose_patience(pair.stream, tmp_path, most)
    other = os.fork()
    if not other:
        pair.server.close()
        os._exit(pair.receive(SIZE + 4) != WHOLE + b"end\n")
    pair.stream.write(WHOLE)
    pair.stream.write(b"end\n")
    pair.stream.flush()
    assert os.waitpid(other, 0)[1] == 0


def test_no_folder(pair: Pair, tmp_path: Path) -> None:
    lose_patience(pair.stream, tmp_path / "missing")
    other = os.fork()
    if not other:
        os._exit(pair.receive(SIZE) != WHOLE)
    pair.stream.write(WHOLE)
    pair.stream.flush()
    assert os.waitpid(other, 0)[1] == 0


def test_one_that_stays(pair: Pair) -> None:
    """Where a session cannot be parked, or is not between two commands, all is sent first."""
    pair.stream.write(WHOLE)
    other = os.fork()
    if not other:
        found = pair.receive(SIZE)
        pair.client.sendall(b"!")
        os._exit(found != WHOLE)
    assert pair.stream.read(20.0, idle=False) == b"!"
    assert os.waitpid(other, 0)[1] == 0


def test_input_that_is_there_already(pair: Pair) -> None:
    """The session goes on by itself once all is sent."""
    pair.stream.write(WHOLE)
    wait = parked(pair.stream, b"x NOOP\r\n")
    assert wait.cause == Cause.QUEUE
    os.close(wait.backlog)


def test_it_is_sent_before_the_session_goes_on(pair: Pair) -> None:
    """Whoever takes up a session that nobody kept."""
    pair.stream.write(WHOLE)
    wait = parked(pair.stream)
    other = os.fork()
    if not other:
        os._exit(pair.receive(SIZE + 4) != WHOLE + b"end\n")
    stream = SocketStream(pair.server, pair.wishes)
    stream.begin(SessionRecord(id="a", wait=wait))
    stream.write(b"end\n")
    stream.flush()
    assert os.waitpid(other, 0)[1] == 0


def test_a_client_that_has_gone(pair: Pair) -> None:
    pair.stream.write(WHOLE)
    wait = parked(pair.stream)
    pair.client.close()
    stream = SocketStream(pair.server, pair.wishes)
    stream.begin(SessionRecord(id="a", wait=wait))
    with pytest.raises(Disconnected):
        stream.read(20.0)


# -- the journal -------------------------------------------------------------------------------


def test_nobody_goes_on_without_the_file(journaled: Pair) -> None:
    """A process that dies with a backlog ends the connection: the others lack those octets."""
    journaled.stream.write(WHOLE)
    journaled.stream.commit(lambda: b"record", 0)
    assert journaled.left().begun


def test_records_of_commands_meanwhile(journaled: Pair) -> None:
    """They are in the journal once all is sent."""
    stream = journaled.stream
    stream.write(WHOLE)
    stream.commit(lambda: b"one", 0)
    stream.commit(lambda: b"two", 0)
    other = os.fork()
    if not other:
        os._exit(journaled.receive(SIZE) != WHOLE)
    stream.flush()
    assert os.waitpid(other, 0)[1] == 0
    stream.commit(None, 0)
    assert journaled.left().record == b"two"
    assert not journaled.left().begun
