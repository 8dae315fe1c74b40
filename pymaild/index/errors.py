"""Why an index cannot be read as it is."""

from __future__ import annotations

from pymaild.core.errors import Code, Refused


class Unusable(Refused):
    """The index is missing, damaged, or of another version: it is made anew from the mail."""

    def __init__(self, reason: str) -> None:
        text = "The mailbox was damaged and is being repaired, try again"
        super().__init__(Code.UNAVAILABLE, text, reason)


class Gap(Exception):
    """The log does not tell how a view of that age moves on."""


class Busy(Refused):
    """A writer has left the header in change, and nobody knows what became of it."""

    def __init__(self) -> None:
        super().__init__(Code.INUSE, "The mailbox is in use, try again later")
