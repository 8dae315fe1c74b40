"""Patterns of LIST: "%" and "*" in linear time (RFC 3501 §6.3.8)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymaild.imap.patterns import matcher

CASES = [
    ("*", "a/b/c", True),
    ("%", "a", True),
    ("%", "a/b", False),
    ("a/%", "a/b", True),
    ("a/%", "a/b/c", False),
    ("a/*", "a/b/c", True),
    ("a*", "a", True),
    ("*c", "a/b/c", True),
    ("%c", "a/b/c", False),
    ("%/%/c", "a/b/c", True),
    ("%*", "a/b", True),
    ("a%c", "abc", True),
    ("a%c", "a/c", False),
    ("a.c", "abc", False),
    ("", "a", False),
    ("a", "A", False),
    ("inbox", "INBOX", True),
    ("InB%", "INBOX", True),
    ("%nbox", "INBOX", True),
    ("inbox/a", "INBOX/a", True),
    ("inbox/A", "INBOX/a", False),
    ("inbox%", "INBOX/a", False),
    ("inbox*", "INBOX/a", True),
    ("inboxes", "INBOX", False),
    ("inboxes", "inboxes", True),
]


@pytest.mark.parametrize(("pattern", "name", "matches"), CASES)
def test_case(pattern: str, name: str, matches: bool) -> None:
    assert matcher(pattern, "/")(name) is matches


@given(st.text("ab/%*", max_size=12), st.text("ab/", max_size=12))
def test_agrees_with_a_regular_expression(pattern: str, name: str) -> None:
    expression = "".join({"%": "[^/]*", "*": ".*"}.get(c, re.escape(c)) for c in pattern)
    wanted = re.fullmatch(expression, name) is not None
    assert matcher(pattern, "/")(name) is wanted


def test_many_wildcards_take_no_exponential_time() -> None:
    """A backtracking matcher would not come back from this in a lifetime."""
    match = matcher("*a" * 5000 + "%b", "/")
    assert not match("a" * 20_000)
    assert match("a" * 20_000 + "b")
