"""How many messages one command may be about (RFC 9738).

Where a set names more, a command goes through those with the highest UIDs, from there downwards,
and says how far it came. What is all or nothing (COPY, APPEND, SORT, THREAD) is refused instead.
EXPUNGE, CLOSE and STATUS have no limit.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from pymaild.core.errors import Code, Refused
from pymaild.imap.search import And, Key, Numbers, Scope, conjuncts, evaluate

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession

_LARGEST = 0xFFFFFFFF


class Limit:
    """The limit of one command, and how far it lets it go. 0 is none."""

    def __init__(self, session: ImapSession) -> None:
        self._session = session
        self.most: int = session.settings.message_limit
        self._code = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """What was left out is told where the command is refused in the end, too."""
        if isinstance(error, Refused):
            self.tell()

    def cut(self, seqs: array[int]) -> array[int]:
        """Return the messages that the command may go through, in the order to do so."""
        if not self._exceeded(seqs):
            return seqs
        kept = seqs[-self.most :]
        kept.reverse()
        self._stop(kept[-1])
        return kept

    def search(self, key: Key, scope: Scope) -> Key:
        """Return a key that looks at no more messages than may be looked at.

        What counts is what is searched, not what is found: the messages of the sets of numbers
        and UIDs that all results must be in (RFC 9738 §3.1).
        """
        if not self._exceeded(range(len(scope.view))):
            return key
        candidates = _candidates(key, scope)
        if not self._exceeded(candidates):
            return key
        lowest = candidates[-self.most]
        self._stop(lowest)
        span = Numbers([(scope.view.uid(lowest), _LARGEST)], by_uid=True)
        return And([span, *conjuncts(key)])

    def whole(self, key: Key, scope: Scope) -> None:
        """Raise Refused where a key looks at more messages than may be sorted (RFC 9738 §3.3)."""
        if self._exceeded(range(len(scope.view))):
            check(len(_candidates(key, scope)), self.most)

    def ok(self, name: str, answer: bytes | None = None) -> bytes | None:
        """Return the text of the OK: ``answer``, or that some messages are left.

        An OK has one response code: where it has its own, an untagged NO says it.
        """
        if not self._code:
            return answer
        if answer is None:
            return b"%b %b" % (
                self._code,
                self._session.say(f"{name} went through the last messages"),
            )
        self.tell()
        return answer

    def tell(self) -> None:
        """Say in an untagged NO that some messages are left, if there are any."""
        if self._code:
            told = self._session.say("Only the last messages were gone through")
            self._session.write(b"* NO %b %b\r\n" % (self._code, told))

    def _exceeded(self, seqs: Sequence[int]) -> bool:
        return 0 < self.most < len(seqs)

    def _stop(self, seq: int) -> None:
        uid = self._session.current.selected.view.uid(seq)
        self._code = b"[MESSAGELIMIT %d %d]" % (self.most, uid)


def _candidates(key: Key, scope: Scope) -> Sequence[int]:
    sets = [part for part in conjuncts(key) if isinstance(part, Numbers)]
    return evaluate(And([*sets]), scope) if sets else scope.all()


def saving(session: ImapSession) -> int:
    """How many messages COPY and APPEND may bring, 0 for any number."""
    settings = session.settings
    limits = (settings.message_limit, settings.save_limit)
    return min((limit for limit in limits if limit), default=0)


def check(count: int, most: int) -> None:
    """Raise Refused where a command that is all or nothing is about too many messages."""
    if 0 < most < count:
        refused = Refused(Code.MESSAGELIMIT, f"At most {most} messages at a time are possible")
        refused.argument = str(most)
        raise refused


def announced(session: ImapSession) -> list[str]:
    """The capability, if any: SAVELIMIT only where there is no other limit (RFC 9738 §3)."""
    settings = session.settings
    if settings.message_limit:
        return [f"MESSAGELIMIT={settings.message_limit}"]
    return [f"SAVELIMIT={settings.save_limit}"] if settings.save_limit else []
