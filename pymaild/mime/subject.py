"""The base subject: what a subject is without the marks of replies and forwards (RFC 5256 §2.1).

The steps of the RFC, in time linear in the subject: positions move inwards from both ends, and
blobs that no "Re" follows are passed over together.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Subject(NamedTuple):
    """``base`` is the base subject; ``reply``: a mark of a reply or a forward was removed.

    RFC 5256 §3, THREAD, says which marks those are: blobs and blanks are none.
    """

    base: str
    reply: bool


_BLANKS = re.compile(r"[ \t\r\n]+")
_BLOB = re.compile(r"\[[^\[\]\0]*+\] *+")  # subj-blob
_REFWD = re.compile(r"(?:re|fwd?+) *+(?:\[[^\[\]\0]*+\] *+)?+:", re.ASCII | re.IGNORECASE)
_TRAILER = "(fwd)"
_FWD_START, _FWD_END = "[fwd:", "]"


def base_subject(text: str) -> Subject:
    """Return the base subject of a decoded Subject field."""
    text = _BLANKS.sub(" ", text)  # step 1
    start, end, reply = 0, len(text), False
    while True:
        end, trailed = _without_trailers(text, start, end)
        start, led = _without_leaders(text, start, end)
        reply = reply or trailed or led
        if not _is_forward(text, start, end):  # step 6
            return Subject(text[start:end], reply)
        start, end, reply = start + len(_FWD_START), end - len(_FWD_END), True


def _without_trailers(text: str, start: int, end: int) -> tuple[int, bool]:
    """Step 2: remove subj-trailer from the end; says whether a "(fwd)" was among them."""
    found = False
    while end > start:
        if text[end - 1] == " ":
            end -= 1
        elif text[max(end - 5, start) : end].lower() == _TRAILER:
            end, found = end - 5, True
        else:
            break
    return end, found


def _without_leaders(text: str, start: int, end: int) -> tuple[int, bool]:
    """Steps 3 to 5: remove subj-leader, and subj-blob where that leaves something.

    Blobs in a row are scanned once. Where no subj-refwd ends them they go one by one, the last
    one only if there is text behind it.
    """
    found = False
    while True:
        while start < end and text[start] == " ":
            start += 1
        last = at = start
        while (blob := _BLOB.match(text, at, end)) is not None:
            last, at = at, blob.end()
        mark = _REFWD.match(text, at, end)
        if mark is None:
            return (at if at < end else last), found
        start, found = mark.end(), True


def _is_forward(text: str, start: int, end: int) -> bool:
    """Whether the text begins with subj-fwd-hdr and ends with subj-fwd-trl."""
    head = text[start : start + len(_FWD_START)]
    long_enough = end - start >= len(_FWD_START) + len(_FWD_END)
    return long_enough and head.lower() == _FWD_START and text[end - 1] == _FWD_END
