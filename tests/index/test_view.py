"""Views against a plain-Python model: any history, any snapshot, the same sequence numbers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pymaild.index import Index, Unusable, View
from pymaild.storage import atomic

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 4)),
        st.tuples(st.just("flag"), st.integers(0, 30)),
        st.tuples(st.just("expunge"), st.integers(0, 30)),
    ),
    max_size=40,
)


def fresh(path: Path) -> Index:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    index = Index.create(str(path), 7, 1, 1, [], atomic.replace_all)
    index.seal()
    return index


def apply(index: Index, alive: dict[int, int], step: tuple[str, int]) -> None:
    """Carry out one step on index and model (UID to flags)."""
    kind, number = step
    if kind == "add":
        for _ in range(number):
            uid = index.uidnext + index.staged
            index.add(uid, 0, 0, 0, 0, 5, 5, b"name%d" % uid)
            alive[uid] = 0
    elif alive:
        uid = sorted(alive)[number % len(alive)]
        row = index.row_of_uid(uid)
        if kind == "flag":
            alive[uid] ^= 1
            index.change(row, alive[uid], 0)
        else:
            index.expunge(row)
            del alive[uid]
    index.commit()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_every_snapshot_can_be_seen_again(tmp_path: Path, steps: list[tuple[str, int]]) -> None:
    index = fresh(tmp_path / "box")
    alive: dict[int, int] = {}
    history = {index.snapshot: []}
    for step in steps:
        apply(index, alive, step)
        history[index.snapshot] = sorted(alive)
    again = Index.open(str(tmp_path / "box"))
    for snapshot, uids in history.items():
        view = View.of(again, snapshot)
        assert view is not None
        assert [view.uid(seq) for seq in range(1, len(view) + 1)] == uids
        assert [view.seq(uid) for uid in uids] == list(range(1, len(uids) + 1))
    assert again.counts()[:2] == (len(alive), sum(1 for flags in alive.values() if not flags & 1))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS, looks=st.lists(st.booleans(), max_size=40))
def test_a_client_that_is_told_changes_knows_the_mailbox(
    tmp_path: Path, steps: list[tuple[str, int]], looks: list[bool]
) -> None:
    index = fresh(tmp_path / "box")
    alive: dict[int, int] = {}
    view = View.of(index)
    client: list[int | None] = []
    flags: dict[int, int] = {}

    def look(expunge: bool) -> None:
        moved = view.advance(expunge)
        if moved is None:
            return
        gone, vanished, exists, changed = moved
        assert [client[seq - 1] for seq in reversed(gone)] in (vanished, [None] * len(gone))
        assert expunge or not gone
        for seq in gone:
            del client[seq - 1]
        if exists is not None:
            client.extend([None] * (exists - len(client)))
        for place, uid in enumerate(client):
            client[place] = uid if uid is not None else view.uid(place + 1)
            assert client[place] == view.uid(place + 1)
        for seq, _ in changed:
            flags[view.uid(seq)] = view.flags(seq)

    for place, step in enumerate(steps):
        apply(index, alive, step)
        if place < len(looks):
            look(looks[place])
    look(True)
    assert client == sorted(alive)
    assert all(alive[uid] == value for uid, value in flags.items() if uid in alive)


def test_sets_resolve_as_the_rfc_says(tmp_path: Path) -> None:
    """RFC 9051 §9 seq-range: "*" is the largest number in use, either end may come first."""
    index = fresh(tmp_path / "box")
    for uid in (3, 5, 9, 12):
        index.add(uid, 0, 0, 0, 0, 5, 5, b"x%d" % uid)
    index.commit()
    view = View.of(index)
    cases = {
        ((1, 2), False): [1, 2],
        ((0, 3), False): [3, 4],
        ((2, 99), False): [2, 3, 4],
        ((99, 0), False): [4],
        ((5, 0), True): [2, 3, 4],
        ((500, 0), True): [4],
        ((4, 4), True): [],
        ((1, 4), True): [1],
        ((4294967295, 1), True): [1, 2, 3, 4],
    }
    for (span, by_uid), expected in cases.items():
        assert list(view.resolve([span], by_uid)) == expected, (span, by_uid)
    assert list(view.resolve([(3, 4), (1, 1), (3, 3)], False)) == [1, 3, 4]


@pytest.mark.parametrize("name", ["pymaild.index", "pymaild.log", "pymaild.cache"])
@pytest.mark.parametrize("damage", ["remove", "truncate", "garble"])
def test_damaged_files_are_seen_as_such(tmp_path: Path, name: str, damage: str) -> None:
    index = fresh(tmp_path / "box")
    for uid in range(1, 600):
        index.add(uid, 0, 0, 0, 0, 5, 5, b"name%d" % uid)
    index.commit()
    path = tmp_path / "box" / name
    data = path.read_bytes()
    path.unlink()
    if damage == "truncate":
        path.write_bytes(data[: len(data) // 3])
    elif damage == "garble":
        path.write_bytes(bytes(octet ^ 0x5A for octet in data[:64]) + data[64:])
    with pytest.raises(Unusable):
        Index.open(str(tmp_path / "box"))


def test_a_garbled_row_is_never_told(tmp_path: Path) -> None:
    index = fresh(tmp_path / "box")
    for uid in range(1, 10):
        index.add(uid, 0, 0, 0, 0, 5, 5, b"name%d" % uid)
    index.commit()
    path = tmp_path / "box" / "pymaild.index"
    data = bytearray(path.read_bytes())
    data[8192 + 128 * 4 + 4] ^= 1
    path.write_bytes(data)
    again = Index.open(str(tmp_path / "box"))
    assert again.verify() == ["row 4 is damaged"]
    with pytest.raises(Unusable):
        View.of(again).flags(5)


def test_keywords_live_in_the_header(tmp_path: Path) -> None:
    index = fresh(tmp_path / "box")
    names = [f"$Word{number}" for number in range(26)]
    assert [index.define_keyword(name) for name in names] == list(range(26))
    assert Index.open(str(tmp_path / "box")).keyword_names() == names
    with pytest.raises(ValueError, match="no room"):
        index.define_keyword("one too many")


def test_a_half_filled_index_is_not_taken_for_the_mailbox(tmp_path: Path) -> None:
    Index.create(str(tmp_path), 7, 1, 1, [], atomic.replace_all)
    with pytest.raises(Unusable):
        Index.open(str(tmp_path))
