"""Three sessions in one mailbox, random commands, a model beside them.

What is defended: a sequence number never means another message than the one the client knows
under it (RFC 9051 §7.5.1), EXPUNGE is only told when it may be, and all see the same in the end.
"""

from __future__ import annotations

import random
from contextlib import ExitStack

import pytest

from tests.support import corpus, maildir
from tests.support.imap import Answer, Imap
from tests.support.instance import Instance

FLAGS = ("\\Seen", "\\Flagged", "\\Answered", "\\Deleted", "Work", "$Forwarded")
#: No EXPUNGE may be sent in answer to these (RFC 9051 §7.5.1).
QUIET = ("FETCH", "STORE", "SEARCH")


class Session:
    """A client and what it believes: the UIDs of its messages in their order."""

    def __init__(self, client: Imap) -> None:
        self.client = client
        self.uids: list[int] = []
        self.run("SELECT INBOX")
        self.learn()

    def run(self, command: str) -> Answer:
        """Send a command and believe what its answer tells."""
        answer = self.client.command(command)
        quiet = command.split(" ")[0] in QUIET
        for reply in answer.untagged:
            assert not (quiet and reply.name == "EXPUNGE"), (command, reply.raw)
            self.believe(reply.name, reply)
        return answer

    def believe(self, name: str, reply) -> None:  # type: ignore[no-untyped-def]
        """Apply one untagged reply."""
        if name == "EXPUNGE":
            del self.uids[reply.number - 1]
        elif name == "EXISTS":
            assert reply.number >= len(self.uids), "EXISTS got smaller without EXPUNGE"
            self.uids += [0] * (reply.number - len(self.uids))
        elif name == "FETCH":
            values = reply.values[2]
            if "UID" in values:
                uid = int(values[values.index("UID") + 1])
                known = self.uids[reply.number - 1]
                assert known in (0, uid), f"{reply.number} is {known}, told {uid}"
                self.uids[reply.number - 1] = uid

    def learn(self) -> None:
        """Ask for the UIDs of messages that are new."""
        answer = self.run("NOOP")
        assert answer.status == "OK"
        answer = self.run("UID FETCH 1:* (UID)")
        while 0 in self.uids:
            assert answer.status == "OK"
            answer = self.run("FETCH 1:* (UID)")
        assert self.uids == sorted(set(self.uids))

    def state(self) -> dict[int, frozenset[str]]:
        """Flags by UID, as this session is told after NOOP."""
        self.learn()
        found = self.run("UID FETCH 1:* (UID FLAGS)").fetched().values()
        return {
            int(values["UID"]): frozenset(map(str, values["FLAGS"])) - {"\\Recent"}
            for values in found
        }


class Storm:
    """Draws commands, runs them, and keeps the model: flags by UID.

    ``loses``: now and then the files of the index are removed; ``lost`` counts them.
    """

    loses = False
    lost = 0

    def __init__(self, server: Instance, user: str, seed: int, stack: ExitStack) -> None:
        self.random = random.Random(seed)
        self.folder = server.maildir(user)
        clients = [stack.enter_context(server.client(user)) for _ in range(3)]
        clients[0].ok("CREATE Aside")
        for number in range(6):
            clients[0].appended("INBOX", corpus.simple(number))
        self.sessions = [Session(client) for client in clients]
        self.model = {uid: frozenset[str]() for uid in self.sessions[0].uids}
        self.outside = False

    def step(self) -> None:
        """One random command of one random session."""
        if self.loses and not self.random.randrange(8):
            self.lose()
        session = self.random.choice(self.sessions)
        writes = (self.append, self.store, self.store, self.uid_store, self.copy, self.drop)
        removes = (self.expunge, self.move)
        reads = (self.fetch, self.search, self.noop)
        self.random.choice((*writes, *removes, *reads))(session)

    def lose(self) -> None:
        """The index is gone."""
        for path in self.folder.glob("*index*"):
            path.unlink()
            self.lost += 1

    def pick(self, session: Session) -> int:
        """The sequence number of a message the session believes in; 0 when it has none."""
        return self.random.randint(1, len(session.uids)) if session.uids else 0

    def append(self, session: Session) -> None:
        flag = self.random.choice(FLAGS)
        answer = session.client.append("INBOX", corpus.simple(99), f"({flag})")
        assert answer.status == "OK", answer.tagged.raw
        self.model[int(answer.tagged.code[2])] = frozenset({flag})
        for reply in answer.untagged:
            session.believe(reply.name, reply)
        session.learn()

    def drop(self, session: Session) -> None:
        """A delivery by another program; its UID is learnt from the session."""
        maildir.drop(self.folder, corpus.simple(77))
        session.learn()
        for uid in session.uids:
            if uid not in self.model and uid > max(self.model, default=0):
                self.model[uid] = frozenset()

    def store(self, session: Session, by_uid: bool = False) -> None:
        number = self.pick(session)
        if not number or not session.uids[number - 1]:
            return
        uid = session.uids[number - 1]
        sign, flag = self.random.choice("+-"), self.random.choice(FLAGS)
        verb, target = ("UID STORE", uid) if by_uid else ("STORE", number)
        session.run(f"{verb} {target} {sign}FLAGS ({flag})")
        if uid in self.model:
            old = self.model[uid]
            self.model[uid] = old | {flag} if sign == "+" else old - {flag}

    def uid_store(self, session: Session) -> None:
        self.store(session, by_uid=True)

    def expunge(self, session: Session) -> None:
        session.learn()
        assert session.run("EXPUNGE").status == "OK"
        self.model = {uid: flags for uid, flags in self.model.items() if "\\Deleted" not in flags}

    def copy(self, session: Session) -> None:
        session.learn()
        number = self.pick(session)
        if not number or session.uids[number - 1] not in self.model:
            return
        answer = session.run(f"COPY {number} INBOX")
        assert answer.status == "OK", answer.tagged.raw
        self.model[int(answer.tagged.code[3])] = self.model[session.uids[number - 1]]

    def move(self, session: Session) -> None:
        session.learn()
        number = self.pick(session)
        if not number or session.uids[number - 1] not in self.model:
            return
        uid = session.uids[number - 1]
        answer = session.run(f"UID MOVE {uid} Aside")
        assert answer.status == "OK", answer.tagged.raw
        del self.model[uid]

    def fetch(self, session: Session) -> None:
        if session.uids:
            session.run("FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")

    def search(self, session: Session) -> None:
        answer = session.run("SEARCH NOT DELETED")
        numbers = [int(number) for number in answer.one("SEARCH").values[1:]]
        assert all(1 <= number <= len(session.uids) for number in numbers)

    def noop(self, session: Session) -> None:
        session.learn()


@pytest.mark.parametrize("seed", range(8))
def test_numbers_stay_right(shared: Instance, seed: int) -> None:
    """A hundred random commands, then every session agrees with the model."""
    user = shared.add_user(f"storm{seed}")
    with ExitStack() as stack:
        storm = Storm(shared, user, seed, stack)
        for _ in range(100):
            storm.step()
        for session in storm.sessions:
            assert session.state() == storm.model


@pytest.mark.parametrize("seed", range(4))
def test_index_lost_at_any_moment(shared: Instance, seed: int) -> None:
    """The same with the files of the index removed now and then."""
    user = shared.add_user(f"losing{seed}")
    with ExitStack() as stack:
        storm = Storm(shared, user, seed, stack)
        storm.loses = True
        for _ in range(100):
            storm.step()
        assert storm.lost
        for session in storm.sessions:
            assert session.state() == storm.model


def test_expunged_message_of_a_stale_view(shared: Instance) -> None:
    """FETCH of what another session expunged neither lies nor renumbers (RFC 2180 §4.1)."""
    user = shared.add_user("stale")
    with shared.client(user) as one, shared.client(user) as two:
        for number in range(4):
            one.appended("INBOX", corpus.simple(number))
        first, second = Session(one), Session(two)
        second.run("STORE 2 +FLAGS.SILENT (\\Deleted)")
        second.run("EXPUNGE")
        answer = first.run("FETCH 1:4 (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        subjects = {
            number: values.get("BODY[HEADER.FIELDS (SUBJECT)]")
            for number, values in answer.fetched().items()
        }
        # What the server still has of the expunged message it may tell (RFC 2180 §4.1.1).
        assert subjects.pop(2, None) in (None, b"", b"Subject: simple 1\r\n\r\n")
        wanted = {n: b"Subject: simple %d\r\n\r\n" % (n - 1) for n in (1, 3, 4)}
        assert subjects == wanted
        assert answer.code in ("EXPUNGEISSUED", "")
        first.run("NOOP")
        assert first.uids == [1, 3, 4]
