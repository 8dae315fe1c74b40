"""Set operations on the messages that a search finds."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from pymaild.imap._found import both, either, everything, spaced, without

SETS = st.sets(st.integers(1, 40)).map(sorted)


@given(SETS, SETS)
def test_as_sets_do(one: list[int], other: list[int]) -> None:
    first, second = array("I", one), array("I", other)
    assert both(first, second).tolist() == sorted({*one} & {*other})
    assert either(first, second).tolist() == sorted({*one} | {*other})
    assert without(first, second).tolist() == sorted({*one} - {*other})


@given(st.integers(0, 300))
def test_everything(count: int) -> None:
    assert everything(count).tolist() == list(range(1, count + 1))


@given(st.lists(st.integers(0, 2**32 - 1)), st.integers(0, 20), st.integers(0, 60))
def test_in_digits(numbers: list[int], start: int, stop: int) -> None:
    written = spaced(array("I", numbers), start, stop)
    assert written == b"".join(b" %d" % number for number in numbers[start:stop])
