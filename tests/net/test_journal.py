"""The journal, read at every moment as the keeper would read it if its process died there."""

from __future__ import annotations

import fcntl
import os
import socket
import termios
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pymaild.core.session import OPEN, SessionRecord
from pymaild.net import _journal
from pymaild.net._journal import MOST_READ, ROOM, SLICE, Journal, Remains, release, remains
from pymaild.server.recovery import recover

INPUT = 1 << 20  # octets of input that are kept


class Line:
    """A journal over one end of a connection, and the client's end."""

    def __init__(self, sndbuf: int = 0, **fields: Any) -> None:
        self.memory = _journal.make(2)
        self.journal = Journal(self.memory, 1)
        self.server, self.client = socket.socketpair()
        if sndbuf:
            self.server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
        for end in (self.server, self.client):
            end.setblocking(False)
        self.journal.begin(SessionRecord(id="0123456789ab", **fields))

    def left(self) -> Remains:
        found = remains(self.memory, 1)
        assert found is not None
        return found

    def receive(self, data: bytes) -> bytes:
        """Have the client send, and the journal receive all of it."""
        got = b""
        while data or len(got) == 0:
            if data:
                data = data[self.client.send(data[:MOST_READ]) :]
            got += self.journal.receive(self.server.fileno()) or b""
        while (more := self.journal.receive(self.server.fileno())) is not None:
            got += more
        return got

    def push(self) -> bool:
        return self.journal.push(self.server.fileno())

    def arrived(self, most: int = 1 << 20) -> bytes:
        try:
            return self.client.recv(most)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        self.server.close()
        self.client.close()
        os.close(self.memory)


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


def test_a_new_session(line: Line) -> None:
    left = line.left()
    assert left.session == "0123456789ab"
    assert SessionRecord.decode(left.record) == SessionRecord(id="0123456789ab")
    assert (left.unread, left.outbox, left.asked, left.intents) == (b"", b"", b"", [])
    assert (left.again, left.begun, left.lost) == (0, False, -1)
    assert remains(line.memory, 0) is None


def test_what_a_record_says_comes_back() -> None:
    """A session that dies again before it has done anything is as it was."""
    told: dict[str, Any] = {
        "unread": b"a APPEND x {9}\r\nabc",
        "outbox": b"* OK\r\n",
        "asked": b"+ OK\r\n",
        "intents": [{"uids": [1, 2]}, "two"],
        "again": 1,
    }
    made = Line(**told)
    left = made.left()
    made.close()
    assert left.unread == told["unread"]
    assert left.outbox == told["outbox"]
    assert left.asked == told["asked"]
    assert left.intents == [b'{"uids": [1, 2]}', b'"two"']
    assert (left.again, left.running) == (1, True)
    assert SessionRecord.decode(left.record) == SessionRecord(id="0123456789ab")


def test_the_end(line: Line) -> None:
    line.journal.end()
    assert remains(line.memory, 1) is None


def test_released_by_the_keeper(line: Line) -> None:
    release(line.memory, 1)
    assert remains(line.memory, 1) is None


def test_input_is_kept_until_its_command_ends(line: Line) -> None:
    line.receive(b"a NOOP\r\nb NO")
    assert line.left().unread == b"a NOOP\r\nb NO"
    line.journal.commit(None, 4, [b"a OK\r\n"])
    assert line.left().unread == b"b NO"
    line.receive(b"OP\r\n")
    assert line.left().unread == b"b NOOP\r\n"
    line.journal.commit(b"{}", 0, [])
    assert (line.left().unread, line.left().record) == (b"", b"{}")


def test_who_waits_does_not_work(line: Line) -> None:
    """A process that is killed while it waits has not died of a command."""
    line.receive(b"a NOOP\r\n")
    assert line.left().running
    line.journal.rest(line.server.fileno())
    assert not line.left().running
    line.journal.work()
    assert line.left().running


def test_nothing_and_the_end_of_input(line: Line) -> None:
    assert line.journal.receive(line.server.fileno()) is None
    line.client.close()
    assert line.journal.receive(line.server.fileno()) == b""


def test_last_words_before_a_reset() -> None:
    """What came ahead of a reset is read first, as recv(2) would."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    memory = _journal.make(1)
    journal = Journal(memory, 0)
    journal.begin(SessionRecord(id="a"))
    client.sendall(b"QUIT\r\n")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    assert journal.receive(server.fileno()) == b"QUIT\r\n"
    assert journal.receive(server.fileno()) == b""
    server.close()
    os.close(memory)


def test_the_outbox_says_what_was_not_sent() -> None:
    made = Line(sndbuf=4608)
    reply = os.urandom(60_000)
    made.journal.commit(None, 0, [reply[:1000], memoryview(reply)[1000:]])
    assert made.left().outbox == reply
    got = b""
    while not made.push():
        sent = len(reply) - len(made.left().outbox)
        assert made.left().outbox == reply[sent:]
        got += made.arrived()
        assert len(got) == sent
    assert got + made.arrived() == reply
    assert made.left().outbox == b""
    made.close()


def test_replies_gather_behind_one_that_is_on_its_way() -> None:
    made = Line(sndbuf=4608)
    made.journal.commit(None, 0, [b"x" * 30_000])
    assert not made.push()
    assert made.journal.room == ROOM - 30_000
    made.journal.commit(None, 0, [b"y" * (ROOM - 30_000)])
    assert made.journal.room == 0
    assert made.left().outbox.endswith(b"xy" + b"y" * (ROOM - 30_001))
    made.close()


def test_questions_are_no_part_of_the_reply(line: Line) -> None:
    line.receive(b"a LOGIN {5}\r\n")
    assert line.journal.ask(b"+ OK\r\n", 0)
    assert line.left().asked == line.left().outbox == b"+ OK\r\n"
    assert not line.left().begun
    assert line.push()
    assert (line.left().asked, line.left().outbox) == (b"+ OK\r\n", b"")
    line.journal.commit(None, 0, [])
    assert line.left().asked == b""


def test_a_question_is_not_asked_twice() -> None:
    made = Line(asked=b"+ OK\r\n+ abc\r\n")
    assert made.journal.ask(b"+ OK\r\n", 0)
    assert not made.journal.ask(b"+ xyz\r\n", 0)
    assert made.left().outbox == b""
    assert made.journal.ask(b"+ new\r\n", 0)
    assert made.left().asked == b"+ OK\r\n+ abc\r\n+ new\r\n"
    assert made.left().outbox == b"+ new\r\n"
    made.close()


def test_too_many_questions_cannot_be_repeated(line: Line) -> None:
    for _ in range(3):
        assert line.journal.ask(b"+ %b\r\n" % (b"x" * 8000), 0)
    assert line.left().begun


def test_intents(line: Line) -> None:
    line.journal.intend(b'["append",1]')
    line.journal.intend(b"{}")
    assert line.left().intents == [b'["append",1]', b"{}"]
    line.journal.commit(None, 0, [])
    assert line.left().intents == []
    line.journal.intend(b'"%b"' % (b"x" * 20_000))
    assert (line.left().intents, line.left().begun) == ([], True)


def test_notices_overtake_a_reply(line: Line) -> None:
    """INPROGRESS is said in the middle of a command, which is run again all the same."""
    assert line.journal.post(b"* OK still here\r\n")
    assert (line.left().outbox, line.left().begun) == (b"* OK still here\r\n", False)
    assert not line.journal.post(b"x" * ROOM)


def test_a_record_too_large(line: Line) -> None:
    line.journal.commit(b"x" * 300_000, 0, [])
    assert line.left().record == b""
    line.journal.commit(b"{}", 0, [])
    assert line.left().record == b"{}"


# -- input that is too much --------------------------------------------------------------------


def test_the_end_of_a_literal_is_known(line: Line) -> None:
    """What the next process throws away is exactly the rest of the literal."""
    total = 3 * INPUT
    line.receive(b"a1 APPEND INBOX {%d}\r\n" % total)
    assert line.journal.ask(b"+ OK\r\n", total)
    sent = 0
    while sent < 2 * INPUT:
        sent += len(line.receive(b"x" * 50_000))
    left = line.left()
    assert (left.unread, left.lost) == (b"", total - sent)
    assert left.head.startswith(b"a1 APPEND INBOX {%d}\r\nxxx" % total)
    while sent < total:
        sent += len(line.receive(b"x" * min(50_000, total - sent)))
    assert (line.left().unread, line.left().lost) == (b"", 0)
    line.receive(b")\r\nnext")
    assert (line.left().unread, line.left().lost) == (b")\r\nnext", 0)
    line.journal.commit(None, 4, [b"a1 OK\r\n"])
    assert (line.left().unread, line.left().lost) == (b"next", -1)


def test_data_that_ends_by_itself(line: Line) -> None:
    """Of a message in LMTP the last octets are kept: its end may have begun."""
    line.receive(b"DATA\r\n")
    line.journal.ask(b"354 go\r\n", OPEN)
    for _ in range(30):
        line.receive(b"x" * 49_999 + b"\r")
    line.receive(b"\n.")
    left = line.left()
    assert (left.lost, left.head[:6]) == (OPEN, b"DATA\r\n")
    assert left.unread.endswith(b"xx\r\n.")


def test_a_line_that_never_ends(line: Line) -> None:
    """Nobody knows how to go on: lost is None."""
    for _ in range(30):
        line.receive(b"x" * 50_000)
    assert line.left().lost is None


def test_pipelined_input_moves_to_the_front(line: Line) -> None:
    """A client that never pauses between two commands does not use the input up."""
    unread = b""
    for turn in range(60):
        data = b"%d " % turn * 10_000
        unread += line.receive(data)
        assert (line.left().unread, line.left().lost) == (unread, -1)
        keep = 1 + turn * 1000
        line.journal.commit(None, keep, [])
        unread = unread[-keep:]
        assert line.left().unread == unread


@pytest.mark.parametrize("lost", [0, 70_000, OPEN])
def test_lost_twice(lost: int) -> None:
    unread = b"" if lost > 0 else b")\r\n"
    made = Line(lost=lost, unread=unread, head=b"a1 APPEND")
    left = made.left()
    assert (left.lost, left.unread, left.head) == (lost, unread, b"a1 APPEND")
    made.receive(b"x" * 60_000)
    left = made.left()
    assert left.lost == (10_000 if lost > 0 else lost)
    assert left.unread == (b"" if lost > 0 else unread + b"x" * 60_000)
    made.close()


def test_large_input_gives_its_memory_back(line: Line) -> None:
    def blocks() -> int:
        return os.fstat(line.memory).st_blocks

    small = blocks()
    for _ in range(15):
        line.receive(b"x" * 60_000)
    assert blocks() > small + 1500
    line.journal.commit(None, 0, [])
    assert blocks() < small + 200


HEADER = 1024  # octets, of which all is used


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(4, HEADER - 8), st.binary(min_size=1, max_size=8)), max_size=20),
    st.binary(max_size=40),
)
def test_what_no_journal_can_have_left(holes: list[tuple[int, bytes]], record: bytes) -> None:
    """Whoever wrote it was not the keeper, which must not fall over it."""
    line = Line(unread=b"abc", outbox=b"def")
    line.journal.commit(record or None, 1, [b"ghi"])
    try:
        for place, octets in holes:
            os.pwrite(line.memory, octets, SLICE + place)
        found = remains(line.memory, 1)
        assert found is None or len(found.unread) <= INPUT
        recover(line.memory, 1)
    except ValueError:
        assert recover(line.memory, 1) is None
    finally:
        line.close()


def test_a_record_that_is_none(line: Line) -> None:
    for record in (b"[" * 100_000, b"[]", b"{}", b"\xff", b"null"):
        line.journal.commit(record, 0, [])
        assert (recover(line.memory, 1) is None) == (record != b"{}")


# -- any order of events -----------------------------------------------------------------------


@dataclass
class Model:
    """What must be in the journal."""

    unread: bytes = b""
    outbox: bytes = b""
    asked: bytes = b""
    intents: list[bytes] = field(default_factory=list)
    said: bytes = b""
    heard: bytes = b""


CHUNK = st.integers(0, 40_000)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("receive"), st.integers(1, 70_000)),
        st.tuples(st.just("commit"), st.tuples(st.integers(0, 100), st.lists(CHUNK, max_size=3))),
        st.tuples(st.just("ask"), st.integers(0, 100)),
        st.tuples(st.just("intend"), st.integers(0, 100)),
        st.tuples(st.just("push"), st.just(0)),
        st.tuples(st.just("hear"), st.integers(1, 100_000)),
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.data_too_large])
@given(EVENTS)
def test_any_order(events: list[tuple[str, object]]) -> None:
    line, model = Line(sndbuf=4608), Model()
    try:
        for name, argument in events:
            globals()[f"_{name}"](line, model, argument)
            left = line.left()
            assert left.unread == model.unread
            assert left.asked == model.asked
            assert left.intents == model.intents
            assert model.said.endswith(left.outbox)
            assert left.lost == -1
            assert len(model.heard) + _waiting(line) + len(left.outbox) == len(model.said)
        assert model.said.startswith(model.heard)
    finally:
        line.close()


def _waiting(line: Line) -> int:
    """How many octets the client could read."""
    count = array("i", [0])
    fcntl.ioctl(line.client, termios.FIONREAD, count)
    return count[0]


def _receive(line: Line, model: Model, size: int) -> None:
    if len(model.unread) + size < INPUT // 2 - 70_000:
        data = os.urandom(8) * (size // 8 + 1)
        model.unread += line.receive(data[:size])


def _commit(line: Line, model: Model, argument: tuple[int, list[int]]) -> None:
    percent, sizes = argument
    pieces = [bytes([65 + n]) * size for n, size in enumerate(sizes)]
    if sum(sizes) <= line.journal.room:
        keep = len(model.unread) * percent // 100
        line.journal.commit(b"{}", keep, [*pieces])
        model.unread = model.unread[len(model.unread) - keep :]
        model.said += b"".join(pieces)
        model.asked, model.intents = b"", []


def _ask(line: Line, model: Model, size: int) -> None:
    question = b"+ %b\r\n" % (b"q" * size)
    if len(question) <= line.journal.room and len(model.asked) < 8000:
        assert line.journal.ask(question, 0)
        model.asked += question
        model.said += question


def _intend(line: Line, model: Model, size: int) -> None:
    intent = b'"%b"' % (b"i" * size)
    if sum(map(len, model.intents)) < 10_000:
        line.journal.intend(intent)
        model.intents = [*model.intents, intent]


def _push(line: Line, model: Model, nothing: int) -> None:
    line.push()


def _hear(line: Line, model: Model, size: int) -> None:
    model.heard += line.arrived(size)


def test_parts_of_a_reply_that_stay_said(line: Line) -> None:
    """Each takes the place of what was noted before, for as many as there are."""
    said = b""
    for number in range(2000):
        line.journal.intend(b'["new",%d]' % number)
        said += b"250 %d\r\n" % number
        assert line.journal.post(b"250 %d\r\n" % number, b'["said",%d]' % number)
        assert line.left().intents == [b'["said",%d]' % number]
        assert line.left().outbox == said
        if len(said) > 5000:
            assert line.push()
            said = b""
    line.journal.intend(b"[1]")
    assert line.left().intents == [b'["said",1999]', b"[1]"]
    assert not line.left().begun
    line.journal.commit(None, 0, [])
    assert line.left().intents == []
