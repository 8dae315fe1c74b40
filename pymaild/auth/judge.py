"""Whether a claim is true, and what follows for the one who makes it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from pymaild.auth import ticket
from pymaild.auth.answers import Accepted, Facts, Rejected
from pymaild.auth.failures import Reason, log_failure
from pymaild.auth.names import prepare_login
from pymaild.auth.penalty import Penalties
from pymaild.auth.settings import AuthSettings
from pymaild.auth.users import Directory, Entry
from pymaild.core.errors import Code

log = logging.getLogger("pymaild.auth")

UNAVAILABLE = Rejected(Code.UNAVAILABLE, "Logins are not possible now, try again later")

#: What a client is told; all reasons that would help a guesser look the same.
_FAILED = (Code.AUTHENTICATIONFAILED, "Authentication failed")
_TOLD: dict[Reason, tuple[Code, str]] = {
    Reason.UNKNOWN_USER: _FAILED,
    Reason.PASSWORD: _FAILED,
    Reason.MALFORMED: _FAILED,
    Reason.HASH: _FAILED,
    Reason.TOKEN: _FAILED,
    Reason.BINDING: _FAILED,
    Reason.AUTHORIZATION: (Code.AUTHORIZATIONFAILED, "You may not act as that user"),
    Reason.NO_LOGIN: (Code.CONTACTADMIN, "This account may not log in"),
    Reason.NETWORK: (Code.CONTACTADMIN, "This account may not log in from here"),
    Reason.EXPIRED: (Code.EXPIRED, "This password is no longer valid"),
    Reason.CLEAR_TEXT: (Code.PRIVACYREQUIRED, "This account may log in under TLS only"),
}


class Verdict(Enum):
    """What came of examining a proof."""

    MATCH = "match"
    MISMATCH = "mismatch"
    UNUSABLE = "unusable"  # what is stored cannot be compared with
    FAILED = "failed"  # no memory for the hash, nobody to ask: says nothing of the proof


@dataclass(frozen=True, slots=True, repr=False)
class Attempt:
    """Who wants to log in as whom, as the client said it; ``entry`` None is an unknown user."""

    authentication: str
    authorization: str
    entry: Entry | None
    mechanism: str
    facts: Facts


class Judge:
    """Turns verdicts into answers. Failures are counted, logged and punished here."""

    def __init__(self, settings: AuthSettings, key: bytes, directory: Directory) -> None:
        self._key = key
        self._directory = directory
        self._masters = settings.master_names()
        self._penalties = Penalties(settings)

    def answer(
        self, attempt: Attempt, verdict: Verdict, mismatch: Reason = Reason.PASSWORD
    ) -> Accepted | Rejected:
        """Return what comes of an attempt; ``mismatch`` is why it fails when its proof does.

        Raises SourceUnavailable.
        """
        if verdict is Verdict.FAILED:
            return UNAVAILABLE
        found = self._admitted(attempt, verdict, mismatch)
        return self.fail(found, attempt) if isinstance(found, Reason) else found

    def fail(self, reason: Reason, attempt: Attempt) -> Rejected:
        """Say no: in the log, to the client, and for a time that grows."""
        name, wanted, facts = attempt.authentication, attempt.authorization, attempt.facts
        log_failure(name, attempt.mechanism, reason, facts, wanted)
        code, text = _TOLD[reason]
        return Rejected(code, text, self._penalties.fail(facts.address, time.monotonic()))

    def _admitted(self, attempt: Attempt, verdict: Verdict, mismatch: Reason) -> Accepted | Reason:
        """Look at the proof first, and at all else only when it is right (RFC 4616 §2)."""
        entry = attempt.entry
        if entry is None:
            return Reason.UNKNOWN_USER if mismatch is Reason.PASSWORD else mismatch
        if verdict is not Verdict.MATCH:
            return Reason.HASH if verdict is Verdict.UNUSABLE else mismatch
        barred = next((why for why, passes in _GATES if not passes(entry, attempt.facts)), None)
        if barred is not None:
            return barred
        target = self._target(attempt.authorization, entry)
        if target is None:
            return Reason.AUTHORIZATION
        master = entry.user.name if target is not entry else ""
        needed = target.user.system  # only then has the master to be shown one
        return Accepted(target.user, ticket.issue(self._key, target.user) if needed else "", master)

    def _target(self, wanted: str, entry: Entry) -> Entry | None:
        """Return as whom the user goes on: as oneself, or for masters as anybody there is.

        RFC 4422 §3.4.1. Raises SourceUnavailable.
        """
        if not wanted:
            return entry
        try:
            found = self._directory.find(prepare_login(wanted))
        except ValueError:
            return None
        if found is not None and found.user.name == entry.user.name:
            return entry
        return found if entry.user.name in self._masters else None


#: What may bar a user who has proven to be one, in the order in which it is told.
_GATES: tuple[tuple[Reason, Callable[[Entry, Facts], bool]], ...] = (
    (Reason.NO_LOGIN, lambda entry, facts: entry.login),
    (Reason.NETWORK, lambda entry, facts: entry.admits(facts.address)),
    (Reason.EXPIRED, lambda entry, facts: not entry.expired),
    (Reason.CLEAR_TEXT, lambda entry, facts: facts.tls or not entry.private),
)
