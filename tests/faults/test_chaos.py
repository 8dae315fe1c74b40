"""Processes of every role are killed and stopped at random under a mixed load.

Nothing that was answered OK is lost, doubled or renumbered, and the server recovers by itself.
"""

from __future__ import annotations

import os
import random
import signal
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support import corpus, lmtp, maildir
from tests.support.imap import Answer, Closed, Imap
from tests.support.instance import Instance, instance

CLIENTS = 10
SECONDS = 6.0
LOST = (Closed, OSError, smtplib.SMTPException, EOFError)


class Load(threading.Thread):
    """One user: appends, copies, moves, flags and gets mail, and notes what was answered OK.

    ``promised`` maps (mailbox, UID) to the message's number; ``delivered`` has numbers whose UID
    LMTP does not tell, ``asked`` those that were sent, whatever became of them.
    """

    def __init__(self, server: Instance, number: int, end: float) -> None:
        super().__init__()
        self.server, self.user, self.end = server, f"load{number}", end
        self.random = random.Random(number)
        self.promised: dict[tuple[str, int], int] = {}
        self.delivered: set[int] = set()
        self.asked: set[int] = set()
        self.removing: set[tuple[str, int]] = set()
        self.copied: Counter[int] = Counter()
        self.number = 0
        self.client: Imap | None = None
        self.error: BaseException | None = None
        self.connections = 0

    def run(self) -> None:
        try:
            while time.monotonic() < self.end:
                self.one()
        except BaseException as error:
            self.error = error
        finally:
            self.drop()

    def one(self) -> None:
        """One operation; a lost connection is followed by another."""
        work = self.random.choice((self.append, self.copy, self.move, self.flag, self.deliver))
        try:
            work()
        except LOST:
            self.drop()

    def drop(self) -> None:
        if self.client is not None:
            self.client.close()
        self.client = None

    def imap(self) -> Imap:
        if self.client is None:
            self.client = self.server.client(self.user, timeout=30)
            self.connections += 1
            self.client.ok("SELECT INBOX")
        return self.client

    def next(self) -> int:
        self.number += 1
        self.asked.add(self.number)
        return self.number

    def append(self) -> None:
        client, number = self.imap(), self.next()
        uid = client.appended("INBOX", corpus.simple(number, 3000))
        self.promised["INBOX", uid] = number

    def known(self) -> int:
        """The UID of a message in INBOX, 0 when there is none."""
        mine = [uid for place, uid in self.promised if place == "INBOX"]
        mine = [uid for uid in mine if ("INBOX", uid) not in self.removing]
        return self.random.choice(mine) if mine else 0

    def copy(self) -> None:
        client, uid = self.imap(), self.known()
        if uid:
            number = self.promised["INBOX", uid]
            self.copied[number] += 1
            answer = client.ok(f"UID COPY {uid} Archive")
            self.promised["Archive", int(answer.tagged.code[3])] = number

    def move(self) -> None:
        client, uid = self.imap(), self.known()
        if uid:
            self.removing.add(("INBOX", uid))
            answer = client.ok(f"UID MOVE {uid} Archive")
            new = answer.codes()["COPYUID"][2]
            self.promised["Archive", int(new)] = self.promised["INBOX", uid]

    def flag(self) -> None:
        client, uid = self.imap(), self.known()
        if uid:
            client.ok(f"UID STORE {uid} +FLAGS (\\Flagged)")

    def deliver(self) -> None:
        number = self.next()
        if lmtp.deliver(self.server.lmtp, [self.user], corpus.simple(number))[self.user] == 250:
            self.delivered.add(number)


def harass(server: Instance, drawn: random.Random, end: float) -> Counter[str]:
    """Kill or stop a process of some role every now and then; returns what was done."""
    done: Counter[str] = Counter()
    while time.monotonic() < end:
        role = drawn.choice(("worker", "worker", "worker", "auth", "tls"))
        how = drawn.choice((signal.SIGKILL, signal.SIGSTOP))
        pids = server.workers(role)
        if pids:
            with suppress(ProcessLookupError):
                strike(drawn.choice(pids), how, drawn)
                done[f"{role} {how.name}"] += 1
        time.sleep(0.2 + drawn.random() * 0.4)  # the moment is chance, and meant to be
    return done


def strike(pid: int, how: signal.Signals, drawn: random.Random) -> None:
    os.kill(pid, how)
    if how == signal.SIGSTOP:
        time.sleep(drawn.random() * 0.5)
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
def server() -> Iterator[Instance]:
    with instance({f"load{number}": "pw" for number in range(CLIENTS)}) as made:
        made.settings["server"].update(workers_min=6)
        made.start()
        yield made


def test_mixed_load(server: Instance) -> None:
    """All promises are kept, with the index and without it."""
    end = time.monotonic() + SECONDS
    loads = [Load(server, number, end) for number in range(CLIENTS)]
    for load in loads:
        load.start()
    done = harass(server, random.Random(4), end)
    for load in loads:
        load.join(60)
        assert load.error is None, load.error
        assert not load.is_alive()
    assert sum(done.values()) > 5
    assert sum(len(load.promised) for load in loads) > CLIENTS
    recovered(server)
    for load in loads:
        verify(load)
    for path in (server.base / "mail").rglob("pymaild.index"):
        path.unlink()
    for load in loads:
        verify(load)


def recovered(server: Instance) -> None:
    """Wait until every role is there and a login works at the first try."""
    deadline = time.monotonic() + 30
    while not all(server.workers(role) for role in ("worker", "auth", "tls")):
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.05)
    server.client("load0").close()


def verify(load: Load) -> None:
    """Compare a user's mailboxes with the promises."""
    found: dict[tuple[str, int], int] = {}
    with load.server.client(load.user, timeout=30) as client:
        for box in ("INBOX", "Archive"):
            client.ok(f"EXAMINE {box}")
            answer = client.ok("UID FETCH 1:* (BODY.PEEK[])")
            for values in answer.fetched().values():
                assert values["BODY[]"].endswith(b"no more.\r\n"), "a message is cut off"
                found[box, int(values["UID"])] = int(
                    values["BODY[]"].split(b"simple ")[1].split()[0]
                )
    for place, number in load.promised.items():
        assert found.get(place, number) == number, f"{place} is another message"
        assert place in found or place in load.removing, f"{place} is lost"
    counts = Counter(found.values())
    assert set(counts) <= load.asked
    assert load.delivered <= set(counts), "a delivery is lost"
    assert {*load.promised.values()} <= set(counts), "a message that was moved is nowhere"
    doubled = {n: c for n, c in counts.items() if c > 1 + load.copied[n]}
    assert not doubled, "a message is there too often"


def test_auth_is_killed_between_logins(server: Instance) -> None:
    """The next login waits for the new auth process; nobody notices."""
    for _ in range(3):
        (pid,) = server.workers("auth")
        os.kill(pid, signal.SIGKILL)
        server.client("load1").close()
        assert lmtp.deliver(server.lmtp, ["load1"], corpus.simple(1)) == {"load1": 250}


def cut(path: Path) -> None:
    """Half of the file is gone, in place."""
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    """The file has no octets any more."""
    os.truncate(path, 0)


def garbled(path: Path) -> None:
    """Octets all over the file are others, in place."""
    drawn = random.Random(3)
    with open(path, "r+b") as file:
        for _ in range(200):
            file.seek(drawn.randrange(path.stat().st_size))
            file.write(b"\x5a")


def zeroed(path: Path) -> None:
    """The file is full of zeros."""
    size = path.stat().st_size
    with open(path, "r+b") as file:
        file.write(bytes(size))


def answered(client: Imap, command: str) -> Answer:
    """The answer to a command, which may meet the damage once and say so."""
    answer = client.command(command)
    if answer.code == "UNAVAILABLE":
        answer = client.ok(command)
    return answer


@pytest.mark.parametrize("damage", [cut, emptied, garbled, zeroed])
@pytest.mark.parametrize("name", ["pymaild.index", "pymaild.log", "pymaild.cache"])
def test_index_damaged_under_sessions(
    shared: Instance, damage: Callable[[Path], None], name: str
) -> None:
    """Sessions may be sent away, but what they did is there, under its UID, with its flags."""
    user = shared.add_user(f"{damage.__name__}-{name}")
    with shared.client(user) as one, shared.client(user) as two:
        for number in range(300):
            one.append("INBOX", corpus.simple(number), "(\\Seen)")
        for client in (one, two):
            client.ok("SELECT INBOX")
            client.ok("FETCH 1:* (UID FLAGS ENVELOPE)")
        one.ok("STORE 7 +FLAGS (\\Flagged)")
        one.ok("STORE 8 +FLAGS (\\Deleted)")
        one.ok("EXPUNGE")
        damage(shared.maildir(user) / name)
        for client in (one, two):
            told: list[str] = []
            with suppress(Closed):
                for command in ("NOOP", "FETCH 1:5 (UID ENVELOPE)", "STORE 1 +FLAGS (\\Answered)"):
                    told += [reply.name for reply in client.command(command).untagged]
            assert told.count("EXPUNGE") == (client is two and "EXPUNGE" in told)
    with shared.client(user) as client:
        client.ok("SELECT INBOX")
        rows = answered(
            client, "FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])"
        ).fetched()
        uids = {int(row["UID"]): row for row in rows.values()}
        assert sorted(uids) == [uid for uid in range(1, 301) if uid != 8]
        for uid, row in uids.items():
            assert row["BODY[HEADER.FIELDS (SUBJECT)]"].strip() == b"Subject: simple %d" % (uid - 1)
            assert "\\Seen" in row["FLAGS"]
        assert "\\Flagged" in uids[7]["FLAGS"]
    assert len(maildir.files(shared.maildir(user))) == 299
