"""The running server: workers are killed from outside while their clients change mail."""

from __future__ import annotations

import os
import random
import re
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.support.imap import Answer, Imap
from tests.support.instance import Instance, instance
from tests.support.lmtp import Lmtp

ROUNDS = 4


@pytest.fixture(scope="module")
def mail() -> Iterator[Instance]:
    with instance({"alice": "secret", "bob": "secret", "carol": "secret"}) as made:
        made.settings.setdefault("mail", {})["fsync"] = False
        made.start()
        yield made


class Killer:
    """Kills the worker that has a session, at some moment of a command."""

    def __init__(self, mail: Instance, user: str) -> None:
        self.blows = 0
        self._mail, self._user = mail, user
        self._chance = random.Random(11)

    def aim(self) -> int:
        """Return the worker of the session, or one that may soon be."""
        rows = self._mail.control("who")
        busy = [row["pid"] for row in rows if row["user"] == self._user and row["pid"]]
        return int(self._chance.choice(busy or self._mail.workers()))

    def strike(self, pid: int) -> None:
        for _ in range(self._chance.randrange(40_000)):
            pass
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.blows += 1


def literal(number: int) -> str:
    data = f"Subject: number {number}\r\n\r\n{'line' * 20}\r\n"
    return f"{{{len(data)}+}}\r\n{data}"


def commands(turn: int) -> list[str]:
    """Each changes something; all can be given again and again."""
    return [
        f"APPEND INBOX {literal(turn)}",
        f"APPEND INBOX {literal(turn)} (\\Seen) {literal(turn + 100)}",
        "COPY 1:2 Archive",
        "MOVE 1 Archive",
        "UID COPY 1:* INBOX",
        "STORE 1:2 +FLAGS (\\Flagged)",
        "STORE 2 +FLAGS.SILENT (\\Deleted)",
        "EXPUNGE",
        f"REPLACE 1 INBOX {literal(turn + 200)}",
        f"CREATE Work{turn}",
        f"RENAME Work{turn} Play{turn}",
        f"DELETE Play{turn}",
        f"CREATE Home{turn}/Sub",
    ]


def answered(client: Imap, command: str, killer: Killer | None) -> Answer:
    """Give a command, and have its worker killed. It must be answered OK."""
    if killer is None:
        return client.ok(command)
    pid = killer.aim()
    tag = client.start(command)
    killer.strike(pid)
    answer = client.finish(tag)
    assert answer.status == "OK", answer
    return answer


def played(client: Imap, killer: Killer | None = None) -> list[str]:
    """Play all commands; returns what was said of each, and what is there in the end."""
    said = []
    client.ok("SELECT INBOX")
    for turn in range(ROUNDS):
        for command in commands(turn):
            answer = answered(client, command, killer)
            for reply in (*answer.untagged, answer.tagged):
                said += re.findall(r"\[(?:APPEND|COPY)UID \d+ ([0-9:, ]+)\]", reply.raw.decode())
    for name in ("INBOX", "Archive"):
        client.ok(f"EXAMINE {name}")
        fetched = client.ok("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        said += [reply.raw.decode() for reply in fetched.untagged if b"BODY[" in reply.raw]
    return said + sorted(reply.raw.decode() for reply in client.ok('LIST "" *').untagged)


def test_commands_are_done_once_whatever_dies(mail: Instance) -> None:
    """Replies, UIDs and mail are those of a client whose workers live."""
    with mail.client("alice") as client:
        expected = played(client)
    assert len(expected) > 30
    killer = Killer(mail, "bob")
    with mail.client("bob") as client:
        assert played(client, killer) == expected
    assert len(expected) > ROUNDS * 5
    assert killer.blows > len(commands(0))


def test_mail_is_delivered_once_whatever_dies(mail: Instance) -> None:
    """Each recipient gets one copy, and the sender one reply for each."""
    count, killer = 30, Killer(mail, "")
    with Lmtp(mail.lmtp) as client:
        for number in range(count):
            for line in ("MAIL FROM:<>", "RCPT TO:<bob@a.org>", "RCPT TO:<carol@a.org>"):
                assert client.docmd(line)[0] == 250
            pid = killer.aim()
            assert client.docmd("DATA")[0] == 354
            client.send(f"Subject: letter {number}\r\n\r\nletter\r\n.\r\n")
            killer.strike(pid)
            assert [client.getreply()[0] for _ in range(2)] == [250, 250]
        assert client.noop()[0] == 250
    assert killer.blows > count // 2
    with mail.client("carol") as reader:
        reader.ok("SELECT INBOX")
        found = reader.ok("FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]").untagged
    numbers = [int(re.findall(rb"letter (\d+)", reply.raw)[0]) for reply in found]
    assert sorted(numbers) == list(range(count))
