"""INPROGRESS (RFC 9585): long commands show that they are under way."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from pymaild.core.errors import Disconnected
from pymaild.imap.progress import Progress
from pymaild.imap.session import ImapSession
from pymaild.net.stream import SocketStream
from tests.imap.conftest import Client, ImapBench
from tests.support import maildir
from tests.support.sessions import Supervisor

BODY = b"Subject: filler\r\n\r\nbody\r\n"


@pytest.fixture
def box(imap: ImapBench) -> ImapBench:
    """Alice has five messages, and whoever is asked for signs of life gives them all."""
    imap.put("alice", *[BODY] * 5)
    imap.configure(progress_interval=0.0)
    return imap


def told(client: Client, command: str) -> list[list[object]]:
    """What INPROGRESS said of a command: how much of how much is done."""
    tag = client.start(command)
    answer = client.finish(tag)
    assert answer.status == "OK"
    assert answer.code != "INPROGRESS"
    found = []
    for reply in answer.untagged:
        if reply.code and reply.code[0] == "INPROGRESS":
            name, *numbers = reply.code[1]
            assert name == tag.encode()
            found.append([None if number is None else int(number) for number in numbers])
    return found


def test_it_is_announced(box: ImapBench) -> None:
    """RFC 9585 §3."""
    assert "INPROGRESS" in box.login().ok("CAPABILITY").one("CAPABILITY").values


def test_commands_say_how_far_they_are(box: ImapBench) -> None:
    """RFC 9585 §4: what is done never shrinks, and is less than the goal."""
    client = box.select()
    for command in ("SEARCH HEADER X-None filler", "COPY 1:5 Archive", "MOVE 1:5 Archive"):
        seen = [pair for pair in told(client, command) if pair[1] is not None]
        assert seen == [[done, 5] for done in range(1, 5)], command


def test_commands_that_do_not_know_say_that(box: ImapBench) -> None:
    client = box.select()
    for command in ("FETCH 1:* BODY[]", "STORE 1:5 +FLAGS.SILENT (\\Deleted)", "EXPUNGE"):
        assert [None, None] in told(client, command), command


def test_taking_in_a_folder_is_shown(box: ImapBench, tmp_path: Path) -> None:
    """Somebody else's Maildir is indexed when it is first opened."""
    root = Path(box.user("alice").mail)
    folder = maildir.make(root / ".Foreign")
    for number in range(4):
        (folder / "cur" / f"170000000{number}.M1P1.host:2,").write_bytes(BODY)
    client = box.login()
    assert [[done, 4] for done in range(1, 4)] == [
        pair for pair in told(client, "SELECT Foreign") if pair[1] == 4
    ]


def test_short_commands_say_nothing(imap: ImapBench) -> None:
    """The usual interval is many times what a command takes."""
    imap.put("alice", *[BODY] * 5)
    client = imap.select()
    assert not told(client, "SEARCH TEXT filler")
    assert not told(client, "FETCH 1:* BODY[]")


class Rig:
    """A session in the middle of a command, by a clock that is set by hand."""

    def __init__(self, bench: ImapBench) -> None:
        self.server, self.client = socket.socketpair()
        self.client.settimeout(30)
        self.supervisor = Supervisor()
        self.stream = SocketStream(self.server, self.supervisor, 10.0)
        self.session = ImapSession(bench.record(), self.stream, bench.services())
        self.session.tag = b"a1"
        self.now = 100.0
        self.progress = Progress(self.session, lambda: self.now)

    def at(self, now: float, done: int = 0, goal: int = 0) -> None:
        self.now = now
        self.progress.beat(done, goal)

    def said(self) -> list[str]:
        """What has been told since the last time."""
        self.stream.offer(b"end\r\n")
        flushing = Thread(target=self.stream.flush)
        flushing.start()
        held = b""
        while not held.endswith(b"end\r\n"):
            held += self.client.recv(1 << 20)
        flushing.join()
        return held.decode().split("\r\n")[:-2]

    def close(self) -> None:
        self.client.close()
        self.server.close()
        self.supervisor.close()


@pytest.fixture
def rig(imap: ImapBench) -> Iterator[Rig]:
    made = Rig(imap)
    yield made
    made.close()


def notice(numbers: str) -> str:
    return f'* OK [INPROGRESS ("a1" {numbers})] Still at work'


def test_the_rate_is_bounded(rig: Rig) -> None:
    """RFC 9585 §4 recommends 10 to 15 seconds; a new command starts anew."""
    for now in (100.0, 105.0, 109.9, 110.0, 112.0, 119.9, 120.5, 130.0, 130.5):
        rig.at(now)
    assert rig.said() == [notice("NIL NIL")] * 3
    rig.session.record.commands += 1
    for now in (150.0, 159.9, 160.0):
        rig.at(now)
    assert rig.said() == [notice("NIL NIL")]


def test_nonsense_is_not_told(rig: Rig) -> None:
    """RFC 9585 §4: a goal is more than what is done, or NIL."""
    for step, (done, goal) in enumerate([(0, 0), (0, 0), (3, 3), (9, 4), (0, 1)]):
        rig.at(100.0 + step * 20, done, goal)
    assert rig.said() == [*[notice("NIL NIL")] * 3, notice("0 1")]


def test_nobody_waits_for_a_client_that_does_not_read(rig: Rig) -> None:
    """A sign of life is given while mailboxes are locked."""
    rig.stream.offer(b"x\r\n" * 1_000_000)
    rig.at(100.0)
    rig.at(200.0)
    assert rig.said()[-2:] == ["x", notice("NIL NIL")]


def test_a_client_that_has_gone_stops_nothing(rig: Rig) -> None:
    rig.client.close()
    for now in (100.0, 200.0, 300.0):
        rig.at(now)
    with pytest.raises(Disconnected):
        rig.stream.flush()


def test_what_is_done_never_shrinks(rig: Rig) -> None:
    """RFC 9585 §4: who goes over the messages again tells no numbers until it is further."""
    for number, done in enumerate((1, 60, 120, 1, 110, 125)):
        rig.at(100.0 + 20 * number, done, 130)
    assert rig.said() == [notice(n) for n in ("60 130", "120 130", "NIL NIL", "NIL NIL", "125 130")]
