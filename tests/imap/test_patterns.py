"""Patterns of LIST: "%" and "*" in linear time (RFC 3501 §6.3.8)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymaild.core.errors import Code, Refused
from pymaild.imap.patterns import matcher, union

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


@given(st.lists(st.text("ab/%*", max_size=4)), st.text("ab/", max_size=6))
def test_several_match_what_one_of_them_matches(patterns: list[str], name: str) -> None:
    assert union(patterns, "/")(name) is any(matcher(pattern, "/")(name) for pattern in patterns)


def test_inbox_has_no_case_among_several() -> None:
    match = union(["inbox", "Inbox/a", "x"], "/")
    assert [name for name in ("INBOX", "INBOX/a", "inbox", "x") if match(name)] == [
        *("INBOX", "INBOX/a", "x")
    ]


def test_names_are_looked_up_and_patterns_counted() -> None:
    """Thousands of patterns for thousands of mailboxes would keep a session busy for minutes."""
    match = union((f"name{number}" for number in range(10_000)), "/")
    assert match("name9999")
    assert not match("name10000")
    with pytest.raises(Refused) as refused:
        union((f"name{number}*" for number in range(101)), "/")
    assert refused.value.code is Code.LIMIT
