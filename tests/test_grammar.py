"""The oracle of replies: what it refuses, and which replies are one to it."""

from __future__ import annotations

import pytest

from tests.support.grammar import shape, unlawful

LAWFUL = (
    b"* OK [UIDNEXT 4] next\r\n",
    b"* 3 FETCH (UID 7 FLAGS (\\Seen $Work))\r\n",
    b'* LIST (\\Noselect) "/" "a b"\r\n',
    b"* 1 FETCH (BODY[] {3}\r\nabc)\r\n",
    b"+ \r\n",
    b"t9 NO [TRYCREATE] no such mailbox\r\n",
)
UNLAWFUL = (
    b"* 3 FETCH UID 7\r\n",
    b'* LIST () "//" "a"\r\n',
    b"* 3 FETCH (FLAGS (\\Seen (x)))\r\n",
    b"* 0 FETCH (UID 7 FLAGS ())\r\n",
    b"* LIST () / a\r\n",
    b"* FROB\r\n",
)


def test_what_is_lawful() -> None:
    assert unlawful(LAWFUL) == []


def test_what_is_not() -> None:
    assert unlawful(UNLAWFUL) == list(UNLAWFUL)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("* 3 EXISTS", "* 14 EXISTS"),
        ("t1 OK done", "a99 OK Not done, but (nearly)"),
        ("* SEARCH 1 2 3", "* SEARCH 4 5 6 7 8 9"),
        ("* VANISHED 1:3,5", "* VANISHED 7,8,9:12,1"),
        ('* LIST () "/" "a"', '* LIST () "/" "b c"'),
        (
            "* OK [MAILBOXID (Fa0123456789abcdef0123)] x",
            "* OK [MAILBOXID (Fbbb456789abcdef0123)] y",
        ),
        ("* FLAGS ($a $b $c)", "* FLAGS ($x $y)"),
    ],
)
def test_one_of_each_shape_is_enough(one: str, other: str) -> None:
    assert shape(f"{one}\r\n".encode()) == shape(f"{other}\r\n".encode())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("* SEARCH 1 2", "* SEARCH 1"),
        ("* SEARCH 1 2 3", "* SEARCH 1 2 3 "),
        ("* VANISHED 1:3", "* VANISHED 1"),
        ("t1 OK done", "t1 OK"),
        ("t1 OK done", "t1 OK [done"),
        ("t1 OK done", "t1 NO done"),
        ("t1 OK [ALERT] done", "t1 OK [ALERT]done"),
        ('* LIST () "/" "a"', '* LIST () "/" a'),
        ('* LIST () "/" "a"', '* LIST () "/" ""'),
        ('* LIST () "/" "a"', '* LIST () "/" "\\a"'),
        ("+ YWJj", "+ YWJjZA"),
        ("* FLAGS ($a $b)", "* FLAGS ($a  $b)"),
        ("* FLAGS ($a $b)", "* FLAGS ($a $b"),
    ],
)
def test_shapes_differ(one: str, other: str) -> None:
    assert shape(f"{one}\r\n".encode()) != shape(f"{other}\r\n".encode())
