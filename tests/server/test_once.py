"""Commands that change mail, and processes that are killed at each step of it.

The process is killed before each create, write, fsync, rename, link and unlink in turn. Its
client must be told exactly what it is told when nobody dies, and find exactly the same mail.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from pymaild.core.session import User
from pymaild.lmtp.record import LmtpRecord
from pymaild.lmtp.session import LmtpSession
from pymaild.lmtp.settings import LmtpSettings
from pymaild.mail import flags
from pymaild.mail.account import Account
from pymaild.mail.check import faults
from pymaild.net import _journal
from pymaild.storage import atomic
from pymaild.storage.maildir import unique_name
from tests.server.test_recovery import House, comparable
from tests.support.mortal import Mortal, Step, dies_in
from tests.support.rfc import rfc

MESSAGE = b"Subject: new\r\n\r\nnew\r\n"
OTHER = b"Subject: other\r\n\r\nother\r\n"

SELECT: Step = (b"a SELECT INBOX\r\n", b"a OK")


def dies_at_step(step: int) -> None:
    """Have this process killed before the n-th step."""
    left = step

    def count(kind: str, path: str) -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    atomic.observer = count


def lives() -> None:
    """Let this process live until it is killed from outside."""


def literal(data: bytes) -> bytes:
    return b"{%d+}\r\n%b" % (len(data), data)


def look(*names: bytes) -> list[Step]:
    """What is in mailboxes."""
    steps = [(b'r1 LIST "" * RETURN (SPECIAL-USE SUBSCRIBED)\r\n', b"r1 OK")]
    for name in names:
        steps += [
            (b"r2 EXAMINE %b\r\n" % name, b"r2 "),
            (b"r3 UID FETCH 1:* (FLAGS BODY.PEEK[])\r\n", b"r3 "),
        ]
    return steps


SEEN = [SELECT, (b"b STORE 1:3 +FLAGS.SILENT (\\Seen $Work)\r\n", b"b OK")]
DELETED = [SELECT, (b"b STORE 2,4,6 +FLAGS.SILENT (\\Deleted)\r\n", b"b OK")]
TREE = [(b"a CREATE Work\r\n", b"a OK"), (b"b CREATE Work/Sub\r\n", b"b OK")]

#: What comes before, the command, and what its client looks at then.
SCRIPTS: dict[str, tuple[Sequence[Step], bytes, Sequence[Step]]] = {
    "append": ([], b"x APPEND INBOX (\\Flagged) " + literal(MESSAGE), look(b"INBOX")),
    "append-selected": ([SELECT], b"x APPEND INBOX " + literal(MESSAGE), look(b"INBOX")),
    "multiappend": (
        [],
        b"x APPEND INBOX " + literal(MESSAGE) + b" (\\Seen) " + literal(OTHER),
        look(b"INBOX"),
    ),
    "catenate": (
        [SELECT],
        b'x APPEND INBOX CATENATE (URL "/INBOX/;UID=1" TEXT ' + literal(OTHER) + b")",
        look(b"INBOX"),
    ),
    "replace": ([SELECT], b"x REPLACE 2 INBOX " + literal(MESSAGE), look(b"INBOX")),
    "uid-replace": (
        [SELECT],
        b"x UID REPLACE 2 Archive " + literal(MESSAGE),
        look(b"INBOX", b"Archive"),
    ),
    "copy": (SEEN, b"x COPY 2:4 Archive", look(b"INBOX", b"Archive")),
    "copy-one": (SEEN, b"x UID COPY 2 Archive", look(b"INBOX", b"Archive")),
    "copy-here": (SEEN, b"x COPY 2:4 INBOX", look(b"INBOX")),
    "move": (SEEN, b"x MOVE 2:4,7 Archive", look(b"INBOX", b"Archive")),
    "uid-move": (SEEN, b"x UID MOVE 5,1:2 Archive", look(b"INBOX", b"Archive")),
    "store": ([SELECT], b"x STORE 1:3 +FLAGS.SILENT (\\Flagged $Todo)", look(b"INBOX")),
    "expunge": (DELETED, b"x EXPUNGE", look(b"INBOX")),
    "uid-expunge": (DELETED, b"x UID EXPUNGE 3:*", look(b"INBOX")),
    "close": (DELETED, b"x CLOSE", look(b"INBOX")),
    "create": ([], b"x CREATE Work/Sub (USE (\\Important))", look(b"Work/Sub")),
    "delete": (TREE, b"x DELETE Work", look(b"Work", b"Work/Sub")),
    "delete-selected": (
        [*TREE, (b"c SELECT Work/Sub\r\n", b"c OK")],
        b"x DELETE Work/Sub",
        look(b"Work"),
    ),
    "rename": (TREE, b"x RENAME Work Play/Ground", look(b"Play/Ground", b"Play/Ground/Sub")),
    "rename-selected": (
        [*TREE, (b"c SELECT Work/Sub\r\n", b"c OK")],
        b"x RENAME Work Play",
        [(b"r0 CHECK\r\n", b"r0 OK"), *look(b"Play", b"Play/Sub")],
    ),
    "rename-special": ([], b"x RENAME Archive Old", look(b"Old")),
    "rename-inbox": ([SELECT], b"x RENAME INBOX Old", look(b"INBOX", b"Old")),
    "subscribe": (TREE, b"x SUBSCRIBE Work", look()),
    "setmetadata": (
        [],
        b'x SETMETADATA INBOX (/private/comment "yes")',
        [(b"r1 GETMETADATA INBOX /private/comment\r\n", b"r1 OK")],
    ),
    "setacl": (TREE, b"x SETACL Work bob lr", [(b"r1 GETACL Work\r\n", b"r1 OK")]),
}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


#: What another way to the same end may change: numbers of transactions, and news of flags that
#: the client knows.
NEWS = re.compile(rb"HIGHESTMODSEQ \d+|\* \d+ FETCH \((?:UID \d+ )?FLAGS \([^)]*\)\)\r\n")


def begun(session: Mortal, before: Sequence[Step]) -> int:
    """Kill the process when it has played this and waits; returns how much the client has got."""
    start = len(session.play(before))
    while (left := _journal.remains(session.journal, 0)) is None or left.running:
        os.sched_yield()
    session.kill()
    return start


def told(session: Mortal, before: Sequence[Step], command: bytes, after: Sequence[Step]) -> bytes:
    """What the client is told from the command on, which another process is given."""
    start = begun(session, before)
    session.answer(command + b"\r\n", b"x ")
    session.until(b"\r\n", session.received.index(b"x ", start))
    session.play(after)
    return NEWS.sub(b"", comparable(session.received[start:]))


@pytest.mark.parametrize("script", SCRIPTS)
def test_killed_at_any_step(house: House, script: str) -> None:
    with house.sessions("imap") as session:
        expected = told(session, *SCRIPTS[script])
    assert b"x OK" in expected
    step, died = 0, True
    while died:
        step += 1
        with house.sessions("imap", lives, partial(dies_at_step, step)) as session:
            assert told(session, *SCRIPTS[script]) == expected, f"step {step}"
            died = len(session.recovered) > 1
    assert step > 1


CONDITIONAL = [
    (b"a SELECT INBOX (CONDSTORE)\r\n", b"a OK"),
    (b"b STORE 4 +FLAGS.SILENT (\\Flagged)\r\n", b"b OK"),
]


@pytest.mark.parametrize("flags", [b"+FLAGS.SILENT", b"FLAGS"])
def test_what_a_store_has_changed_itself_does_not_stand_in_its_way(
    house: House, flags: bytes
) -> None:
    """RFC 7162 §3.1.3: MODIFIED names the message that another STORE has changed, and no other."""
    step, died = 0, True
    while died:
        step += 1
        with house.sessions("imap", lives, partial(dies_at_step, step)) as session:
            before = session.play(CONDITIONAL)
            since = int(re.findall(rb"HIGHESTMODSEQ (\d+)", before)[0])
            command = b"x STORE 2:6 (UNCHANGEDSINCE %d) %b (\\Flagged $Todo)" % (since, flags)
            reply = told(session, [], command, [(b"y SEARCH KEYWORD $Todo\r\n", b"y OK")])
            died = len(session.recovered) > 1
        (modified,) = re.findall(rb"x OK \[MODIFIED ([0-9:,]+)\]", reply)
        assert modified == b"4", f"step {step}"
        assert b"* SEARCH 2 3 5 6\r\n" in reply, f"step {step}"
    assert step > 4


#: Commands that were done when their process died, and then another one: what does that.
DONE = {
    b"x APPEND INBOX " + literal(MESSAGE): (b"_code", b"x OK [APPENDUID # 9] APPEND completed"),
    b"x REPLACE 2 INBOX " + literal(MESSAGE): (b"_code", b"x OK REPLACE completed"),
    b"x COPY 1:2 Archive": (b"copyuid", b"x OK [COPYUID # 1:2 1:2] COPY completed"),
    b"x MOVE 1:2 Archive": (b"copyuid", b"x NO [SERVERBUG] "),
}


@pytest.mark.parametrize("command", DONE, ids=lambda command: command.split()[1].decode())
def test_what_was_done_is_told_though_processes_die_of_it(house: House, command: bytes) -> None:
    function, answer = DONE[command]
    fate = partial(dies_in, function.decode())
    with house.sessions("imap", lives, fate, fate) as session:
        reply = told(session, [SELECT], command, [(b"y NOOP\r\n", b"y OK")])
        assert len(session.recovered) == 3
        assert answer in reply
        assert (b"* OK [COPYUID # 1:2 1:2] Moved" in reply) == (b"MOVE" in command)
        assert (b"* OK [APPENDUID # 9] " in reply) == (b"REPLACE" in command)
        assert reply.count(b" EXPUNGE\r\n") == {b"MOVE": 2, b"REPLACE": 1}.get(
            command.split()[1], 0
        )
        first = session.received.index(b"x ")
        found = session.answer(b"x COPY 3 Archive\r\n", b"x OK [COPYUID")
        assert session.received.count(b"x ", first) == 2, found  # what was noted is forgotten


@pytest.mark.parametrize("how", [b"APPEND INBOX", b"REPLACE 2 INBOX"])
def test_a_message_too_large_to_be_kept_that_was_stored(house: House, how: bytes) -> None:
    message = b"Subject: large\r\n\r\n" + b"x" * 3_000_000
    with house.sessions("imap", partial(dies_in, "fill_cache")) as session:
        session.play([SELECT, (b"x %b {%d}\r\n" % (how, len(message)), b"+ OK\r\n")])
        reply = session.answer(message + b"\r\ny UID FETCH 9:* (RFC822.SIZE)\r\n", b"y OK")
        assert len(session.recovered) == 1
        assert b"x OK " in reply
        assert b"[APPENDUID" in reply
        assert b"UID 9 RFC822.SIZE %d)" % len(message) in reply
        assert b"* 10 EXISTS" not in reply


# -- mail that is delivered, and mail that is fetched ------------------------------------------


SENT = b"Subject: sent\r\n\r\n" + b"sent\r\n" * 300
TO = [b"alice", b"alice+Archive", b"alice", b"alice+Nowhere", b"alice+Archive"]
LMTP: list[Step] = [
    (b"LHLO client.example.org\r\n", b"CHUNKING\r\n"),
    (b"MAIL FROM:<s@example.org>\r\n", b"2.1.0 OK\r\n"),
    *((b"RCPT TO:<%b@example.org>\r\n" % name, b"2.1.5 OK\r\n") for name in TO),
]
MESSAGES_SENT = {
    "data": [(b"DATA\r\n", b"354 "), (SENT + b".\r\n", b"")],
    "bdat": [(b"NOOP\r\n", b"OK\r\n"), (b"BDAT %d LAST\r\n" % len(SENT) + SENT, b"")],
    "chunks": [
        (b"BDAT 20\r\n" + SENT[:20], b"received\r\n"),
        (b"BDAT %d LAST\r\n" % (len(SENT) - 20) + SENT[20:], b""),
    ],
    "data-large": [(b"DATA\r\n", b"354 "), (SENT * 700 + b".\r\n", b"")],
}


LOST = ("data-large", "chunks")


def sender(house: House, *fates: Callable[[], object]) -> Mortal:
    """An LMTP session that delivers to one user."""
    user = house.user()
    record = LmtpRecord(protocol="lmtp", id="0a", user=user)
    services = house.services(LmtpSettings())
    return Mortal(record, lambda record, stream: LmtpSession(record, stream, services).run(), fates)


def delivered(session: Mortal, script: str) -> tuple[list[bytes], int]:
    """Send a message; returns the replies, and how many processes died of it."""
    session.play(LMTP)
    begin, end = MESSAGES_SENT[script]
    session.answer(*begin)
    deaths, start = len(session.recovered), len(session.received)
    session.send(end[0] + b"NOOP\r\n")
    session.until(b"250 2.0.0 OK\r\n", start)
    return session.received[start:].splitlines(), len(session.recovered) - deaths


def account(house: House) -> Account:
    """The mail of the last session's user."""
    mail = str(house.folder / str(house.rounds) / "Maildir")
    return Account(User("alice", os.getuid(), os.getgid(), "", mail), house.mail)


def stored(house: House) -> dict[str, int]:
    """How often the message is in each mailbox."""
    found = {}
    for name in ("INBOX", "Archive"):
        with account(house).open(name) as box:
            box.refresh()
            view = box.view()
            assert faults(box) == []
            sources = [box.message(view, seq).section((), "") for seq in range(1, len(view) + 1)]
            texts = [b"".join(source.pieces()) for source in sources if source is not None]
            found[name] = sum(b"\r\n\r\nsent\r\n" in text for text in texts)
    return found


@rfc("2033", "4.2", 3)
@pytest.mark.parametrize("script", MESSAGES_SENT)
def test_each_recipient_gets_one_copy_and_one_reply(house: House, script: str) -> None:
    """RFC 2033 §4.2. Killed at each step; who has been answered is not answered again.

    A message that cannot be kept as it comes is refused for those who do not have it.
    """
    with sender(house) as session:
        expected, _ = delivered(session, script)
    assert len(expected) == len(TO) + 1
    assert stored(house) == {"INBOX": 2, "Archive": 1}
    step, died = 0, True
    while died:
        step += 1
        with sender(house, partial(dies_at_step, step)) as session:
            replies, died = delivered(session, script)[0], bool(session.recovered)
        assert len(replies) == len(expected), f"step {step}"
        if script not in LOST or not died:
            assert replies == expected, f"step {step}"
        told = {name for name, reply in zip(TO, replies, strict=False) if reply[:1] == b"2"}
        there = {"INBOX": len(told - {b"alice+Archive"}), "Archive": int(b"alice+Archive" in told)}
        assert stored(house) == there, f"step {step}"
    assert step > 8


def test_what_is_asked_of_a_user_process_twice_is_done_once(house: House) -> None:
    """The process that asked has died, and another asks again, under the same name."""
    name = unique_name()
    user = house.user()
    services = house.services(LmtpSettings())
    for intents in ([], [["sent", name]], [["sent", name]]):
        record = LmtpRecord(
            protocol="lmtp",
            id="0a",
            greeted=True,
            state="recipients",
            user=user,
            recipients=[["alice@a.org", "alice", ""]],
            mark=name,
            intents=intents,
        )
        with Mortal(record, lambda one, stream: LmtpSession(one, stream, services).run()) as asked:
            asked.answer(b"BDAT %d LAST\r\n%bQUIT\r\n" % (len(SENT), SENT), b"Bye\r\n")
            assert asked.received.startswith(b"250 2.1.5 <alice@a.org> delivered\r\n221 ")
        assert stored(house)["INBOX"] == 1


POP3: list[Step] = [
    (b"RETR 1\r\n", b"\r\n.\r\n"),
    (b"DELE 2\r\nDELE 5\r\n", b"5 marked for deletion\r\n"),
]


@rfc("1939", "6", 1)
def test_the_update_is_done_once_and_told_right(house: House) -> None:
    """RFC 1939 §6. Killed at each step of QUIT."""
    step, died = 0, True
    while died:
        step += 1
        with house.sessions("pop3", lives, partial(dies_at_step, step)) as session:
            start = begun(session, POP3)
            session.answer(b"QUIT\r\n", b"\r\n")
            reply, died = session.received[start:], len(session.recovered) > 1
        assert reply == b"+OK Bye, 2 messages deleted\r\n", f"step {step}"
        with account(house).open("INBOX") as box:
            box.refresh()
            view = box.view()
            left = [view.uid(seq) for seq in range(1, len(view) + 1)]
            assert left == [1, 3, 4, 6, 7, 8], f"step {step}"
            assert view.flags(1) & flags.SEEN, f"step {step}"
    assert step > 3
