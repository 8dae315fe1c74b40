"""Processes are killed in the middle of a session; its client notices nothing.

Each process is killed at one of the calls and returns that its session consists of, or from
outside at any moment; what the client receives is compared with what it receives when nobody
dies.
"""

from __future__ import annotations

import os
import random
import re
import string
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pymaild.core.session import Ending, User
from pymaild.imap.record import ImapRecord
from pymaild.imap.session import ImapSession
from pymaild.imap.settings import ImapSettings
from pymaild.mail.account import Account
from pymaild.mail.delivery import deliver
from pymaild.mail.services import Services
from pymaild.mail.settings import MailSettings
from pymaild.net.stream import SocketStream
from pymaild.pop3.record import Pop3Record
from pymaild.pop3.session import Pop3Session
from pymaild.pop3.settings import Pop3Settings
from tests.support.mortal import Ended, Mortal, Step, dies_after, dies_at, dies_in
from tests.support.sessions import Board

MESSAGES = [b"Subject: n%d\r\n\r\n%b\r\n" % (n, b"line %d\r\n" % n * n) for n in range(1, 9)]

IMAP: list[Step] = [
    (b"a1 CAPABILITY\r\n", b"a1 OK"),
    (b"a2 SELECT INBOX\r\n", b"a2 OK"),
    (b"a3 FETCH 1:* (UID FLAGS)\r\na4 NOOP\r\na5 STATUS INBOX (MESSAGES)\r\na6 N", b"a5 OK"),
    (b"OOP\r\n", b"a6 OK"),
    (b"b1 SEARCH RETURN (SAVE COUNT) SUBJECT {2}\r\n", b"+ OK\r\n"),
    (b"n1\r\n", b"b1 OK"),
    (b"b2 FETCH $ (UID BODY.PEEK[])\r\n", b"b2 OK"),
    (b"b3 IDLE\r\n", b"+ idling\r\n"),
    (b"DONE\r\nb4 NOOP\r\n", b"b4 OK"),
    (b"c1 ENABLE CONDSTORE\r\n", b"c1 OK"),
    (b"c2 FETCH 2 (FLAGS MODSEQ)\r\n", b"c2 OK"),
    (b"c3 NONSENSE\r\n", b"c3 BAD"),
    (b'c4 UNSELECT\r\nc5 LIST "" *\r\n', b"c5 OK"),
]

POP3: list[Step] = [
    (b"STAT\r\nLIST\r\nNOOP\r\n", b"+OK Still here\r\n"),
    (b"RETR 3\r\n", b"\r\n.\r\n"),
    (b"DELE 2\r\nDELE 3\r\n", b"3 marked for deletion\r\n"),
    (b"NONSENSE\r\nUIDL 1\r\nUIDL 2\r\n", b"-ERR No such message\r\n"),
]


LETTERS = string.ascii_letters.encode() + b"-"


class House:
    """A user's mail, made anew for each session."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mail = MailSettings(fsync=False)
        self.rounds = 0
        self.messages = MESSAGES

    def user(self) -> User:
        self.rounds += 1
        path = self.folder / str(self.rounds) / "Maildir"
        path.parent.mkdir()
        user = User("alice", os.getuid(), os.getgid(), "", str(path))
        account = Account(user, self.mail)
        account.prepare()
        for message in self.messages:
            deliver(account, [message], "INBOX")
        for name in os.listdir(path / "new"):  # old mail: \\Recent is told once, whoever dies of it
            os.rename(path / "new" / name, path / "cur" / f"{name}:2,")
        return user

    def services(self, settings: Any) -> Services[Any]:
        return Services(
            settings=settings,
            mail=self.mail,
            auth=None,  # type: ignore[arg-type]  # everybody is logged in
            board=Board(),
            open_account=lambda user: Account(user, self.mail),
            hostname="mail.example.org",
            spool=str(self.folder),
        )

    def imap(self, record: ImapRecord, stream: SocketStream) -> Ending:
        return ImapSession(record, stream, self.services(ImapSettings())).run()

    def pop3(self, record: Pop3Record, stream: SocketStream) -> Ending:
        return Pop3Session(record, stream, self.services(Pop3Settings())).run()

    def sessions(self, protocol: str, *fates: Callable[[], object], sndbuf: int = 0) -> Mortal:
        """A session of a user who has logged in."""
        kind, state = {
            "imap": (ImapRecord, "authenticated"),
            "pop3": (Pop3Record, "authenticated"),
        }[protocol]
        record = kind(
            protocol=protocol, id="0a", greeted=True, state=state, started=1.0, user=self.user()
        )
        return Mortal(record, getattr(self, protocol), fates, sndbuf)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def told(house: House, protocol: str, *fates: Callable[[], object], sndbuf: int = 0) -> bytes:
    """What the client of a script receives."""
    with house.sessions(protocol, *fates, sndbuf=sndbuf) as session:
        return comparable(session.play(SCRIPTS[protocol]))


def comparable(received: bytes) -> bytes:
    """UIDVALIDITY is the time when a mailbox was made; UIDL and MAILBOXID tell it too."""
    return re.sub(
        rb"[0-9A-Za-z_-]{8,}", lambda word: b"#" if word[0].strip(LETTERS) else word[0], received
    )


SCRIPTS = {"imap": IMAP, "pop3": POP3}


@pytest.mark.parametrize(("protocol", "last"), [("imap", 6400), ("pop3", 2600)])
def test_killed_at_any_call(house: House, protocol: str, last: int) -> None:
    """``last``: about how many calls and returns there are."""
    expected = told(house, protocol)
    for event in range(0, last, 97):
        assert told(house, protocol, partial(dies_at, event)) == expected, event


def test_killed_again_and_again(house: House) -> None:
    """One process after the other, each once it has ended a command: no command meets two."""
    expected = told(house, "imap")
    fates = [partial(dies_after, "ended", 700)] * 40
    with house.sessions("imap", *fates) as session:
        assert comparable(session.play(IMAP)) == expected
        assert len(session.recovered) > 2


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_killed_from_outside(house: House, protocol: str) -> None:
    """At any moment, also inside system calls; but each command, which may come in two steps, is
    interrupted once at most."""
    expected = told(house, protocol)
    chance = random.Random(7)
    deaths = 0
    for first in range(40):
        with house.sessions(protocol) as session:
            for number, (data, end) in enumerate(SCRIPTS[protocol], first):
                start = len(session.received)
                session.send(data)
                for _ in range(chance.randrange(20_000)):
                    pass
                if number % 2:
                    session.kill()
                session.until(end, start)
            assert comparable(session.received) == expected
            deaths += len(session.recovered)
    assert deaths > 50


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
@given(
    st.sampled_from(["imap", "pop3"]),
    st.lists(st.integers(1, 60), min_size=1, max_size=20),
    st.integers(0, 6400),
)
def test_input_in_any_pieces(house: House, protocol: str, sizes: list[int], event: int) -> None:
    """Pipelined, in pieces of any size, over a socket that takes little."""
    script = SCRIPTS[protocol]
    whole, end = b"".join(data for data, _ in script), script[-1][1]
    with house.sessions(protocol, partial(dies_at, event), sndbuf=4608) as session:
        for size in sizes:
            session.send(whole[:size])
            whole = whole[size:]
        session.answer(whole, end)
        received = comparable(session.received)
    assert received == told(house, protocol)


def test_a_reply_that_is_half_sent(house: House) -> None:
    """The client has taken a part; it gets exactly the rest."""
    with house.sessions("imap", sndbuf=4608) as session:
        session.answer(b"a SELECT INBOX\r\n", b"a OK")
        start = len(session.received)
        session.send(b"b FETCH 1:* (BODY.PEEK[])\r\n" * 40)
        session.until(b"FETCH", start)
        session.kill()
        for _ in range(40):
            session.until(b"b OK", start)
            start = session.received.index(b"b OK", start) + 4
        whole = session.received[: start + 1]
    assert len(session.recovered) == 1
    assert whole.count(b"BODY[]") == 40 * len(MESSAGES)
    for reply in whole.split(b"b OK")[1:-1]:
        assert reply.count(b"BODY[]") == len(MESSAGES)


def test_a_large_reply_that_is_half_sent(house: House) -> None:
    """Nobody can say which part of it the client has: the connection ends."""
    house.messages = [*MESSAGES, b"Subject: large\r\n\r\n" + b"x" * 300_000]
    with house.sessions("imap", sndbuf=4608) as session:
        session.answer(b"a SELECT INBOX\r\n", b"a OK")
        start = len(session.received)
        session.send(b"b FETCH 1:* (BODY.PEEK[])\r\n")
        session.until(b"FETCH", start)
        session.kill()
        with pytest.raises(Ended, match="part of a reply"):
            session.until(b"b OK", start)


# -- commands that processes die of ------------------------------------------------------------


def answered_no(session: Mortal, code: bytes, *steps: Step) -> None:
    """A script whose last command is answered NO; then the session goes on."""
    session.play(steps[:-1])
    reply = session.answer(*steps[-1])
    assert b"x NO [%b]" % code in reply
    assert session.answer(b"y NOOP\r\n", b"y OK").endswith(b"y OK NOOP completed\r\n")


DEADLY = [
    ("status", [(b"x STATUS INBOX (MESSAGES)\r\n", b"x NO")]),
    (
        "search",
        [(b"w SELECT INBOX\r\n", b"w OK"), (b"x SEARCH TEXT {1}\r\n", b"+"), (b"a\r\n", b"x")],
    ),
    ("append", [(b"x APPEND INBOX {5}\r\n", b"x NO")]),
    ("go_on", [(b"x APPEND INBOX {5}\r\n", b"+ OK"), (b"abcde\r\n", b"x NO")]),
    ("go_on", [(b"x APPEND INBOX {5+}\r\nabcde\r\n", b"x NO")]),
    ("go_on", [(b"x APPEND INBOX {5}\r\n", b"+ OK"), (b"abc", b""), (b"de\r\n", b"x NO")]),
]


@pytest.mark.parametrize(("function", "steps"), DEADLY)
def test_a_command_that_kills_is_refused(house: House, function: str, steps: list[Step]) -> None:
    fate = partial(dies_in, function)
    with house.sessions("imap", fate, fate) as session:
        answered_no(session, b"SERVERBUG", *steps)
        assert len(session.recovered) == 2


def test_a_session_that_only_kills_ends(house: House) -> None:
    """Outside of commands there is nothing to be refused."""
    fate = partial(dies_in, "resume")
    with house.sessions("imap", fate, fate, fate) as session, pytest.raises(Ended, match="several"):
        session.answer(b"a NOOP\r\n", b"a OK")


def test_pop3_refuses_what_kills(house: House) -> None:
    fate = partial(dies_in, "stat")
    with house.sessions("pop3", fate, fate) as session:
        reply = session.answer(b"STAT\r\nNOOP\r\n", b"+OK Still here\r\n")
        assert b"-ERR [SYS/PERM] This command" in reply


# -- messages on their way in ------------------------------------------------------------------


@pytest.mark.parametrize("waits", [b"", b"+"])
def test_an_append_goes_on(house: House, waits: bytes) -> None:
    """What had come of the message is read from the journal; it is stored once."""
    message = b"Subject: large\r\n\r\n" + b"x" * 400_000 + b"\r\n"
    with house.sessions("imap") as session:
        session.send(b"x APPEND INBOX {%d%b}\r\n" % (len(message), waits))
        if not waits:
            session.until(b"+ OK\r\n")
        session.send(message[:200_000])
        session.kill()
        reply = session.answer(message[200_000:] + b"\r\n", b"x OK")
        assert b"APPENDUID" in reply
        assert b"+ OK" not in reply
        found = session.answer(b"y STATUS INBOX (MESSAGES)\r\n", b"y OK")
        assert b"(MESSAGES %d)" % (len(MESSAGES) + 1) in found


def test_a_message_too_large_to_be_kept(house: House) -> None:
    """The rest of it is thrown away, and no octet more."""
    message = b"x" * 3_000_000
    with house.sessions("imap") as session:
        session.answer(b"x APPEND INBOX {%d}\r\n" % len(message), b"+ OK")
        session.send(message[:2_500_000])
        session.kill()
        answered_no(session, b"UNAVAILABLE", (message[2_500_000:] + b"\r\n", b"x NO"))
