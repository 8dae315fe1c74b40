"""Indexes that take another one's place: what they know of the time before."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pymaild.index import History, Index, View, remember
from pymaild.storage import atomic
from tests.index.test_history import pairs
from tests.index.test_view import STEPS, apply, fresh

EVER, ANY = 0, 1 << 30  # since when, and how many tombstones
MEANWHILE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def anew(
    old: Index, since: int = EVER, most: int = ANY, lost: frozenset[int] = frozenset()
) -> Index:
    """Write an index anew with what lives, but for ``lost``."""
    index = Index.create(
        old.directory, old.uidvalidity, old.uidnext, old.snapshot, [], atomic.replace_all
    )
    index.touch()
    for _, uid, *rest, modseq in old.living():
        if uid not in lost:
            index.add(uid, *rest, modseq)
    index.commit()
    index.seal(remember(index, old, since, most))
    old.supersede()
    return index


def uids(view: View | None) -> list[int]:
    assert view is not None
    return [view.uid(seq) for seq in range(1, len(view) + 1)]


def filled(path: Path, count: int = 9) -> Index:
    index = fresh(path)
    for uid in range(1, count + 1):
        index.add(uid, 0, 0, 0, 0, 5, 5, b"name%d" % uid)
        index.commit()
    return index


@MEANWHILE
@given(steps=STEPS, places=st.sets(st.integers(0, 39), max_size=4))
def test_every_snapshot_outlives_its_index(
    tmp_path: Path, steps: list[tuple[str, int]], places: set[int]
) -> None:
    """Views that are taken up later tell all that a client does not know, and no more."""
    index = fresh(tmp_path / "box")
    alive: dict[int, int] = {}
    changed: dict[int, int] = {}
    known = {index.snapshot: alive.copy()}
    for place, step in enumerate(steps):
        if place in places:
            index = anew(index)
            known[index.snapshot] = alive.copy()
        before = alive.copy()
        apply(index, alive, step)
        changed |= {uid: index.snapshot for uid, _ in alive.items() - before.items()}
        known[index.snapshot] = alive.copy()
    assert index.verify() == []
    for snapshot, then in known.items():
        view = View.of(index, snapshot)
        assert view is not None
        assert uids(view) == sorted(then)
        found = view.successor(index)
        assert found is not None
        new, (gone, vanished, exists, flags) = found
        assert [sorted(then)[seq - 1] for seq in reversed(gone)] == vanished
        assert vanished == sorted(set(then) - set(alive))
        assert uids(new) == sorted(alive)
        assert (exists is None) == (set(alive) <= set(then))
        assert {new.uid(seq) for seq, _ in flags} == {
            uid for uid in alive.keys() & then.keys() if changed[uid] > snapshot
        }
        assert set(pairs(list(History(new).vanished(snapshot, [(1, 0)])))) >= set(vanished)


def test_what_went_in_between_is_told(tmp_path: Path) -> None:
    """A message that no longer had its file when the index was written anew."""
    index = filled(tmp_path / "box")
    known = index.snapshot
    index = anew(index, lost=frozenset({1, 5, 9}))
    view = View.of(index, known)
    assert uids(view) == list(range(1, 10))
    assert view is not None
    assert view.index.name(view.row(5)) == b"name5"
    found = view.successor(index)
    assert found is not None
    assert found[1] == ([9, 5, 1], [1, 5, 9], None, [])
    assert index.counts()[0] == 6


def test_how_much_is_remembered(tmp_path: Path) -> None:
    index = filled(tmp_path / "box")
    snapshots = [index.snapshot]
    for row in range(5):
        index.expunge(row)
        snapshots.append(index.commit())
    index = anew(index, most=3)
    assert index.dead == 3
    assert [View.of(index, old) is None for old in snapshots] == [True, True] + [False] * 4
    index = anew(index, since=1 << 40)
    assert index.dead == 0
    assert [View.of(index, old) is None for old in snapshots] == [True] * 5 + [False]


def test_a_transaction_is_remembered_whole_or_not_at_all(tmp_path: Path) -> None:
    index = filled(tmp_path / "box")
    before = index.snapshot
    for row in range(4):
        index.expunge(row)
    after = index.commit()
    index = anew(index, most=3)
    assert index.dead == 0
    assert View.of(index, before) is None
    assert uids(View.of(index, after)) == [5, 6, 7, 8, 9]


def test_a_number_is_never_given_twice(tmp_path: Path) -> None:
    """Also where no message is left that has one."""
    index = filled(tmp_path / "box", 2)
    for row in range(2):
        index.expunge(row)
    last = index.commit()
    assert anew(index, most=0).snapshot > last


@pytest.mark.parametrize("row", [0, 4, 8])
def test_a_past_that_is_damaged_is_not_taken_over(tmp_path: Path, row: int) -> None:
    index = filled(tmp_path / "box")
    index.expunge(2)
    known = index.commit()
    index = anew(index)
    path = tmp_path / "box" / "pymaild.index"
    with path.open("r+b") as file:
        file.seek(8192 + 128 * row + 24)
        file.write(b"\xff")
    again = Index.create(str(tmp_path / "box"), 7, 10, known + 5, [], atomic.replace_all)
    again.add(1, 0, 0, 0, 0, 5, 5, b"name1")
    again.commit()
    assert remember(again, index, EVER, ANY) == 0
    again.seal()
    assert (again.dead, View.of(again, known)) == (0, None)


@pytest.mark.parametrize("uid", [3, 4])
def test_a_message_that_came_in_between_ends_the_past(tmp_path: Path, uid: int) -> None:
    """One that was expunged, and one that never was there: no view can be carried over."""
    index = fresh(tmp_path / "box")
    for number in (1, 2, 4, 5):
        index.add(number, 0, 0, 0, 0, 5, 5, b"name%d" % number)
    index.commit()
    index.expunge(2)
    index.commit()
    again = Index.create(str(tmp_path / "box"), 7, 6, index.snapshot, [], atomic.replace_all)
    for number in sorted({1, 2, uid, 5}):
        again.add(number, 0, 0, 0, 0, 5, 5, b"name%d" % number)
    again.commit()
    assert remember(again, index, EVER, ANY) == 0
    assert again.count == 4


def test_a_gap_in_the_log_is_crossed_by_views_that_are_taken_up(tmp_path: Path) -> None:
    index = filled(tmp_path / "box")
    known = index.snapshot
    log = os.path.getsize(tmp_path / "box" / "pymaild.log")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    index.expunge(3)
    index.change(4, 1, 0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log, hard))
    try:
        index.commit()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    view = View.of(index, known)
    assert uids(view) == list(range(1, 10))
    assert view is not None
    found = view.successor(index)
    assert found is not None
    assert found[1][:3] == ([4], [4], None)
    assert [seq for seq, _ in found[1][3]] == [4]


def test_a_full_disk_forgets_the_past(tmp_path: Path) -> None:
    """Nothing of the new index is changed by it."""
    index = filled(tmp_path / "box", 3)
    index.expunge(1)
    index.commit()
    again = Index.create(str(tmp_path / "box"), 7, 4, index.snapshot, [], atomic.replace_all)
    again.add(1, 0, 0, 0, 0, 5, 5, b"name1")
    again.commit()
    size = os.path.getsize(tmp_path / "box" / "pymaild.cache")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        with pytest.raises(OSError, match="too large") as refused:
            remember(again, index, EVER, ANY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refused.value.errno == errno.EFBIG
    again.seal()
    assert (again.count, again.dead, again.verify()) == (1, 0, [])


def test_remains(tmp_path: Path) -> None:
    """An index that was condemned still tells its past; one that never was whole does not."""
    index = filled(tmp_path / "box")
    index.condemn()
    os.unlink(tmp_path / "box" / "pymaild.cache")
    os.unlink(tmp_path / "box" / "pymaild.log")
    remains = Index.remains(str(tmp_path / "box"))
    assert remains is not None
    assert remains.snapshot == index.snapshot
    Index.create(str(tmp_path / "box"), 7, 1, 1, [], atomic.replace_all)
    assert Index.remains(str(tmp_path / "box")) is None
    (tmp_path / "box" / "pymaild.index").write_bytes(b"short")
    assert Index.remains(str(tmp_path / "box")) is None
    os.unlink(tmp_path / "box" / "pymaild.index")
    assert Index.remains(str(tmp_path / "box")) is None
