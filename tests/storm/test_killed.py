"""Workers are killed while they write: what was answered OK is there, once, under its UID."""

from __future__ import annotations

import os
import random
import signal
import smtplib
from collections import Counter
from contextlib import suppress

import pytest

from tests.support import corpus, lmtp, maildir
from tests.support.instance import Instance
from tests.support.place import PYTHON, ROOT, become, environment

KILLS = 4
BATCH = 8  # commands in one write: the worker is busy with the next when it is killed

Promises = dict[int, int]  # message number to UID, 0 where no UID is told


class Appends:
    """APPENDs with literals that do not wait (RFC 7888), sent in one write."""

    def __init__(self, server: Instance) -> None:
        self.client = server.client("alice")
        self.protocol = "imap"

    def wire(self, numbers: range) -> bytes:
        """All the octets of the batch."""
        return b"".join(
            b"n%d APPEND Work {%d+}\r\n%b\r\n" % (number, len(message), message)
            for number in numbers
            if (message := corpus.simple(number, 30_000))
        )

    def send(self, numbers: range) -> None:
        """Send the batch."""
        self.client.send(self.wire(numbers))

    def answer(self, number: int) -> int:
        """Wait for the OK of one; returns the UID it promises."""
        answer = self.client.finish(f"n{number}")
        assert answer.status == "OK", answer.tagged.raw
        return int(answer.tagged.code[-1])

    def close(self) -> None:
        """Give the connection up."""
        self.client.close()


class Copies(Appends):
    """Messages appended to INBOX first, then COPYs in one write."""

    def wire(self, numbers: range) -> bytes:
        """COPY of each message."""
        self.client.ok("SELECT INBOX")
        uids = [self.client.appended("INBOX", corpus.simple(number)) for number in numbers]
        pairs = zip(numbers, uids, strict=True)
        return b"".join(b"n%d UID COPY %d Work\r\n" % pair for pair in pairs)


class Deliveries:
    """LMTP transactions in one write (RFC 2920, RFC 3030)."""

    def __init__(self, server: Instance) -> None:
        self.lmtp = lmtp.Lmtp(server.lmtp)
        self.protocol = "lmtp"

    def send(self, numbers: range) -> None:
        """Each message is one chunk."""
        for number in numbers:
            message = corpus.simple(number, 30_000)
            head = "MAIL FROM:<s@example.org>\r\nRCPT TO:<alice+Work>\r\n"
            self.lmtp.send(f"{head}BDAT {len(message)} LAST\r\n".encode() + message)

    def answer(self, number: int) -> int:
        """Wait for three replies: sender, recipient, message."""
        codes = [self.lmtp.getreply()[0] for _ in range(3)]
        assert codes == [250, 250, 250]
        return 0

    def close(self) -> None:
        """Give the connection up."""
        self.lmtp.close()


KINDS = {"append": Appends, "copy": Copies, "deliver": Deliveries}


def storm(server: Instance, kind: str, kills: int = KILLS) -> Promises:
    """Send batches; kill the worker of each after some answers, while it is at the next one."""
    drawn = random.Random(kind)
    promised: Promises = {}
    for batch in range(kills):
        numbers = range(batch * BATCH, batch * BATCH + BATCH)
        writer = KINDS[kind](server)
        rows = [row for row in server.control("who") if row["protocol"] == writer.protocol]
        pid = max(rows, key=lambda row: row["since"])["pid"]  # one just killed may be listed yet
        last = drawn.randrange(numbers.start, numbers.stop)
        with suppress(ConnectionError, OSError, smtplib.SMTPException):
            writer.send(numbers)
            for number in numbers:
                promised[number] = writer.answer(number)
                if number == last:
                    os.kill(pid, signal.SIGKILL)
        writer.close()
    return promised


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_nothing_accepted_is_lost(server: Instance, kind: str) -> None:
    """Every promised message is in Work exactly once, under the promised UID."""
    with server.client("alice") as client:
        client.ok("CREATE Work")
        client.ok("LOGOUT")
        assert client.ended()
    promised = storm(server, kind)
    assert len(promised) >= KILLS
    check(server, promised)
    for path in server.maildir("alice").rglob("*index*"):
        if path.is_file():
            path.unlink()
    check(server, promised)


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
