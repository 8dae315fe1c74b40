"""The machine: what several sessions and other programs do to one mailbox, step by step."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from typing import Any, ClassVar

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support import maildir
from tests.support.imap import Imap
from tests.support.instance import Instance
from tests.support.lmtp import deliver

from .world import RECENT, Flags, Message, Picture, World, numbers

NAMES = ("\\Seen", "\\Flagged", "\\Answered", "\\Deleted", "\\Draft", "Work", "$Label1")
LETTERS = {"S": "\\Seen", "F": "\\Flagged", "T": "\\Deleted", "D": "\\Draft", "R": "\\Answered"}
#: What each of the sessions enables: they share the mailbox, not the dialect.
DIALECTS = ("", "CONDSTORE", "QRESYNC", "UIDONLY")

who = st.integers(0, len(DIALECTS) - 1)
picks = st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True)
some_flags = st.frozensets(st.sampled_from(NAMES), max_size=3)
signs = st.sampled_from(["+", "-", ""])
yes_or_no = st.booleans()


class Sessions(RuleBasedStateMachine):
    """Sessions of one user. ``server`` is set by the test."""

    server: ClassVar[Instance]
    users: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).users += 1
        self.stack = ExitStack()
        self.user = self.server.add_user(f"machine{self.users}")
        self.watcher = self.open()
        self.watcher.ok("CREATE Aside")
        self.known = set(map(str, self.watcher.ok("CAPABILITY").one("CAPABILITY").values))
        self.world = World()
        self.saved: list[tuple[int, int, dict[int, Flags]]] = []

    def open(self) -> Imap:
        """Another connection of the user."""
        return self.stack.enter_context(self.server.client(self.user))

    @initialize(count=st.integers(0, 5))
    def start(self, count: int) -> None:
        for _ in range(count):
            self.deliver_by_lmtp()
        enabled = [name if name in self.known else "" for name in DIALECTS]
        self.sessions = [Picture(self.open(), name) for name in enabled]

    def teardown(self) -> None:
        try:
            if hasattr(self, "sessions"):
                for session in self.sessions:
                    self.settle(session)
                self.compare("INBOX", self.world.inbox)
                self.compare("Aside", self.world.aside)
        finally:
            self.stack.close()

    def compare(self, name: str, messages: dict[int, Message]) -> None:
        """A fresh session sees each message once, under its UID, with its flags."""
        with self.server.client(self.user) as client:
            client.ok(f"EXAMINE {name}")
            item = "BODY.PEEK[HEADER.FIELDS (SUBJECT)]"
            found = client.ok(f"UID FETCH 1:* (UID FLAGS {item})").fetched()
        seen = {
            int(values["UID"]): Message(
                values["BODY[HEADER.FIELDS (SUBJECT)]"].decode().strip()[9:],
                frozenset(map(str, values["FLAGS"])) - {RECENT},
            )
            for _, values in sorted(found.items())
        }
        assert list(seen.items()) == list(messages.items())

    @invariant()
    def flags_that_were_told_are_true(self) -> None:
        for session in getattr(self, "sessions", []):
            for uid, flags in session.told.items():
                assert uid not in self.world.inbox or flags == self.world.inbox[uid].flags
            session.told = {}

    # --- messages come ------------------------------------------------------------------------

    @rule(index=who, flags=some_flags)
    def append(self, index: int, flags: Flags) -> None:
        session, message = self.sessions[index], Message(self.world.subject(), flags)
        words = f"({' '.join(sorted(flags))})"
        command = f"APPEND INBOX {words}"
        answer = session.take(command, session.client.append("INBOX", octets(message), words))
        self.world.add(self.world.inbox, int(answer.tagged.code[2]), message)

    @rule()
    def deliver_by_lmtp(self) -> None:
        self.arrive(lambda octets: deliver(self.server.lmtp, [self.user], octets))

    @rule()
    def deliver_by_another_program(self) -> None:
        if (self.server.maildir(self.user) / "new").exists():
            self.arrive(lambda octets: maildir.drop(self.server.maildir(self.user), octets))

    def arrive(self, bring: Any) -> None:
        """A delivery outside of IMAP; UIDs go up by one from a UIDNEXT that is asked before."""
        uid = self.uidnext()
        message = Message(self.world.subject())
        bring(octets(message))
        self.await_(lambda: self.uidnext() > uid)
        self.world.add(self.world.inbox, self.uidnext() - 1, message)

    def uidnext(self) -> int:
        status = self.watcher.ok("STATUS INBOX (UIDNEXT)").one("STATUS").values[2]
        return int(status[1])

    # --- flags --------------------------------------------------------------------------------

    @rule(index=who, which=picks, sign=signs, flags=some_flags, by_uid=yes_or_no, quiet=yes_or_no)
    def store(
        self, index: int, which: list[int], sign: str, flags: Flags, by_uid: bool, quiet: bool
    ) -> None:
        session = self.sessions[index]
        by_uid |= session.uidonly
        uids, target = self.target(session, which, by_uid)
        if uids:
            item = f"{sign}FLAGS{'.SILENT' * quiet} ({' '.join(sorted(flags))})"
            session.run(f"{'UID ' * by_uid}STORE {target} {item}")
            self.stored(session, uids, sign, flags, quiet)

    def stored(
        self, session: Picture, uids: list[int], sign: str, flags: Flags, quiet: bool
    ) -> None:
        for uid in uids:
            if message := self.world.inbox.get(uid):
                sums = {"+": message.flags | flags, "-": message.flags - flags, "": flags}
                message.flags = sums[sign]
                if quiet:  # the client works it out for itself, RFC 9051 §6.4.6: if it can
                    session.flags.pop(uid, None)

    def target(self, session: Picture, which: list[int], by_uid: bool) -> tuple[list[int], str]:
        """Messages whose UID the session knows, and the set that names them to the server."""
        count = len(session.uids)
        seqs = sorted({1 + one % count for one in which}) if count else []
        seqs = [seq for seq in seqs if session.uids[seq - 1]]
        uids = [session.uids[seq - 1] for seq in seqs]
        return uids, ",".join(map(str, uids if by_uid else seqs))

    @precondition(lambda self: "CONDSTORE" in self.known)
    @rule(which=st.integers(0, 9), flags=some_flags)
    def store_unless_changed(self, which: int, flags: Flags) -> None:
        """RFC 7162 §3.1.3: nothing is changed that changed since the client looked."""
        session = self.sessions[1]
        uids, target = self.target(session, [which], True)
        if not uids or uids[0] not in session.modseqs or uids[0] not in self.world.inbox:
            return
        self.watcher.ok("EXAMINE INBOX")
        fetched = self.watcher.ok(f"UID FETCH {target} (MODSEQ)").one("FETCH").values[2]
        true = int(fetched[fetched.index("MODSEQ") + 1][0])
        known = session.modseqs[uids[0]]
        words = " ".join(sorted(flags))
        answer = session.run(f"UID STORE {target} (UNCHANGEDSINCE {known}) FLAGS ({words})")
        assert (answer.code == "MODIFIED") == (true > known), (true, known, answer.tagged.raw)
        if true <= known:
            self.stored(session, uids, "", flags, False)

    @rule(which=st.integers(0, 9), letters=st.sampled_from(["", "S", "FS", "T", "DR"]))
    def reflag_by_another_program(self, which: int, letters: str) -> None:
        """A program renames the file, as mutt does."""
        path = self.file(which)
        if path:
            uid = self.uid_of(path)
            maildir.reflag(path, letters)
            flags = frozenset(LETTERS[letter] for letter in letters)
            self.await_(lambda: self.flags_by_watcher().get(uid) == flags)
            self.world.inbox[uid].flags = flags

    # --- messages go --------------------------------------------------------------------------

    @rule(index=who)
    def expunge(self, index: int) -> None:
        """All that the session knows of and that is \\Deleted goes; the rest may wait."""
        session = self.sessions[index]
        if 0 in session.uids:
            session.learn()
        deleted = {uid for uid, one in self.world.inbox.items() if "\\Deleted" in one.flags}
        known = deleted.intersection(session.uids)
        assert session.run("EXPUNGE").status == "OK"
        gone = set(self.world.inbox) - set(self.flags_by_watcher())
        assert known <= gone <= deleted
        self.drop(gone)
        assert session.agrees(self.world)

    @rule(index=who, which=picks)
    def uid_expunge(self, index: int, which: list[int]) -> None:
        session = self.sessions[index]
        uids, target = self.target(session, which, True)
        if uids:
            assert session.run(f"UID EXPUNGE {target}").status == "OK"
            gone = [uid for uid in uids if uid in self.world.inbox]
            self.drop({uid for uid in gone if "\\Deleted" in self.world.inbox[uid].flags})
            assert session.agrees(self.world)

    def drop(self, uids: set[int]) -> None:
        for uid in uids:
            del self.world.inbox[uid]

    @rule(index=who, which=picks, by_uid=yes_or_no, moves=yes_or_no)
    def copy_or_move(self, index: int, which: list[int], by_uid: bool, moves: bool) -> None:
        session = self.sessions[index]
        by_uid |= session.uidonly
        uids, target = self.target(session, which, by_uid)
        if not uids:
            return
        verb = "MOVE" if moves else "COPY"
        answer = session.run(f"{'UID ' * by_uid}{verb} {target} Aside")
        there = [uid for uid in uids if uid in self.world.inbox]
        code = answer.codes().get("COPYUID")
        assert (code is not None) == bool(there), answer
        if code:
            assert list(numbers(str(code[1]))) == there
            for uid, copy in zip(there, numbers(str(code[2])), strict=True):
                message = self.world.inbox[uid]
                self.world.add(self.world.aside, copy, Message(message.subject, message.flags))
            self.drop(set(there) if moves else set())
        assert not moves or session.agrees(self.world)

    @rule(which=st.integers(0, 9))
    def remove_by_another_program(self, which: int) -> None:
        path = self.file(which)
        if path:
            uid = self.uid_of(path)
            path.unlink()
            self.await_(lambda: uid not in self.flags_by_watcher())
            self.drop({uid})

    def file(self, which: int) -> Any:
        """One of the files of INBOX."""
        if not (self.server.maildir(self.user) / "cur").exists():
            return None
        paths = maildir.files(self.server.maildir(self.user))
        return paths[which % len(paths)] if paths else None

    def uid_of(self, path: Any) -> int:
        """The UID of the message in a file."""
        subject = re.search(rb"^Subject: (.*?)\r?$", path.read_bytes(), re.MULTILINE)[1].decode()
        return next(uid for uid, one in self.world.inbox.items() if one.subject == subject)

    def flags_by_watcher(self) -> dict[int, Flags]:
        self.watcher.ok("EXAMINE INBOX")
        found = self.watcher.ok("UID FETCH 1:* (UID FLAGS)").fetched().values()
        return {
            int(values["UID"]): frozenset(map(str, values["FLAGS"])) - {RECENT} for values in found
        }

    def await_(self, noticed: Any) -> None:
        """Others' changes of the Maildir are noticed when its time of change is settled."""
        deadline = time.monotonic() + 20
        while not noticed():
            assert time.monotonic() < deadline, "not noticed"

    # --- looking ------------------------------------------------------------------------------

    @rule(index=who)
    def noop(self, index: int) -> None:
        self.settle(self.sessions[index])

    def settle(self, session: Picture) -> None:
        """After NOOP a session knows all that is true."""
        session.run("NOOP")
        assert session.agrees(self.world), (session.uids, session.flags, self.world)
        session.learn()
        assert session.agrees(self.world)

    @rule(index=who, by_uid=yes_or_no)
    def fetch(self, index: int, by_uid: bool) -> None:
        session = self.sessions[index]
        by_uid |= session.uidonly
        if session.uids:
            modseq = session.enable in ("CONDSTORE", "QRESYNC")
            items = "(UID FLAGS MODSEQ)" if modseq else "(UID FLAGS)"
            session.run(f"{'UID ' * by_uid}FETCH 1:* {items}")

    @rule(index=who, by_uid=yes_or_no)
    def search(self, index: int, by_uid: bool) -> None:
        session = self.sessions[index]
        by_uid |= session.uidonly
        known = self.world.ever if by_uid else set(range(1, len(session.uids) + 1))
        answer = session.run(f"{'UID ' * by_uid}SEARCH UNDELETED")
        assert {int(one) for one in answer.one("SEARCH").values[1:]} <= known

    @rule(index=who)
    def select(self, index: int) -> None:
        session = self.sessions[index]
        session.select()
        assert session.agrees(self.world)

    @rule(index=who, other=who, what=st.sampled_from(["append", "store", "expunge"]))
    def idle(self, index: int, other: int, what: str) -> None:
        """What another session does is told in IDLE, without asking."""
        if index == other:
            return
        session = self.sessions[index]
        tag = session.client.start("IDLE")
        while (reply := session.client.read()).tag == "*":
            session.believe(reply)
        acts = {"append": (frozenset(),), "store": ([0, 3], "+", {"\\Flagged"}, True, False)}
        getattr(self, what)(other, *acts.get(what, ()))
        while not session.agrees(self.world):
            session.believe(session.client.read())
        session.take("DONE", session.client.done(tag))

    # --- going away and coming back -----------------------------------------------------------

    @precondition(lambda self: "CONDSTORE" in self.known)
    @rule()
    def remember(self) -> None:
        """What a client keeps when it goes offline."""
        status = self.watcher.ok("STATUS INBOX (UIDVALIDITY HIGHESTMODSEQ)").one("STATUS")
        values = {str(k): int(v) for k, v in zip(*[iter(status.values[2])] * 2, strict=True)}
        self.saved.append((values["UIDVALIDITY"], values["HIGHESTMODSEQ"], self.world.flags()))

    @precondition(lambda self: "QRESYNC" in self.known and self.saved)
    @rule(which=st.integers(0, 9), named=yes_or_no)
    def come_back(self, which: int, named: bool) -> None:
        """RFC 7162 §3.2.5: what was kept and what SELECT tells make the truth.

        A client that names the UIDs it knows is told of those alone (§3.2.5.1).
        """
        validity, modseq, believed = self.saved[which % len(self.saved)]
        state = dict(believed)
        uids = " " + ",".join(map(str, state)) if named and state else ""
        with self.server.client(self.user) as client:
            client.ok("ENABLE QRESYNC")
            answer = client.ok(f"SELECT INBOX (QRESYNC ({validity} {modseq}{uids}))")
        for reply in answer.named("VANISHED"):
            for uid in numbers(str(reply.values[-1])):
                state.pop(uid, None)
        for values in answer.fetched().values():
            state[int(values["UID"])] = frozenset(map(str, values["FLAGS"])) - {RECENT}
        true = self.world.flags()
        assert state == {uid: true[uid] for uid in true if not uids or uid in believed}
        assert answer.one("EXISTS").number == len(true)

    @precondition(lambda self: "CONDSTORE" in self.known and self.saved)
    @rule(which=st.integers(0, 9))
    def catch_up(self, which: int) -> None:
        """RFC 7162 §3.1.4.1: what changed since then, and what is still there."""
        _, modseq, believed = self.saved[which % len(self.saved)]
        session = self.sessions[1]
        session.learn()
        session.run(f"UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE {modseq})")
        state = {uid: flags for uid, flags in believed.items() if uid in session.uids}
        assert state | session.told == self.world.flags()


def octets(message: Message) -> bytes:
    return f"Subject: {message.subject}\r\n\r\ntext\r\n".encode()
