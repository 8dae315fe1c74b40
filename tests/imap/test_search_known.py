"""What is told of results that change, played back as a client does (RFC 5267 §4.3)."""

from __future__ import annotations

from operator import lt

from hypothesis import given
from hypothesis import strategies as st

from pymaild.imap.known import InMailboxOrder, InSortOrder, Known
from tests.support.rfc import rfc


def played(results: list[int], payload: bytes, removal: bool) -> None:
    """Do to a list what ADDTO or REMOVEFROM says. Nothing else may be in its places."""
    words = payload.split()
    for position, text in zip(words[::2], words[1::2], strict=True):
        numbers = []
        for piece in text.split(b","):
            low, _, high = piece.partition(b":")
            numbers += range(int(low), int(high or low) + 1)
        start = int(position) - 1
        if removal:
            assert results[start : start + len(numbers)] == numbers
            del results[start : start + len(numbers)]
        else:
            assert 0 <= start <= len(results)
            results[start:start] = numbers


STEPS = st.lists(st.tuples(st.booleans(), st.sets(st.integers(1, 30), min_size=1)), max_size=12)


@rfc("5267", "4.3.2", 2)
@given(st.permutations(range(31)), st.sets(st.integers(1, 30)), STEPS)
def test_a_sorted_list_stays_sorted(
    rank: list[int], first: set[int], steps: list[tuple[bool, set[int]]]
) -> None:

    def before(one: int, other: int) -> bool:
        return rank[one] < rank[other]

    results = sorted(first, key=rank.__getitem__)
    known: Known = InSortOrder(results)
    for removal, numbers in steps:
        changed = {number for number in numbers if (number in known) == removal}
        pairs = [(number, number) for number in sorted(changed, key=rank.__getitem__)]
        if pairs:
            told = known.remove(pairs) if removal else known.add(pairs, before)
            played(results, told, removal)
        assert results == sorted(results, key=rank.__getitem__)
        assert known.state() == InMailboxOrder.of((uid, uid) for uid in results).state()
        assert {number for number in range(31) if number in known} == set(results)


def test_neighbours_are_told_together() -> None:
    """RFC 5267 §4.3.3: the shortest of the equivalent forms."""
    known = InSortOrder([2734, 2735])
    assert known.add([(uid, uid) for uid in (2731, 2732, 2733)], lt) == b"1 2731:2733"
    assert known.remove([(2732, 2), (2733, 3), (2735, 5)]) == b"2 2:3 3 5"
    assert known.add([(2740, 7), (2741, 6)], lt) == b"3 7,6"


@rfc("5267", "4.3.3", 2)
@rfc("5267", "4.3.4", 1)
def test_results_of_a_search_need_no_position() -> None:
    known = InMailboxOrder.of([(5, 9)])
    assert known.add([(11, 3), (12, 4), (20, 9)], lt) == b"0 3:4,9"
    assert known.remove([(5, 1), (7, 2)]) == b"0 1:2"
    assert list(known) == [(6, 6), (8, 9), (11, 12), (20, 20)]
