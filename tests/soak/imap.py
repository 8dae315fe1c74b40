"""An IMAP client that believes its session and knows its mail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.machines.world import RECENT, Picture
from tests.support import corpus
from tests.support.deflated import compress
from tests.support.imap import Address, Answer, Imap, Reply

from .actor import PATIENCE, Actor, Farewell, Refused, Stage
from .truth import ASIDE, INBOX, Truth

#: Response codes of a NO that asks the client to come again.
EXCUSES = {"UNAVAILABLE", "INUSE", "SERVERBUG", "OVERQUOTA", "LIMIT"}
SUBJECT = "BODY.PEEK[HEADER.FIELDS (SUBJECT)]"
ENOUGH = 40  # messages in INBOX, from where on more go than come
SIZES = (300, 3000, 3000, 20_000, 200_000)
FLAGS = ("\\Seen", "\\Flagged", "\\Answered", "Work")


class Watched(Imap):
    """``got`` counts the octets that came since the last were sent."""

    got = 0

    def __init__(self, address: Address, tls: Any = None) -> None:
        super().__init__(address, PATIENCE, tls)

    def send(self, data: bytes) -> None:
        self.got = 0
        super().send(data)

    def _receive(self) -> bytes:
        data = super()._receive()
        self.got += len(data)
        return data

    def read(self) -> Reply:
        reply = super().read()
        if reply.tag == "*" and reply.name == "BYE":
            raise Farewell(reply.text)
        return reply

    def finish(self, tag: str) -> Answer:
        return self.excused(super().finish(tag))

    @staticmethod
    def excused(answer: Answer) -> Answer:
        """Raise what asks the client to come again."""
        if answer.status == "NO" and answer.code in EXCUSES:
            raise Refused(answer.code)
        return answer


def number_of(subject: bytes) -> int:
    """The number that a message carries in its Subject."""
    return int(subject.split(b"simple ")[1].split()[0])


class ImapActor(Actor):
    """A client of a user of its own, to whom others deliver. ``kind``: plain, tls or deflate."""

    def __init__(self, stage: Stage, user: str, kind: str) -> None:
        super().__init__(stage, f"{kind} {user}")
        self.kind = kind
        self.user = user
        self.truth = stage.truths.setdefault(user, Truth(user))
        self.client: Watched | None = None
        self.picture: Picture | None = None
        self.idling = ""

    def works(self) -> list[Callable[[], None]]:
        if self.idling:
            return [self.done]
        reading = [self.noop, self.look, self.look, self.read, self.search, self.select]
        writing = [self.append, self.append, self.copy, self.move, self.store, self.expunge]
        if len(self.truth.known()) > ENOUGH:
            writing = [self.expunge, self.expunge, self.move, self.store]
        return [*reading, *writing, self.several, self.idle]

    def drop(self) -> None:
        if self.client is not None:
            self.client.close()
        self.client = self.picture = None
        self.idling = ""

    def half(self) -> bool:
        client = self.client
        return client is not None and bool(client.buffer or (client.got and not self.idling))

    # --- the session --------------------------------------------------------------------------

    def session(self) -> Picture:
        """The session, begun anew where there is none."""
        if self.picture is None:
            self.drop()
            tls = self.kind == "tls"
            address = self.stage.server.addresses["imaps"] if tls else self.stage.server.imap
            self.client = Watched(address, self.stage.tls if tls else None)
            self.client.ok(f"LOGIN {self.user} {self.stage.password}")
            if self.kind == "deflate":
                compress(self.client)
            self.picture = Picture(self.client)
        return self.picture

    def ask(self, command: str) -> Answer:
        answer = self.session().run(command)
        assert answer.status == "OK", (command, answer.tagged.raw)
        return answer

    # --- what it may want ---------------------------------------------------------------------

    def noop(self) -> None:
        self.ask("NOOP")

    def select(self) -> None:
        self.session().select()

    def idle(self) -> None:
        session = self.session()
        tag = session.client.start("IDLE")
        while (reply := session.client.read()).tag == "*":
            session.believe(reply)
        assert reply.tag == "+", reply.raw
        self.idling = tag

    def done(self) -> None:
        session, tag = self.session(), self.idling
        if tag:  # else the connection was lost meanwhile, and there is another
            answer = session.client.done(tag)
            self.idling = ""
            session.take("DONE", answer)

    def look(self) -> None:
        if uid := self.some():
            answer = self.ask(f"UID FETCH {uid} (UID FLAGS {SUBJECT})")
            assert self.learn(answer) == {uid}, (uid, answer)

    def search(self) -> None:
        known = set(self.truth.known())
        answer = self.ask("UID SEARCH ALL")
        found = {int(uid) for reply in answer.named("SEARCH") for uid in reply.values[1:]}
        assert known <= found, f"not found: {known - found}"
        assert not [uid for uid in found if (INBOX, uid) in self.truth.gone], "what is gone"

    def read(self) -> None:
        """All messages, whole: a reply that takes its time."""
        known = set(self.truth.known())
        answer = self.ask("UID FETCH 1:* (UID FLAGS BODY.PEEK[])")
        for values in answer.fetched().values():
            assert "BODY[]" not in values or values["BODY[]"].endswith(b"no more.\r\n"), "cut off"
        assert known <= self.learn(answer), "a message is not shown"

    def learn(self, answer: Answer) -> set[int]:
        """Compare with the truth what FETCH tells; returns the UIDs that it tells of."""
        found = set()
        for values in answer.fetched().values():
            text = values.get("BODY[]") or values.get("BODY[HEADER.FIELDS (SUBJECT)]")
            if text:
                place = (INBOX, int(values["UID"]))
                flags = frozenset(map(str, values["FLAGS"])) - {RECENT}
                self.truth.look(place, number_of(text), flags)
                found.add(place[1])
        return found

    def some(self) -> int:
        """The UID of a message that is there, 0 where there is none."""
        known = self.truth.known()
        return self.random.choice(known) if known else 0

    def append(self) -> None:
        session, number = self.session(), next(self.stage.numbers)
        flags = frozenset(self.random.sample(FLAGS, self.random.randrange(3)))
        self.truth.most[number] += 1
        octets = corpus.simple(number, self.random.choice(SIZES))
        answer = session.client.append(INBOX, octets, f"({' '.join(sorted(flags))})")
        session.take("APPEND", answer)
        assert answer.code == "APPENDUID", answer.tagged.raw
        self.truth.keep((INBOX, int(answer.tagged.code[2])), number, flags)

    def store(self) -> None:
        if uid := self.some():
            self.session()
            place = (INBOX, uid)
            flags = frozenset(self.random.sample(FLAGS, self.random.randrange(3)))
            self.truth.flags.pop(place, None)
            self.ask(f"UID STORE {uid} FLAGS ({' '.join(sorted(flags))})")
            self.truth.flags[place] = flags

    def copy(self) -> None:
        if uid := self.some():
            self.session()
            number = self.truth.kept[INBOX, uid]
            self.truth.most[number] += 1
            self.arrived(uid, self.ask(f"UID COPY {uid} {ASIDE}"))

    def move(self) -> None:
        if uid := self.some():
            self.session()
            place = (INBOX, uid)
            self.truth.leave(place)
            self.truth.somewhere.add(self.truth.kept[place])
            self.arrived(uid, self.ask(f"UID MOVE {uid} {ASIDE}"))
            self.truth.left(place)

    def arrived(self, uid: int, answer: Answer) -> None:
        """A message is in Aside, with the flags it had."""
        told = answer.codes().get("COPYUID")
        assert told, (answer.untagged, answer.tagged.raw)
        assert int(told[1]) == uid, told
        place = (INBOX, uid)
        self.truth.keep((ASIDE, int(told[2])), self.truth.kept[place], self.truth.flags.get(place))

    def expunge(self) -> None:
        if uid := self.some():
            self.session()
            place = (INBOX, uid)
            self.truth.flags.pop(place, None)
            self.truth.leave(place)
            self.ask(f"UID STORE {uid} +FLAGS.SILENT (\\Deleted)")
            self.ask(f"UID EXPUNGE {uid}")
            self.truth.left(place)

    def several(self) -> None:
        """Commands in one write; they may be answered in another order (RFC 9051 §5.5)."""
        session, uid = self.session(), self.some() or 1
        fetch = f"UID FETCH {uid} (UID FLAGS {SUBJECT})"
        commands = ["NOOP", fetch, f"STATUS {ASIDE} (MESSAGES)", fetch, "NOOP"]
        tags = [session.client.tag() for _ in commands]
        lines = (f"{tag} {command}\r\n" for tag, command in zip(tags, commands, strict=True))
        session.client.send("".join(lines).encode())
        untagged: list[Reply] = []
        for _ in commands:
            while (reply := session.client.read()).tag == "*":
                untagged.append(reply)
            tags.remove(reply.tag)
            answer = Watched.excused(Answer(reply, untagged))
            assert answer.status == "OK", reply.raw
        self.learn(session.take("NOOP", answer))
