"""The machine's own eyes: a picture refuses what a server must not tell."""

from __future__ import annotations

import pytest

from tests.support.imap import Answer
from tests.support.replies import parse

from .world import Message, Picture, World


class Told(Picture):
    """A picture of three messages whose UIDs are 2, 4 and one not known yet."""

    def __init__(self) -> None:
        self.uids, self.flags, self.modseqs, self.told = [2, 4, 0], {}, {}, {}
        self.uidonly = False

    def hear(self, command: str, *replies: str) -> None:
        found = [parse(b"* " + reply.encode() + b"\r\n") for reply in replies]
        self.take(command, Answer(parse(b"t OK done\r\n"), found))


@pytest.mark.parametrize(
    ("command", "replies", "uids"),
    [
        ("NOOP", ["2 EXPUNGE", "2 EXPUNGE", "2 EXISTS"], [2, 0]),
        ("UID FETCH 1 FLAGS", ["1 EXPUNGE"], [4, 0]),
        ("FETCH 3 UID", ["3 FETCH (UID 9)"], [2, 4, 9]),
        ("NOOP", ["VANISHED 4,7"], [2]),
        ("NOOP", ["VANISHED (EARLIER) 4,7"], [2, 0]),
    ],
)
def test_what_may_be_told(command: str, replies: list[str], uids: list[int]) -> None:
    picture = Told()
    picture.hear(command, *replies)
    assert picture.uids == uids


@pytest.mark.parametrize(
    ("command", "replies"),
    [
        ("FETCH 1 FLAGS", ["1 EXPUNGE"]),
        ("STORE 1 FLAGS ()", ["VANISHED 2"]),
        ("NOOP", ["4 EXPUNGE"]),
        ("NOOP", ["2 EXISTS"]),
        ("NOOP", ["4 FETCH (UID 9)"]),
        ("NOOP", ["2 FETCH (UID 9)"]),
        ("NOOP", ["3 FETCH (UID 3)"]),
        ("NOOP", ["1 FETCH (MODSEQ (7))", "1 FETCH (MODSEQ (6))"]),
    ],
)
def test_what_must_not_be_told(command: str, replies: list[str]) -> None:
    with pytest.raises(AssertionError):
        Told().hear(command, *replies)


def test_a_picture_that_is_not_true() -> None:
    seen = frozenset({"\\Seen"})
    world = World({2: Message("a"), 4: Message("b", seen), 5: Message("c")})
    picture = Told()
    assert picture.agrees(world)
    picture.hear("NOOP", "2 FETCH (FLAGS (\\Seen \\Recent))")
    assert picture.agrees(world)
    picture.hear("NOOP", "1 FETCH (FLAGS (\\Seen))")
    assert not picture.agrees(world)
    assert not Told().agrees(World({2: Message("a"), 4: Message("b", seen)}))
    assert not Told().agrees(World({1: Message("a"), 4: Message("b"), 5: Message("c")}))
