"""The past of a mailbox against a plain-Python model: any history, any point in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pymaild.index import History, Index, View, mend
from tests.index.test_view import fresh

STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "seen", "flagged", "word", "expunge"]), st.integers(0, 30)),
    min_size=1,
    max_size=40,
)
BITS = {"seen": (1, 0), "flagged": (4, 0), "word": (0, 2)}


class Model:
    """An index, and beside it what a client could know of it."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.modseq: dict[int, int] = {}
        self.went: dict[int, int] = {}
        self.states: dict[int, dict[int, tuple[int, int]]] = {}

    def step(self, kind: str, number: int) -> None:
        index = self.index
        if kind == "add":
            uid = index.uidnext
            index.add(uid, 0, 0, 0, 0, 5, 5, b"name%d" % uid)
            self.modseq[uid] = index.commit()
            self.states[uid] = {index.snapshot: (0, 0)}
        elif self.modseq:
            uid = sorted(self.modseq)[number % len(self.modseq)]
            row = index.row_of_uid(uid)
            if kind == "expunge":
                index.expunge(row)
                self.went[uid] = index.commit()
                del self.modseq[uid]
                return
            _, flags, keywords, _ = index.fields(row)
            bit, word = BITS[kind]
            index.change(row, flags ^ bit, keywords ^ word)
            self.modseq[uid] = index.commit()
            self.states[uid][index.snapshot] = (flags ^ bit, keywords ^ word)


def pairs(flat: list[int]) -> set[int]:
    """The UIDs of low, high, low, high, ..."""
    found: set[int] = set()
    for low, high in zip(flat[::2], flat[1::2], strict=True):
        assert low <= high
        found.update(range(low, high + 1))
    return found


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return Model(fresh(tmp_path / "box"))


WHATEVER = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@WHATEVER
@given(steps=STEPS)
def test_every_point_in_time_tells_what_came_after(
    tmp_path: Path, steps: list[tuple[str, int]]
) -> None:
    model = Model(fresh(tmp_path / "box"))
    first = model.index.snapshot
    for step in steps:
        model.step(*step)
    view = View.of(model.index)
    assert view is not None
    for since in range(first, model.index.snapshot + 2):
        changed = [view.uid(seq) for seq in History(view).changed(since)]
        assert changed == sorted(u for u, modseq in model.modseq.items() if modseq > since)
        gone = pairs(list(History(view).vanished(since, [(1, 0)])))
        assert gone == {u for u, modseq in model.went.items() if modseq > since}


@WHATEVER
@given(steps=STEPS, which=st.sampled_from(sorted(BITS)))
def test_flags_that_stayed_as_they_were_are_known(
    tmp_path: Path, steps: list[tuple[str, int]], which: str
) -> None:
    model = Model(fresh(tmp_path / "box"))
    first = model.index.snapshot
    for step in [("add", 0), *steps]:
        model.step(*step)
    view = View.of(model.index)
    assert view is not None
    system, words = BITS[which]
    rows = {uid: model.index.row_of_uid(uid) for uid in model.modseq}
    for since in range(first, model.index.snapshot + 1):
        still = History(view).unchanged(rows.values(), since, system, words)
        for uid, row in rows.items():
            states = model.states[uid]
            known = [state for modseq, state in sorted(states.items()) if modseq <= since][-1:]
            later = [state for modseq, state in states.items() if modseq > since]
            seen = {(flags & system, word & words) for flags, word in known + later}
            assert (row in still) == (bool(known) and len(seen) == 1)


def filled(model: Model, count: int) -> None:
    index = model.index
    for uid in range(1, count + 1):
        index.add(uid, 0, 0, 0, 0, 5, 5, b"name%d" % uid)
    index.commit()


def looked(view: View, since: int) -> int:
    history = History(view)
    history.changed(since)
    history.vanished(since, [(1, 0)])
    return history.looked


@pytest.mark.parametrize("count", [100, 3000])
def test_the_cost_is_that_of_what_changed(model: Model, count: int) -> None:
    """RFC 7162 §3.1.4.1: in a mailbox of any size ten changes cost the same."""
    filled(model, count)
    since = model.index.snapshot
    for uid in range(1, 11):
        model.index.change(uid - 1, 1, 0)
        model.index.commit()
    model.index.expunge(50)
    model.index.commit()
    view = View.of(model.index)
    assert view is not None
    assert looked(view, since) == 11 + 10 + 1  # log entries, rows of the changed, tombstones
    assert looked(view, model.index.snapshot) == 0


def test_many_changes_cost_no_more_than_a_walk(model: Model) -> None:
    filled(model, 20)
    since = model.index.snapshot
    for turn in range(200):
        model.index.change(turn % 4, (turn >> 2 & 1) ^ 1, 0)
        model.index.commit()
    view = View.of(model.index)
    assert view is not None
    history = History(view)
    assert list(history.changed(since)) == [1, 2, 3, 4]
    assert history.looked <= 2 * 20 + 1


def test_a_history_that_begins_later_says_what_is_not_there(tmp_path: Path) -> None:
    """RFC 7162 §3.2.6: a server that has forgotten reports all that is missing."""
    box = tmp_path / "box"
    index = fresh(box)
    for uid in (2, 3, 7):
        index.add(uid, 0, 0, 0, 0, 5, 5, b"name%d" % uid)
    index.commit()
    index.seal()
    view = View.of(index)
    assert view is not None
    old = index.snapshot - 1
    assert list(History(view).vanished(old, [(1, 0)])) == [1, 1, 4, 6]
    assert list(History(view).vanished(old, [(3, 5), (9, 6), (4, 6)])) == [4, 6]
    assert list(History(view).vanished(old, [(1, 0)], floor=3)) == [4, 6]
    assert not History(view).vanished(index.snapshot, [(1, 0)])
    assert list(History(view).changed(old)) == [1, 2, 3]
    assert View.of(index, old) is None


def test_messages_that_came_later_have_not_vanished(model: Model) -> None:
    filled(model, 2)
    model.index.seal()
    view = View.of(model.index)
    assert view is not None
    filled_again = model.index.uidnext
    model.index.add(filled_again, 0, 0, 0, 0, 5, 5, b"later")
    model.index.commit()
    model.index.expunge(0)
    model.index.commit()
    assert not History(view).vanished(view.snapshot - 1, [(1, 0)])
    assert not History(view).vanished(0, [(1, 100)])
    assert list(History(view).changed(view.snapshot)) == []


def test_tombstones_are_in_order_after_a_crash(tmp_path: Path) -> None:
    model = Model(fresh(tmp_path / "box"))
    filled(model, 5)
    snapshots = []
    for row in (4, 1, 3):
        model.index.expunge(row)
        snapshots.append(model.index.commit())
    mend(model.index, 1, 1)
    view = View.of(model.index)
    assert view is not None
    for since, uids in zip(snapshots, [{2, 4}, {4}, set()], strict=True):
        assert pairs(list(History(view).vanished(since, [(1, 0)]))) == uids
