"""What is true of one user's mail, as far as the server has promised it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

Place = tuple[str, int]  # mailbox and UID
Flags = frozenset[str]
Found = dict[Place, tuple[int, Flags]]  # the message's number and its flags

INBOX, ASIDE = "INBOX", "Aside"


@dataclass
class Truth:
    """Promises about messages; each message carries a number that no other has.

    An operation that was not answered may have been done or not: what it was about is in
    ``leaving`` (may be gone), is no longer in ``flags``, or is in ``most`` (how often a message
    may be there) without being anywhere else.
    """

    user: str
    kept: dict[Place, int] = field(default_factory=dict)  # who told the UID: number
    flags: dict[Place, Flags] = field(default_factory=dict)  # where they are known for sure
    gone: set[Place] = field(default_factory=set)  # must stay away
    leaving: set[Place] = field(default_factory=set)
    most: Counter[int] = field(default_factory=Counter)
    somewhere: set[int] = field(default_factory=set)  # delivered or moved: in some mailbox
    removed: set[int] = field(default_factory=set)  # must not be anywhere

    def keep(self, place: Place, number: int, flags: Flags | None = None) -> None:
        """The server said where a message is."""
        assert self.kept.get(place, number) == number, f"{place} was {self.kept[place]}"
        assert place not in self.gone, f"{place} came back"
        self.kept[place] = number
        if flags is not None:
            self.flags[place] = flags

    def known(self, mailbox: str = INBOX) -> list[int]:
        """UIDs of messages that are there for sure."""
        places = [place for place in self.kept if place[0] == mailbox]
        return [place[1] for place in places if place not in self.leaving]

    def leave(self, place: Place) -> None:
        """A message is about to go."""
        self.leaving.add(place)
        self.somewhere.discard(self.kept[place])

    def left(self, place: Place) -> None:
        """It is gone, the server said."""
        self.leaving.discard(place)
        self.gone.add(place)
        self.kept.pop(place)
        self.flags.pop(place, None)

    def look(self, place: Place, number: int, flags: Flags) -> None:
        """The server showed a message: what is said of it must be true."""
        self.keep(place, number)
        believed = self.flags.get(place, flags)
        assert flags == believed, f"{place} has {set(flags)}, not {set(believed)}"

    def check(self, found: Found) -> Counter[str]:
        """Compare with all there is; returns how many messages are wrong in which way."""
        faults: Counter[str] = Counter()
        for place, number in self.kept.items():
            if place not in found:
                faults["lost"] += place not in self.leaving
            else:
                faults["renumbered"] += found[place][0] != number
                faults["flags"] += self.flags.get(place, found[place][1]) != found[place][1]
        counts = Counter(number for number, _ in found.values())
        faults["back"] += len(self.gone & found.keys()) + len(self.removed & counts.keys())
        faults["lost"] += len(self.somewhere - counts.keys())
        faults["doubled"] += sum(count > self.most[number] for number, count in counts.items())
        return +faults
