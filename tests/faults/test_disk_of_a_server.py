"""A running server whose disk is full or fails: clear replies, a line in the log, nothing lost."""

from __future__ import annotations

import errno
import poplib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import corpus, maildir
from tests.support.imap import Answer, Imap
from tests.support.instance import Instance, instance
from tests.support.lmtp import Lmtp
from tests.support.place import give, write
from tests.support.rfc import rfc

from .disk import SmallDisk, small_disk

USERS = {"alice": "secret", "bob": "hidden"}


@dataclass
class FailingInstance(Instance):
    """A server whose storage steps fail when :meth:`failing` says so."""

    def command(self) -> list[str]:
        program, _, _, *rest = super().command()
        return [program, "-m", "tests.faults.faulty", str(self.order), *rest]

    @property
    def order(self) -> Path:
        return self.base / "order"

    @contextmanager
    def failing(self, number: int, step: str = "any", path: str = "/") -> Iterator[None]:
        """Let storage steps fail meanwhile."""
        write(self.base / "order.new", f"{number} {step} {path}").rename(self.order)
        try:
            yield
        finally:
            self.order.unlink()


@pytest.fixture(scope="module")
def failing() -> Iterator[FailingInstance]:
    with instance(USERS) as made:
        server = FailingInstance(made.base, made.users)
        try:
            server.start()
            yield server
            server.stop()
        finally:
            server.kill()


REPLIES = {
    errno.ENOSPC: ("OVERQUOTA", 452, b"4.3.1"),
    errno.EDQUOT: ("OVERQUOTA", 452, b"4.2.2"),
    errno.EIO: ("UNAVAILABLE", 451, b"4.3.0"),
    errno.EMFILE: ("UNAVAILABLE", 451, b"4.3.0"),
}
COMMANDS = (
    "UID COPY 1 Archive",
    "UID MOVE 1 Archive",
    "UID STORE 1 +FLAGS (\\Flagged)",
    "UID STORE 1 +FLAGS ($NewWord)",
    "CREATE Made",
    "RENAME Sent Posted",
    "UNSUBSCRIBE Trash",
)


def refused(answer: Answer, code: str, what: str) -> None:
    """NO with the code, and no word of paths."""
    assert (answer.status, answer.code) == ("NO", code), (what, answer.tagged.raw)
    assert "/" not in answer.tagged.text
    assert "Errno" not in answer.tagged.text


def state(client: Imap) -> list[tuple[str, str, frozenset[str], bytes]]:
    """All there is, by mailbox and UID."""
    found = []
    for reply in client.ok('LIST "" *').named("LIST"):
        name = reply.values[-1]
        name = name.decode() if isinstance(name, bytes) else str(name)
        client.ok(f'EXAMINE "{name}"')
        rows = client.ok("UID FETCH 1:* (FLAGS BODY.PEEK[])").fetched().values()
        for row in rows:
            flags = frozenset(map(str, row["FLAGS"])) - {"\\Recent"}
            found.append((name, str(row["UID"]), flags, bytes(row["BODY[]"])))
    return found


@pytest.mark.parametrize("number", REPLIES, ids=lambda number: errno.errorcode[number])
def test_every_command_says_why(failing: FailingInstance, number: int) -> None:
    """IMAP: each writing command, in one session, which goes on and works again afterwards."""
    user = failing.add_user(f"imap{number}")
    code = REPLIES[number][0]
    with failing.client(user) as client:
        client.appended("INBOX", corpus.simple(1), "(\\Seen)")
        before = state(client)
        client.ok("SELECT INBOX")
        with failing.failing(number):
            refused(client.append("INBOX", corpus.simple(2, 9000)), code, "APPEND")
            for command in COMMANDS:
                refused(client.no(command), code, command)
            assert client.ok("FETCH 1 BODY.PEEK[]").fetched()[1]["BODY[]"] == corpus.simple(1)
        assert state(client) == before
        client.ok("SELECT INBOX")
        client.appended("INBOX", corpus.simple(2, 9000))
        for command in COMMANDS:
            client.ok(command if "MOVE" not in command else "UID MOVE 2 Archive")
    assert f"user='{user}': [Errno {number}]" in failing.log()


@rfc("2033", "4.2", 3)
@pytest.mark.parametrize("number", REPLIES, ids=lambda number: errno.errorcode[number])
def test_delivery_says_why(failing: FailingInstance, number: int) -> None:
    """LMTP: each recipient has his own reply, temporary in any case."""
    bad, good = (failing.add_user(f"{name}{number}") for name in ("bad", "good"))
    for user in (bad, good):
        failing.client(user).close()
    _, reply, status = REPLIES[number]
    with Lmtp(failing.lmtp) as lmtp:
        with failing.failing(number, path=f"/{bad}/"):
            lmtp.mail("s@example.org")
            for user in (bad, good):
                assert lmtp.rcpt(user)[0] == 250
            assert lmtp.docmd("DATA")[0] == 354
            lmtp.send(corpus.simple(3, 300_000) + b".\r\n")
            code, text = lmtp.getreply()
            assert (code, text[:5]) == (reply, status)
            assert lmtp.getreply()[0] == 250
        assert lmtp.deliver([bad, good], corpus.simple(4)) == {bad: 250, good: 250}
    counts = {}
    for user in (bad, good):
        with failing.client(user) as client:
            answer = client.ok("STATUS INBOX (MESSAGES)").one("STATUS")
            counts[user] = int(answer.values[2][1])
    assert counts == {bad: 1, good: 2}
    assert f"user='{bad}'" in failing.log()


def test_pop3_update_that_fails(failing: FailingInstance) -> None:
    """QUIT says -ERR when the messages could not be removed, and they are there again."""
    user = failing.add_user("pop")
    with failing.client(user) as client:
        client.appended("INBOX", corpus.simple(1), "(\\Seen)")
    pop = poplib.POP3(*failing.pop3, timeout=20)  # type: ignore[misc]
    pop.user(user)
    pop.pass_(failing.users[user])
    pop.dele(1)
    with failing.failing(errno.EIO), pytest.raises(poplib.error_proto, match="SYS/"):
        pop.quit()
    pop.close()
    with failing.client(user) as client:
        client.ok("SELECT INBOX")
        assert len(client.ok("FETCH 1:* UID").fetched()) == 1


@pytest.fixture
def full(tmp_path: Path) -> Iterator[tuple[Instance, SmallDisk]]:
    """A server whose mail lies on a small disk."""
    with instance(USERS) as server, small_disk(server.base / "mail") as disk:
        give(server.base)
        server.start()
        yield server, disk
        server.kill()  # before the disk goes
        assert " ERROR " not in server.log().replace("No space left", "")


def test_disk_runs_full_and_is_emptied(full: tuple[Instance, SmallDisk]) -> None:
    """Deliveries till nothing fits; the user reads, removes mail, and gets new mail again."""
    server, disk = full
    accepted: list[bytes] = []
    with server.client("alice") as client, server.client("alice") as watcher:
        client.ok("SELECT INBOX")
        watcher.ok("SELECT INBOX")
        disk.fill(left=400_000)
        accepted += fill_by_append(client)
        accepted += fill_by_lmtp(server)
        disk.fill()
        refused(client.append("INBOX", corpus.simple(0, 30_000)), "OVERQUOTA", "APPEND")
        client.ok("NOOP")
        rows = client.ok("FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])").fetched().values()
        subjects = [row["BODY[HEADER.FIELDS (SUBJECT)]"].strip() for row in rows]
        assert sorted(subjects) == sorted(accepted)
        watcher.ok("NOOP")
        client.ok("STORE 1:5 +FLAGS (\\Deleted)")
        assert len(client.ok("EXPUNGE").named("EXPUNGE")) == 5
        assert len(watcher.ok("NOOP").named("EXPUNGE")) == 5
        client.appended("INBOX", corpus.simple(999, 30_000))
        assert "No space left" in server.log()
        with Lmtp(server.lmtp) as lmtp:
            assert lmtp.deliver(["alice"], corpus.simple(1000, 10_000)) == {"alice": 250}
        disk.free()
        kept = state(client)
    for path in server.maildir("alice").rglob("pymaild.index"):
        path.unlink()
    with server.client("alice") as client:
        assert state(client) == kept
    assert not list(server.maildir("alice").glob("tmp/*"))


def fill_by_append(client: Imap) -> list[bytes]:
    """APPEND until it is refused three times; returns the subjects that were accepted."""
    accepted, refusals, number = [], 0, 0
    while refusals < 3:
        number += 1
        answer = client.append("INBOX", corpus.simple(number, 20_000), "(\\Seen)")
        if answer.status == "OK":
            accepted.append(b"Subject: simple %d" % number)
        else:
            refused(answer, "OVERQUOTA", "APPEND")
            refusals += 1
    return accepted


def fill_by_lmtp(server: Instance) -> list[bytes]:
    """Small deliveries until they are refused as well."""
    accepted, refusals, number = [], 0, 5000
    with Lmtp(server.lmtp) as lmtp:
        while refusals < 3:
            number += 1
            code = lmtp.deliver(["alice"], corpus.simple(number))["alice"]
            assert code in (250, 452)
            if code == 250:
                accepted.append(b"Subject: simple %d" % number)
            refusals += code == 452
    return accepted


def test_new_user_on_a_full_disk(full: tuple[Instance, SmallDisk]) -> None:
    """A first login that cannot make its mailboxes is refused and works later."""
    server, disk = full
    disk.take_inodes()
    disk.fill()
    with Imap(server.imap) as client:
        refused(client.no("LOGIN bob hidden"), "OVERQUOTA", "LOGIN")
    with Lmtp(server.lmtp) as lmtp:
        assert lmtp.deliver(["bob"], corpus.simple(1)) == {"bob": 452}
    disk.free()
    with server.client("bob") as client:
        client.appended("INBOX", corpus.simple(1))
        assert client.ok('LIST "" *').named("LIST")
    with Lmtp(server.lmtp) as lmtp:
        assert lmtp.deliver(["bob"], corpus.simple(1)) == {"bob": 250}
    assert len(maildir.files(server.maildir("bob"))) == 2
