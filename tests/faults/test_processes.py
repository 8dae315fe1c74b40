"""Processes change the same two mailboxes at once and are killed at random: all is accounted for.

Each process writes down what it is about to do, and what the mail store said. Messages with an
even number may be expunged, those with an odd one never.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pymaild.core.errors import Refused
from pymaild.core.session import User
from pymaild.index import View
from pymaild.mail import sync
from pymaild.mail.account import Account
from pymaild.mail.check import faults
from pymaild.mail.flags import SEEN, Flags
from pymaild.mail.mailbox import Mailbox
from pymaild.mail.settings import MailSettings

from .disk import memory

PROCESSES = 4
OPERATIONS = 100  # of each process that is not killed
KILLS = 8
NAMES = ("INBOX", "Archive")


def account_at(path: Path) -> Account:
    return Account(User(name="u", mail=str(path)), MailSettings(fsync=False))


def number_of(box: Mailbox, view: View, seq: int) -> int:
    return int(box.message(view, seq).header().split()[1])


class Journal:
    """Lines of JSON, each on disk before the next step is taken."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, what: str, *facts: object) -> None:
        """Note one step."""
        os.write(self._fd, json.dumps([what, *facts]).encode() + b"\n")


class Actor:
    """One process: draws an operation, notes it, does it, notes the result."""

    def __init__(self, path: Path, journal: Path, seed: int) -> None:
        self.account = account_at(path)
        self.random = random.Random(seed)
        self.journal = Journal(journal)
        self.numbers = iter(range(seed * 10_000, (seed + 1) * 10_000))
        self.boxes: dict[str, Mailbox] = {}

    def run(self) -> None:
        """All operations. A refusal is an answer; anything else ends the test."""
        works = (self.append, self.append, self.store, self.expunge, self.copy, self.move)
        for _ in range(OPERATIONS):
            work = self.random.choice((*works, self.look, self.rename))
            try:
                work()
            except Refused as refusal:
                self.journal.write("refused", work.__name__, str(refusal))
                self.boxes.clear()

    def box(self, name: str) -> Mailbox:
        if name not in self.boxes:
            self.boxes[name] = self.account.open(name)
        return self.boxes[name]

    def any_box(self) -> Mailbox:
        return self.box(self.random.choice(NAMES))

    def pick(self, box: Mailbox, even: bool = False) -> tuple[View, list[int]]:
        """A view, and up to three of its sequence numbers."""
        box.refresh()
        view = box.view()
        seqs = self.random.sample(range(1, len(view) + 1), min(3, len(view)))
        if even:
            seqs = [seq for seq in seqs if number_of(box, view, seq) % 2 == 0]
        return view, sorted(seqs)

    def append(self) -> None:
        box = self.any_box()
        numbers = [next(self.numbers) for _ in range(self.random.choice((1, 1, 3)))]
        flags = Flags(self.random.choice((0, SEEN)))
        drafts = [(box.write([b"Number: %d\r\n\r\nbody\r\n" % n]), flags, None) for n in numbers]
        self.journal.write("appending", numbers)
        uids = box.commit(drafts)
        for uid, number in zip(uids, numbers, strict=True):
            self.journal.write("there", box.uidvalidity, uid, number)

    def store(self) -> None:
        box = self.any_box()
        view, seqs = self.pick(box)
        how = self.random.choice(("set", "add", "remove"))
        flags = box.flags([self.random.choice(("\\Flagged", "\\Seen", "Work", "$Junk"))])
        box.store(view, seqs, how, flags)  # type: ignore[arg-type]

    def expunge(self) -> None:
        box = self.any_box()
        view, seqs = self.pick(box, even=True)
        uids = [view.uid(seq) for seq in seqs]
        self.journal.write("removing", box.uidvalidity, uids)
        box.expunge(uids)
        self.journal.write("gone", box.uidvalidity, uids)

    def copy(self, move: bool = False) -> None:
        source, target = self.any_box(), self.any_box()
        view, seqs = self.pick(source)
        numbers = {view.uid(seq): number_of(source, view, seq) for seq in seqs}
        if move:
            self.journal.write("removing", source.uidvalidity, list(numbers))
        else:
            self.journal.write("copying", list(numbers.values()))
        pairs = source.copy(view, seqs, target, move=move)
        for old, new in pairs:
            self.journal.write("there", target.uidvalidity, new, numbers[old])
            if move:
                self.journal.write("gone", source.uidvalidity, [old])

    def move(self) -> None:
        self.copy(move=True)

    def look(self) -> None:
        box = self.any_box()
        box.refresh()
        view = box.view()
        uids = [view.uid(seq) for seq in range(1, len(view) + 1)]
        assert uids == sorted(set(uids))

    def rename(self) -> None:
        """There and back; whoever comes after one that died on its way goes back for it."""
        if self.random.random() < 0.2:
            if self.account.exists("Archive"):
                self.account.rename("Archive", "Elsewhere")
            self.account.rename("Elsewhere", "Archive")


def start(actor: Callable[[], Actor], errors: Path) -> int:
    """Run an actor in a process of its own; returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        actor().run()
        os._exit(0)
    except BaseException:
        errors.write_text(traceback.format_exc())
        os._exit(1)


@dataclass
class Ledger:
    """What all journals say together, by (UIDVALIDITY, UID)."""

    there: dict[tuple[int, int], int] = field(default_factory=dict)
    removing: set[tuple[int, int]] = field(default_factory=set)
    gone: set[tuple[int, int]] = field(default_factory=set)
    copies: Counter[int] = field(default_factory=Counter)
    begun: set[int] = field(default_factory=set)

    def read(self, journals: Sequence[Path]) -> None:
        """Take in journals; the last line of a killed process may be cut off."""
        for path in journals:
            for line in path.read_bytes().split(b"\n")[:-1]:
                getattr(self, f"on_{json.loads(line)[0]}")(*json.loads(line)[1:])

    def on_appending(self, numbers: list[int]) -> None:
        self.begun.update(numbers)

    def on_copying(self, numbers: list[int]) -> None:
        self.copies.update(numbers)

    def on_there(self, validity: int, uid: int, number: int) -> None:
        assert (validity, uid) not in self.there, "a UID was given twice"
        self.there[validity, uid] = number

    def on_removing(self, validity: int, uids: list[int]) -> None:
        self.removing.update((validity, uid) for uid in uids)

    def on_gone(self, validity: int, uids: list[int]) -> None:
        self.gone.update((validity, uid) for uid in uids)

    def on_refused(self, work: str, why: str) -> None:
        pass


Found = dict[tuple[int, int], tuple[int, int, int]]  # to (number, flags, keywords)


def found(account: Account, rebuild: bool) -> Found:
    """Every message of all mailboxes."""
    messages: Found = {}
    for name in {"INBOX", "Archive", "Elsewhere"} & {entry.name for entry in account.entries()}:
        with account.open(name) as box:
            if rebuild:
                box.rebuild()
            box.refresh()
            assert faults(box) == []
            view = box.view()
            uids = [view.uid(seq) for seq in range(1, len(view) + 1)]
            assert uids == sorted(set(uids))
            for seq, uid in enumerate(uids, 1):
                facts = (number_of(box, view, seq), view.flags(seq), view.keywords(seq))
                messages[box.uidvalidity, uid] = facts
    return messages


def check(told: Ledger, messages: Found) -> None:
    """Compare what was promised with what is there."""
    for place, number in told.there.items():
        if place in messages:
            assert messages[place][0] == number, f"{place} is another message now"
            assert place not in told.gone, f"{place} was expunged and is there"
        else:
            assert place in told.removing, f"{place} is lost"
    counts = Counter(number for number, _, _ in messages.values())
    assert set(counts) <= told.begun
    for number in told.there.values():
        if number % 2:
            assert counts[number], f"message {number} is nowhere"
    doubled = {n: c for n, c in counts.items() if c > 1 + told.copies[n]}
    assert not doubled, "a message is there too often"


@pytest.mark.parametrize("seed", [1, 2])
def test_all_is_accounted_for(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing promised is lost, doubled or renumbered, and the index is what the files say."""
    drawn = random.Random(seed)
    with memory(tmp_path) as folder:
        path = folder / "mail"
        account_at(path).prepare()
        journals: list[Path] = []

        def begin() -> int:
            journals.append(folder / f"journal{len(journals)}")
            journal, number = journals[-1], len(journals)
            journal.touch()
            return start(lambda: Actor(path, journal, number), folder / f"error{number}")

        running = {begin() for _ in range(PROCESSES)}
        for _ in range(KILLS):
            time.sleep(drawn.random() * 0.1)  # what is hit is chance, and meant to be
            victim = drawn.choice(sorted(running))
            os.kill(victim, signal.SIGKILL)
            os.waitpid(victim, 0)
            running.remove(victim)
            running.add(begin())
        for pid in running:
            os.waitpid(pid, 0)
        assert not [path.read_text() for path in folder.glob("error*")]
        told = Ledger()
        told.read(journals)
        assert len(told.there) > 50
        # What a dead process left is hidden behind the changes of others until then.
        monkeypatch.setattr(sync, "DIRTY_WINDOW", 0)
        monkeypatch.setattr(sync, "DIRTY_PER_ROW", 0)
        messages = found(account_at(path), rebuild=False)
        check(told, messages)
        assert found(account_at(path), rebuild=True) == messages
