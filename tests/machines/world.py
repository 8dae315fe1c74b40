"""What is true of a user's mail, and what one session believes of it from what it was told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.support.imap import Answer, Imap, Reply, pairs

Flags = frozenset[str]
RECENT = "\\Recent"


@dataclass
class Message:
    """A message of the model: its Subject, which no other message has, and its flags."""

    subject: str
    flags: Flags = frozenset()


@dataclass
class World:
    """INBOX and the mailbox Aside: messages by UID, in the order of the UIDs.

    ``ever``: all UIDs that ever were.
    """

    inbox: dict[int, Message] = field(default_factory=dict)
    aside: dict[int, Message] = field(default_factory=dict)
    made: int = 0
    ever: set[int] = field(default_factory=set)

    def subject(self) -> str:
        """A Subject for a new message."""
        self.made += 1
        return f"message {self.made}"

    def add(self, box: dict[int, Message], uid: int, message: Message) -> None:
        """A message has come; its UID is above all that were (RFC 9051 §2.3.1.1)."""
        assert uid > max(box, default=0), f"UID {uid} after {max(box, default=0)}"
        box[uid] = message
        self.ever.add(uid)

    def flags(self) -> dict[int, Flags]:
        """The flags in INBOX by UID."""
        return {uid: message.flags for uid, message in self.inbox.items()}


def numbers(text: str) -> Iterator[int]:
    """The numbers of a set that the server sent."""
    for part in text.split(","):
        low, _, high = part.partition(":")
        yield from range(int(low), int(high or low) + 1)


#: In answer to these no EXPUNGE may be told (RFC 9051 §7.5.1).
QUIET = ("FETCH", "STORE", "SEARCH")


class Picture:
    """A session, and what its client believes.

    ``uids``: a UID for each message, 0 where it was not told yet; those stand last where no
    sequence numbers are told (UIDONLY). Flags and mod-sequences as they were told, by UID.
    """

    def __init__(self, client: Imap, enable: str = "") -> None:
        self.client = client
        self.enable = enable
        self.uidonly = enable == "UIDONLY"
        self.uids: list[int] = []
        self.flags: dict[int, Flags] = {}
        self.modseqs: dict[int, int] = {}
        self.told: dict[int, Flags] = {}
        if enable:
            client.ok(f"ENABLE {enable}")
        self.select()

    def select(self, parameters: str = "") -> Answer:
        """SELECT INBOX anew: nothing that was believed counts any more."""
        self.uids, self.flags, self.modseqs = [], {}, {}
        answer = self.client.ok(f"SELECT INBOX{parameters}")
        self.uids = [0] * answer.named("EXISTS")[-1].number  # mail may have come meanwhile
        return answer

    def run(self, command: str) -> Answer:
        """Send a command and believe what its answer tells."""
        return self.take(command, self.client.command(command))

    def take(self, command: str, answer: Answer) -> Answer:
        """Believe an answer; refuse an EXPUNGE that must not be told now."""
        self.told = {}
        quiet = command.split(" ")[0] in QUIET
        for reply in answer.untagged:
            gone = reply.name == "EXPUNGE" or (reply.name == "VANISHED" and not earlier(reply))
            assert not (quiet and gone), (command, reply.raw)
            self.believe(reply)
        assert answer.status != "BAD", (command, answer.tagged.raw)
        return answer

    def believe(self, reply: Reply) -> None:
        """Take in one untagged reply."""
        believe = {
            "EXPUNGE": self._expunge,
            "VANISHED": self._vanished,
            "EXISTS": self._exists,
            "FETCH": self._fetch,
            "UIDFETCH": self._uidfetch,
        }.get(reply.name)
        if believe:
            believe(reply)

    def _expunge(self, reply: Reply) -> None:
        assert 1 <= reply.number <= len(self.uids), reply.raw
        del self.uids[reply.number - 1]

    def _vanished(self, reply: Reply) -> None:
        """RFC 7162 §3.2.10: also of messages whose UID the client was never told."""
        for uid in numbers(str(reply.values[-1])):
            if earlier(reply) and uid not in self.uids:
                continue
            self.uids.pop(self.uids.index(uid) if uid in self.uids else self._unknown(uid))

    def _unknown(self, uid: int) -> int:
        """The place of a message with this UID, among those whose UIDs were not told yet."""
        below = [place for place, one in enumerate(self.uids) if 0 < one < uid]
        return self.uids.index(0, below[-1] + 1 if below else 0)

    def _exists(self, reply: Reply) -> None:
        assert reply.number >= len(self.uids), "EXISTS got smaller without EXPUNGE"
        self.uids += [0] * (reply.number - len(self.uids))

    def _fetch(self, reply: Reply) -> None:
        values = pairs(reply.values[2])
        assert 1 <= reply.number <= len(self.uids), reply.raw
        assert not self.uidonly, reply.raw
        uid = self._place(reply.number, values)
        if uid:
            self._learn(uid, values)

    def _uidfetch(self, reply: Reply) -> None:
        """RFC 9586 §3.3: the number is a UID, and nothing says where in the mailbox it stands."""
        uid = reply.number
        assert self.uidonly, reply.raw
        if uid not in self.uids:
            self.uids[self.uids.index(0)] = uid
            self.uids.sort(key=lambda one: one or 1 << 32)
        self._learn(uid, pairs(reply.values[2]))

    def _learn(self, uid: int, values: dict[str, Any]) -> None:
        if "FLAGS" in values:
            flags = frozenset(map(str, values["FLAGS"])) - {RECENT}
            self.flags[uid] = self.told[uid] = flags
        if "MODSEQ" in values:
            modseq = int(values["MODSEQ"][0])
            assert modseq >= self.modseqs.get(uid, 1), f"MODSEQ of {uid} fell to {modseq}"
            self.modseqs[uid] = modseq

    def _place(self, number: int, values: dict[str, Any]) -> int:
        """The UID of a message by its number, learnt or known; a number never changes it."""
        known = self.uids[number - 1]
        uid = int(str(values.get("UID", known)))
        assert known in (0, uid), f"message {number} is UID {known}, told {uid}"
        self.uids[number - 1] = uid
        learnt = [one for one in self.uids if one]
        assert learnt == sorted(set(learnt)), f"UIDs do not ascend: {self.uids}"
        return uid

    def learn(self) -> None:
        """Know of all there is, UIDs too."""
        assert self.run("NOOP").status == "OK"
        if 0 in self.uids:
            before = [0] if self.uidonly else self.uids[: self.uids.index(0)]
            self.run(f"UID FETCH {max(before, default=0) + 1}:* (UID FLAGS)")
        assert 0 not in self.uids, self.uids

    def agrees(self, world: World) -> bool:
        """Whether nothing that is believed is wrong or missing."""
        if len(self.uids) != len(world.inbox):
            return False
        sure = world.flags()
        if self.uidonly:
            right = {uid for uid in self.uids if uid} <= set(sure)
        else:
            right = all(uid in (0, true) for uid, true in zip(self.uids, sure, strict=True))
        return right and all(self.flags[uid] == sure[uid] for uid in sure if uid in self.flags)


def earlier(reply: Reply) -> bool:
    """Whether VANISHED tells of what was gone before (RFC 7162 §3.2.10.1)."""
    return len(reply.values) == 3
