"""The base subject (RFC 5256 §2.1), against its steps taken one by one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymaild.mime.subject import base_subject
from tests.support.rfc import rfc

BLOB = r"\[[^\[\]\x00]*\] *"
LEADER = re.compile(rf"(?:{BLOB})*(?:re|fwd?) *(?:{BLOB})?:| ", re.ASCII | re.IGNORECASE)
TRAILER = re.compile(r"(?:\(fwd\)| )\Z", re.IGNORECASE)
FORWARD = re.compile(r"\[fwd:(.*)\]", re.IGNORECASE | re.DOTALL)


def step_by_step(text: str) -> str:
    """As the RFC tells it: one removal after the other, from the start each time."""
    text = re.sub(r"[ \t\r\n]+", " ", text)
    while True:
        while trailer := TRAILER.search(text):
            text = text[: trailer.start()]
        while shorter := _without_prefix(text):
            text = shorter[0]
        forward = FORWARD.fullmatch(text)
        if forward is None:
            return text
        text = forward[1]


def _without_prefix(text: str) -> list[str]:
    """What is left of a text with a leader, or else of one with a blob before something."""
    if leader := LEADER.match(text):
        return [text[leader.end() :]]
    blob = re.match(BLOB, text)
    return [text[blob.end() :]] if blob and blob.end() < len(text) else []


PIECES = st.sampled_from(
    [
        *("re", "Re:", "RE :", "fw:", "Fwd:", "FWD", "re[2]:", "Re [a] :", "fwd [x] [y]:", ":"),
        *("(fwd)", "(FWD)", "(fwd", "[fwd:", "[FWD: ", "]", "[", "[list]", "[list] ", "[]", "[[a]"),
        *(" ", "  ", "\t", "\r\n ", "word", "Wort", "ß", "\0", "\x1f", "\u017f", "K"),
    ]
)


@rfc("5256", "2.1", 1)
@given(st.one_of(st.lists(PIECES, max_size=14).map("".join), st.text(max_size=20)))
def test_the_steps_lead_to_it(text: str) -> None:
    assert base_subject(text).base == step_by_step(text)


@pytest.mark.parametrize(
    ("text", "base", "reply"),
    [
        ("plain", "plain", False),
        ("Re: plain", "plain", True),
        ("Re: Fwd: [list] plain (fwd)", "plain", True),
        ("[a] [b] Re: [c] plain", "plain", True),
        ("[a] [b] plain", "plain", False),
        ("[a] [b]", "[b]", False),
        ("[fwd: Re: [x] deep (fwd)]", "deep", True),
        ("[fwd: [fwd: deeper]]", "deeper", True),
        ("[fwd: one] two", "two", False),
        ("Re: [2]: odd", ": odd", True),
        ("re[2]: counted", "counted", True),
        ("Re", "Re", False),
        ("Reply: none", "Reply: none", False),
        ("Aw: not known here", "Aw: not known here", False),
        ("  white \t space  ", "white space", False),
        ("(fwd)", "", True),
        ("Re:", "", True),
        ("[fwd:]", "", True),
        ("", "", False),
    ],
)
def test_examples(text: str, base: str, reply: bool) -> None:
    """RFC 5256 §3, THREAD: blobs alone make no reply."""
    assert base_subject(text) == (base, reply)
    assert step_by_step(text) == base


@pytest.mark.parametrize(
    "piece", ["[a]", "Re:", "[", "[a] Re: ", "(fwd)", "[fwd:", "re[", "]", " "]
)
def test_hostile_subjects_are_read_in_one_pass(piece: str) -> None:
    """So long that anything but a pass over it would not end."""
    text = piece * (1 << 17)
    assert len(base_subject(text).base) <= len(text)
    assert "x" in base_subject(text + "x" + "]" * (1 << 17)).base
