"""Threads of many messages, and of hostile ones: time, memory and nesting are bounded."""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path

import pytest

from pymaild.imap import threads
from pymaild.imap._threads import Threaded
from pymaild.index import Index, View
from pymaild.mime.order import MOST_REFERENCES, sort_keys
from pymaild.storage import atomic

#: A message: its own identity and its references.
Named = tuple[str, Sequence[str]]
Make = Callable[[int], View]


@pytest.fixture
def view(tmp_path: Path) -> Make:
    """Makes a view of so many messages of which the cache knows nothing."""

    def make(count: int) -> View:
        folder = tmp_path / str(count)
        folder.mkdir()
        index = Index.create(str(folder), 7, 1, 1, [], atomic.replace_all)
        for uid in range(1, count + 1):
            index.add(uid, 0, 0, uid, uid, 5, 5, b"name")
        index.commit()
        index.seal()
        view = View.of(index)
        assert view is not None
        return view

    return make


def digest(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=16).digest() if name else bytes(16)


def keys(message: Named) -> bytes:
    own, references = message
    return struct.pack("<Q", len(references)) + b"".join(map(digest, (own, *references)))


def threaded(view: View, messages: Sequence[Named]) -> bytes:
    """The threads of messages without dates and subjects, by REFERENCES."""
    seqs = array("I", range(1, len(messages) + 1))
    nothing = sort_keys(b"\r\n")
    made = Threaded(
        view,
        seqs,
        lambda seq: nothing,
        lambda seq: keys(messages[seq - 1]),
        lambda done, goal: None,
        False,
        True,
    )
    return b"".join(threads.pieces(threads.references(made), seqs))


def numbers(octets: bytes) -> list[int]:
    return list(map(int, re.findall(rb"[0-9]+", octets)))


def depth(octets: bytes) -> int:
    """How deep parentheses nest."""
    return max(accumulate((octet == 40) - (octet == 41) for octet in octets))


@pytest.mark.parametrize(
    ("parents", "total", "order", "written"),
    [
        ([], 0, [], b""),
        ([-1, -1, 1, 2, 3, 2, 5, 6], 8, range(8), b"(2)(3 6 (4 23)(44 7 96))"),
        ([-1, 8, 8], 9, [1, 2], b"((3)(6))"),
        ([-1, 8, 8, 8, 2, 2], 9, [1, 2, 3, 4, 5, 0], b"((3)(6 (23)(44))(4))(2)"),
        ([-1, 8, 8, 8, 2, 2], 9, [0, 3, 2, 1, 5, 4], b"(2)((4)(6 (44)(23))(3))"),
    ],
)
def test_written(parents: list[int], total: int, order: Sequence[int], written: bytes) -> None:
    """RFC 5256 §4, THREAD: what stands beside each other, and what in parentheses."""
    above = array("i", [*parents, *[-1] * (8 - len(parents))])
    forest = threads.Forest(above, max(total, 8), array("i", order))
    numbers = array("I", [2, 3, 6, 4, 23, 44, 7, 96])
    assert b"".join(threads.pieces(forest, numbers)) == written


@pytest.mark.parametrize("step", [1, -1, 7919])
def test_a_long_chain_is_flat(view: Make, step: int) -> None:
    """Each message names the one before it, whatever their order in the mailbox is."""
    count = 100_000
    places = [number * step % count for number in range(count)]
    messages = [(f"n{place}", [f"n{place - 1}"] if place else []) for place in places]
    found = threaded(view(count), messages)
    assert depth(found) == 1
    assert [places[number - 1] for number in numbers(found)] == list(range(count))


def test_deep_nests_are_cut(view: Make) -> None:
    """Each message of a chain has two answers: parentheses would nest as deep as it is long."""
    messages: list[Named] = [("n0", [])]
    for number in range(1, 20_000):
        messages += [(f"n{number}", [f"n{number - 1}"]), ("", [f"n{number - 1}"])]
    found = threaded(view(len(messages)), messages)
    assert depth(found) == threads.MOST_NESTED + 1
    assert sorted(numbers(found)) == list(range(1, len(messages) + 1))
    assert b"((" not in found.replace(b")(", b"")  # each list begins with its message
    assert not re.search(rb"[0-9] \([^()]*\)\)", found)  # and has no list of its own, or several


def test_loops_are_refused_at_a_bounded_cost(view: Make) -> None:
    """Messages ask again and again for the end of a long chain to be above its beginning.

    When too many steps were made to see that this is a loop, a link that takes steps is taken for
    one: that of "late" below "n1".
    """
    count = 500
    chain = [(f"n{number}", [f"n{number - 1}"] if number else []) for number in range(count)]
    again = ["n0", *([f"n{count - 1}", "n0"] * (MOST_REFERENCES // 2 - 1)), f"n{count - 1}"]
    late = [("", ["late"]), ("", ["n1", "late"])]
    found = threaded(view(2 * count + 2), [*chain, *[("", again)] * count, *late])
    assert found.endswith(b"((1001)(1002))")
    assert numbers(found) == list(range(1, 2 * count + 3))
    assert threaded(view(count + 2), [*chain, *late]).endswith(b" 500)(501)(502))")


def test_references_to_nothing_are_bounded(view: Make) -> None:
    """Each message names many that are nowhere; what is beyond the bound is passed over."""
    count = 300
    messages: list[Named] = [
        ("", [f"{number}.{place}" for place in range(MOST_REFERENCES - 1)] + ["one"])
        for number in range(count)
    ]
    late = [("", ["late"]), ("", ["late"])]
    found = threaded(view(count + 2), [*messages, *late])
    assert found.endswith(b"(300))(301)(302)")
    assert found.startswith(b"((1)(2)(3)")
    assert threaded(view(4), [*messages[:2], *late]) == b"((1)(2))((3)(4))"
