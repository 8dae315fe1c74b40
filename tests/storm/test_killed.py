"""Workers are killed while they write: what was answered OK is there, once, under its UID."""

from __future__ import annotations

import os
import signal
import smtplib
from collections import Counter
from collections.abc import Callable

import pytest

from tests.support import corpus, lmtp, maildir
from tests.support.imap import Closed, Imap
from tests.support.instance import Instance
from tests.support.place import PYTHON, ROOT, become, environment

KILLS = 6
BETWEEN = 5  # accepted messages between two kills


class Writer:
    """Writes numbered messages and remembers the UIDs it was promised."""

    def __init__(self, server: Instance) -> None:
        self.server = server
        self.promised: dict[int, int] = {}  # message number to UID (0: not told)
        self.number = 0
        self.client: Imap | None = None

    def connected(self) -> Imap:
        if self.client is None:
            self.client = self.server.client("alice")
            self.client.ok("SELECT INBOX")
        return self.client

    def lost(self) -> None:
        if self.client:
            self.client.close()
        self.client = None

    def append(self) -> None:
        """One APPEND."""
        self.number += 1
        uid = self.connected().appended("Work", corpus.simple(self.number, 30000))
        self.promised[self.number] = uid

    def copy(self) -> None:
        """APPEND to INBOX, then COPY of it."""
        self.number += 1
        client = self.connected()
        uid = client.appended("INBOX", corpus.simple(self.number))
        answer = client.ok(f"UID COPY {uid} Work")
        self.promised[self.number] = int(answer.tagged.code[3])

    def deliver(self) -> None:
        """One delivery over LMTP to a folder address."""
        self.number += 1
        codes = lmtp.deliver(self.server.lmtp, ["alice+Work"], corpus.simple(self.number))
        assert codes == {"alice+Work": 250}
        self.promised[self.number] = 0


def storm(writer: Writer, write: Callable[[], None]) -> None:
    """Write, and kill a worker each time a few more messages were accepted."""
    kills = 0
    target = BETWEEN
    while kills < KILLS:
        try:
            write()
        except (Closed, ConnectionError, OSError, smtplib.SMTPException):
            writer.lost()
        if len(writer.promised) >= target:
            target += BETWEEN
            kills += 1
            busy = [row["pid"] for row in writer.server.control("who")]
            for pid in busy or writer.server.workers()[:1]:
                os.kill(pid, signal.SIGKILL)
    writer.lost()


@pytest.mark.parametrize("kind", ["append", "copy", "deliver"])
def test_nothing_accepted_is_lost(server: Instance, kind: str) -> None:
    """Every promised message is in Work exactly once, under the promised UID."""
    with server.client("alice") as client:
        client.ok("CREATE Work")
    writer = Writer(server)
    storm(writer, getattr(writer, kind))
    check(server, writer.promised)
    for path in server.maildir("alice").rglob("*index*"):
        if path.is_file():
            path.unlink()
    check(server, writer.promised)


def check(server: Instance, promised: dict[int, int]) -> None:
    """Compare the mailbox with the promises."""
    with server.client("alice") as client:
        client.ok("EXAMINE Work")
        answer = client.ok("FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)] BODY.PEEK[])")
    found: dict[int, int] = {}
    counts: Counter[int] = Counter()
    for values in answer.fetched().values():
        number = int(values["BODY[HEADER.FIELDS (SUBJECT)]"].split()[-1])
        counts[number] += 1
        found[number] = int(values["UID"])
        assert values["BODY[]"].endswith(b"no more.\r\n"), "a message is cut off"
    assert not [number for number, count in counts.items() if count > 1], "duplicates"
    assert not [number for number in promised if number not in found], "accepted mail is lost"
    moved = {n: (uid, found[n]) for n, uid in promised.items() if uid and found[n] != uid}
    assert not moved, f"UIDs changed: {moved}"


def test_deliver_program_killed(server: Instance) -> None:
    """`pymaild deliver` killed at any moment leaves a whole message or none, and no debris."""
    import subprocess

    command = [str(PYTHON), "-m", "pymaild.admin.daemon", "deliver", "-c", str(server.config)]
    done = 0
    for number in range(6):
        process = subprocess.Popen(
            [*command, "-d", "alice"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(server.base, PYTHONPATH=str(ROOT)),
            **become(PYTHON),
        )
        assert process.stdin
        assert process.stdout
        with process, process.stdin as pipe:
            if number % 2:
                pipe.write(corpus.simple(number, 100_000))
                pipe.close()
                assert process.wait(20) == 0, process.stdout.read()
                done += 1
            else:
                pipe.write(corpus.simple(number, 50_000))
                pipe.flush()
                process.kill()
    with server.client("alice") as client:
        client.ok("SELECT INBOX")
        assert len(client.ok("SEARCH ALL").one("SEARCH").values[1:]) == done
    assert len(maildir.files(server.maildir("alice"))) == done


def test_master_killed_children_leave(server: Instance) -> None:
    """When the master dies, all others go; mail accepted before is there after a restart."""
    import psutil

    with server.client("alice") as client:
        uid = client.appended("INBOX", corpus.simple(1))
        family = server.pids()[1:]
        assert server.process
        server.process.kill()
        server.process.wait()
        _, left = psutil.wait_procs(family, 20)
        assert not left
    server.start()
    with server.client("alice") as client:
        client.ok("SELECT INBOX")
        assert client.ok("UID SEARCH ALL").one("SEARCH").values[1:] == [str(uid)]
