"""Choices of mailboxes by the names above them (RFC 5465 §6, RFC 7377 §2.2)."""

from __future__ import annotations

import sys
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymaild.core.session import User
from pymaild.imap.choice import NAMED, covering
from pymaild.mail.account import Account
from pymaild.mail.settings import MailSettings

ACCOUNT = Account(User("alice", mail="/nowhere"), MailSettings())
NAMES = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join)


@given(st.sets(NAMES, max_size=4), NAMES)
def test_names_and_what_is_below_them(tops: set[str], name: str) -> None:
    def below(top: str, levels: int) -> bool:
        return name == top or (
            name.startswith(top + "/") and name[len(top) + 1 :].count("/") < levels
        )

    expected = {
        "mailboxes": name in tops,
        "subtree-one": any(below(top, 1) for top in tops),
        "subtree": any(below(top, 10) for top in tops),
    }
    assert {choice: covering(ACCOUNT, choice, tops)(name) for choice in NAMED} == expected


@pytest.mark.parametrize("choice", NAMED)
def test_many_names_cost_what_few_cost(choice: str) -> None:
    """For each mailbox there is, that is: a client may name thousands."""
    few, many = (calls(choice, [f"top{n}" for n in range(count)]) for count in (10, 1000))
    assert few == many


def calls(choice: str, names: list[str]) -> int:
    """How many functions one test of a name calls."""
    count = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    covers = covering(ACCOUNT, choice, names)
    sys.setprofile(profile)
    try:
        covers("x/y/z")
    finally:
        sys.setprofile(None)
    return count
