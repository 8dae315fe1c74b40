"""Mailboxes whose index is written anew while sessions wait with the number of their view."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pymaild.index import _files
from pymaild.mail import sync
from pymaild.mail.account import Account
from pymaild.mail.flags import FLAGGED, Flags
from pymaild.mail.mailbox import Mailbox
from pymaild.mail.selected import Selected
from tests.mail.test_mailbox import MAIL, account, append, uids
from tests.support import stops

__all__ = ["account"]


def fill(box: Mailbox, count: int) -> None:
    box.commit([(box.write([MAIL]), Flags(), None) for _ in range(count)])


def mark(box: Mailbox, uid: int) -> None:
    view = box.view()
    box.store(view, [view.seq(uid)], "add", Flags(FLAGGED))


def wait(account: Account) -> tuple[int, int, list[list[int]]]:
    """Select INBOX, and leave it with what a record has of it."""
    selected = Selected.open(account, "INBOX", False)
    _, *state = selected.state()
    selected.close()
    return state[0], state[1], state[2]


def come_back(account: Account, state: tuple[int, int, list[list[int]]]) -> Selected | None:
    return Selected.resume(account, "INBOX", False, *state)


def compacted(box: Mailbox) -> None:
    with box.changing() as index:
        sync.compact(box, index)


def rebuilt(box: Mailbox) -> None:
    box.rebuild()


def without_log(box: Mailbox) -> None:
    os.unlink(os.path.join(box.directory, "pymaild.log"))


def without_cache(box: Mailbox) -> None:
    os.unlink(os.path.join(box.directory, "pymaild.cache"))


def with_other_names(box: Mailbox) -> None:
    path = Path(box.directory, "pymaild.cache")
    path.write_bytes(path.read_bytes()[:32] + bytes(os.path.getsize(path) - 32))


def without_file(box: Mailbox) -> None:
    """A message goes while nobody looks, and the index with it."""
    os.unlink(os.path.join(box.directory, "pymaild.log"))
    name = next(name for name in os.listdir(f"{box.directory}/cur") if ",U=9:" in name)
    os.unlink(os.path.join(box.directory, "cur", name))


ANEW = (compacted, rebuilt, without_log, without_cache, with_other_names, without_file)


@pytest.mark.parametrize("anew", ANEW)
def test_who_waits_is_told_what_happened(account: Account, anew: Callable[[Mailbox], None]) -> None:
    with account.open("INBOX") as box:
        fill(box, 10)
        state = wait(account)
        mark(box, 2)
        box.expunge([4, 5])
        append(box)
        anew(box)
    with account.open("INBOX") as box:
        mark(box, 3)
        box.expunge([7])
        append(box)
    selected = come_back(account, state)
    assert selected is not None
    assert len(selected.view) == 10
    told = selected.changes(expunge=True)
    gone = [9, 7, 5, 4] if anew is without_file else [7, 5, 4]
    assert (told.expunged, told.vanished) == (gone, sorted(gone))
    assert (told.exists, told.flags, told.gone) == (12 - len(gone), [2, 3], False)
    assert uids(selected.mailbox)[:-1] == [uid for uid in range(1, 12) if uid not in gone]
    assert not selected.changes(expunge=True).expunged
    selected.close()


@pytest.mark.parametrize("anew", ANEW[:3])
def test_sequence_numbers_stay_until_expunge_may_be_told(
    account: Account, anew: Callable[[Mailbox], None]
) -> None:
    with account.open("INBOX") as box:
        fill(box, 5)
        envelope = box.message(box.view(), 1).envelope
        state = wait(account)
        box.expunge([1, 3])
        anew(box)
    for _ in range(2):
        selected = come_back(account, state)
        assert selected is not None
        assert not selected.changes(expunge=False).expunged
        view = selected.view
        assert [view.uid(seq) for seq in range(1, 6)] == [1, 2, 3, 4, 5]
        assert bytes(selected.mailbox.message(view, 4).data()).startswith(b"From")
        if anew is not without_log:
            assert selected.mailbox.message(view, 1).envelope == envelope
        _, *rest = selected.state()
        assert rest == list(state)
        selected.close()


def test_damaged_rows_have_no_past(account: Account) -> None:
    """What cannot be known is not told: the session ends."""
    with account.open("INBOX") as box:
        fill(box, 5)
        state = wait(account)
        box.expunge([1])
        with open(os.path.join(box.directory, "pymaild.index"), "r+b") as file:
            file.seek(8192 + 128 * 2 + 24)
            file.write(b"\xff")
        without_log(box)
    assert come_back(account, state) is None
    with account.open("INBOX") as box:
        assert uids(box) == [2, 3, 4, 5]


def test_a_message_that_is_there_again_has_no_past(account: Account) -> None:
    """No number is free for it in views of before."""
    with account.open("INBOX") as box:
        fill(box, 3)
        state = wait(account)
        name = next(name for name in os.listdir(f"{box.directory}/cur") if ",U=2:" in name)
        path = os.path.join(box.directory, "cur", name)
        os.link(path, os.path.join(box.directory, "kept"))
        box.expunge([2])
        os.rename(os.path.join(box.directory, "kept"), path)
        box.rebuild()
        assert uids(box) == [1, 2, 3]
    assert come_back(account, state) is None


# -- when --------------------------------------------------------------------------------------


def test_what_went_just_now_stays(account: Account) -> None:
    with account.open("INBOX") as box:
        fill(box, 1500)
        before = box.index
        box.expunge(range(1, 1401))
        append(box)
        assert (box.index, box.index.dead) == (before, 1400)
        assert before.current()


def test_a_compaction_once_it_has_been_long_enough(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    with account.open("INBOX") as box:
        fill(box, 1500)
        box.expunge(range(1, 1401))
        monkeypatch.setattr(sync, "REMEMBERED", -1)
        append(box)
        box.refresh()
        assert (box.index.dead, box.index.counts()[0]) == (0, 101)


def test_so_many_that_time_does_not_matter(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of what is too much is remembered, so that not each change writes it anew."""
    monkeypatch.setattr(sync, "COMPACT_MOST", 1200)
    with account.open("INBOX") as box:
        fill(box, 1500)
        box.expunge(range(1, 1001))
        state = wait(account)
        box.expunge(range(1001, 1401))
        box.refresh()
        assert box.index.dead == 400
        index = box.index
        append(box)
        assert index.current()
    selected = come_back(account, state)
    assert selected is not None
    assert len(selected.changes(expunge=True).expunged) == 400
    selected.close()


def test_each_change_writes_it_anew(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often: who waits is not left behind."""
    monkeypatch.setattr(sync, "COMPACT_LOG", -1_000_000)
    with account.open("INBOX") as box:
        fill(box, 6)
        state = wait(account)
        for uid in range(1, 4):
            mark(box, uid + 3)
            box.expunge([uid])
            append(box)
        box.refresh()
        assert box.index.log_size == 32
    selected = come_back(account, state)
    assert selected is not None
    told = selected.changes(expunge=True)
    assert (told.expunged, told.exists, told.flags) == ([3, 2, 1], 6, [1, 2, 3])
    selected.close()


def test_an_emptied_mailbox_goes_on_with_its_numbers(account: Account) -> None:
    with account.open("INBOX") as box:
        fill(box, 2)
        state = wait(account)
        box.expunge([1, 2])
        snapshot = box.index.snapshot
        compacted(box)
        box.refresh()
        assert box.index.snapshot == snapshot
    selected = come_back(account, state)
    assert selected is not None
    assert selected.changes(expunge=True).expunged == [2, 1]
    selected.close()


@pytest.mark.parametrize("anew", [compacted, rebuilt], ids=lambda anew: anew.__name__)
def test_who_dies_while_it_is_made_leaves_the_past(
    account: Account, anew: Callable[[Mailbox], None]
) -> None:
    """The new index takes its place when it is whole; stopped before each step until then."""
    with account.open("INBOX") as box:
        fill(box, 4)

    def work() -> None:
        with account.open("INBOX") as box:
            anew(box)

    step, stopped = 0, True
    while stopped:
        step += 1
        state = wait(account)
        with account.open("INBOX") as box:
            fill(box, 1)
            gone = uids(box)[0]
            box.expunge([gone])
        stopped = stops.stopped_at(work, step)
        selected = come_back(account, state)
        assert selected is not None, f"step {step}"
        assert selected.changes(True).vanished == [gone], f"step {step}"
        selected.close()
        with account.open("INBOX") as box:
            assert sync.ANEW not in os.listdir(box.directory) or stopped
    assert step > 3


def test_a_cache_of_entries_that_nobody_needs_is_written_anew(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries of what has gone, and those that were made twice, take no more than their share."""
    monkeypatch.setattr(sync, "COMPACT_CACHE", 10_000)
    largest = 0
    with account.open("INBOX") as box:
        for _ in range(60):
            fill(box, 5)
            for row in range(box.index.count):
                if box.index.fields(row)[3]:
                    box.index.set_cached(row, b"x" * 400, 10)
            box.expunge(uids(box)[:5])
            size = os.path.getsize(os.path.join(box.directory, "pymaild.cache"))
            largest = max(largest, size)
        assert sum(box.index.fields(row)[3] for row in range(box.index.count)) == 0
    assert largest < 80_000  # of 300 entries and names, several times what is written in all


def test_rows_that_a_power_failure_took_get_their_uids_from_the_names(
    account: Account, tmp_path: Path
) -> None:
    """An index that is on disk as it was before: what came after that keeps its UIDs, and what
    comes later gets none that may have been seen."""
    files = ("pymaild.index", "pymaild.log", "pymaild.cache")
    with account.open("INBOX") as box:
        fill(box, 3)
        older = {name: Path(box.directory, name).read_bytes() for name in files}
        fill(box, 3)
        before, directory = uids(box), box.directory
        box.expunge(before[-1:])
    for name, octets in older.items():
        Path(directory, name).write_bytes(octets)

    def look() -> None:
        _files._BOOT = os.urandom(16)
        with account.open("INBOX") as box:
            box.refresh()
            assert uids(box) == before[:-1]
            fill(box, 1)
            assert uids(box)[-1] > before[-1]

    assert not stops.stopped_at(look, 1 << 40)
