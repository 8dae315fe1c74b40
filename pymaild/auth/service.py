"""What the auth role answers, without sockets: questions in, answers or checks out.

A question whose password has a slow hash yields a Check; whoever has threads runs it in one of
them and asks it for the answer afterwards. All else is answered at once.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pymaild.auth import schemes, ticket
from pymaild.auth.answers import (
    Accepted,
    Answer,
    BadFrame,
    Challenge,
    Facts,
    Found,
    Rejected,
    Reply,
    take,
    take_facts,
    take_octets,
)
from pymaild.auth.cache import Cache
from pymaild.auth.exchanges import MECHANISMS, Claim, Exchange, Malformed, Prompt
from pymaild.auth.failures import Reason, log_failure
from pymaild.auth.names import prepare_name, prepare_password
from pymaild.auth.penalty import Penalties
from pymaild.auth.settings import AuthSettings
from pymaild.auth.sources import open_directory
from pymaild.auth.users import Entry, SourceUnavailable
from pymaild.core.errors import Code

log = logging.getLogger("pymaild.auth")

UNAVAILABLE = Rejected(Code.UNAVAILABLE, "Logins are not possible now, try again later")
_PRIVACY = Rejected(Code.PRIVACYREQUIRED, "Start TLS before you send a password")
_NO_MECHANISM = Rejected(Code.CANNOT, "No such authentication mechanism")
_NO_EXCHANGE = Rejected(Code.CLIENTBUG, "No authentication is under way")

#: What a client is told; all reasons that would help a guesser look the same.
_FAILED = (Code.AUTHENTICATIONFAILED, "Authentication failed")
_TOLD: dict[Reason, tuple[Code, str]] = {
    Reason.UNKNOWN_USER: _FAILED,
    Reason.PASSWORD: _FAILED,
    Reason.MALFORMED: _FAILED,
    Reason.HASH: _FAILED,
    Reason.AUTHORIZATION: (Code.AUTHORIZATIONFAILED, "You may not act as that user"),
    Reason.NO_LOGIN: (Code.CONTACTADMIN, "This account may not log in"),
    Reason.NETWORK: (Code.CONTACTADMIN, "This account may not log in from here"),
    Reason.EXPIRED: (Code.EXPIRED, "This password is no longer valid"),
}


class Verdict(Enum):
    """What came of comparing a password with a stored one."""

    MATCH = "match"
    MISMATCH = "mismatch"
    UNUSABLE = "unusable"  # the stored one cannot be compared with
    FAILED = "failed"  # no memory for the hash: says nothing of the password


@dataclass(slots=True, repr=False)
class Conversation:
    """What a connection carries from one question to the next."""

    exchange: Exchange | None = None
    mechanism: str = ""
    facts: Facts | None = None


@dataclass(slots=True, repr=False)
class Check:
    """A comparison that takes milliseconds: :meth:`run` in any thread, then :meth:`finish`."""

    _compare: Callable[[], Verdict]
    _conclude: Callable[[Verdict], Answer]
    _verdict: Verdict = Verdict.FAILED

    def run(self) -> None:
        """Compare. Touches nothing that other threads use."""
        self._verdict = self._compare()

    def finish(self) -> Answer:
        """Return the answer; the failure, if it is one, is counted and logged now."""
        return self._conclude(self._verdict)


@dataclass(frozen=True, slots=True, repr=False)
class _Attempt:
    """One claim and all that is needed to judge it; ``entry`` None is an unknown user."""

    claim: Claim
    name: str
    entry: Entry | None
    stored: str
    mechanism: str
    facts: Facts


class Service:
    """The auth role's knowledge. Not thread-safe, except for Check.run."""

    def __init__(self, settings: AuthSettings, key: bytes) -> None:
        self._settings = settings
        self._key = key
        self._directory = open_directory(settings)
        self._cache = Cache(settings)
        self._penalties = Penalties(settings)
        self._operations: dict[str, Callable[[dict[str, Any], Conversation], Reply | Check]] = {
            "begin": self._begin,
            "respond": self._respond,
            "password": self._password,
            "lookup": self._lookup,
        }

    def ask(self, question: dict[str, Any], conversation: Conversation) -> Reply | Check:
        """Answer one question. Raises BadFrame for what is none; logs what is a bug."""
        operation = self._operations.get(take(question, "ask", str))
        if operation is None:
            raise BadFrame("unknown question")
        try:
            return operation(question, conversation)
        except SourceUnavailable:
            return UNAVAILABLE
        except BadFrame:
            raise
        except Exception:
            return bug()

    def _begin(self, question: dict[str, Any], conversation: Conversation) -> Reply | Check:
        name = take(question, "mechanism", str).upper()  # RFC 4422 §3.1; clients vary in case
        facts = take_facts(question)
        initial = take_octets(question, "initial") if "initial" in question else None
        refusal = self._refusal(name, facts)
        if refusal:
            return refusal
        conversation.exchange = MECHANISMS[name].begin()
        conversation.mechanism, conversation.facts = name, facts
        return self._step(conversation, initial)

    def _respond(self, question: dict[str, Any], conversation: Conversation) -> Reply | Check:
        return self._step(conversation, take_octets(question, "data"))

    def _step(self, conversation: Conversation, data: bytes | None) -> Reply | Check:
        exchange, facts = conversation.exchange, conversation.facts
        if exchange is None or facts is None:
            return _NO_EXCHANGE
        try:
            outcome = exchange.respond(data)
        except Malformed:
            conversation.exchange = None
            return self._fail(Reason.MALFORMED, "", conversation.mechanism, facts)
        if isinstance(outcome, Prompt):
            return Challenge(outcome.data)
        conversation.exchange = None
        return self._judge(outcome, conversation.mechanism, facts)

    def _password(self, question: dict[str, Any], conversation: Conversation) -> Reply | Check:
        conversation.exchange = None
        user, facts = take(question, "user", str), take_facts(question)
        claim = Claim("", user, take_octets(question, "password"))
        return self._refusal("PLAIN", facts) or self._judge(claim, "PLAIN", facts)

    def _lookup(self, question: dict[str, Any], conversation: Conversation) -> Reply | Check:
        name = take(question, "name", str)
        try:
            entry = self._directory.find(prepare_name(name))
        except ValueError:
            return Found(None)
        if entry is None or not entry.user.system:
            return Found(entry.user if entry else None)
        return Found(entry.user, ticket.issue(self._key, entry.user, purpose="delivery"))

    def _refusal(self, mechanism: str, facts: Facts) -> Rejected | None:
        """Refuse what the settings do not allow, before any password is looked at."""
        if mechanism not in self._settings.mechanisms:
            return _NO_MECHANISM
        clear = MECHANISMS[mechanism].plaintext and not facts.tls
        return _PRIVACY if clear and not self._settings.allow_plaintext else None

    def _judge(self, claim: Claim, mechanism: str, facts: Facts) -> Answer | Check:
        """Compare at once what is compared quickly; leave the rest to a Check."""
        try:
            name = prepare_name(claim.authentication)
            prepare_password(claim.password)
        except ValueError:
            return self._fail(Reason.MALFORMED, claim.authentication, mechanism, facts)
        entry = self._directory.find(name)
        stored = entry.stored if entry else self._directory.decoy(name)
        attempt = _Attempt(claim, name, entry, stored, mechanism, facts)
        if self._remembered(attempt):
            return self._conclude(attempt, Verdict.MATCH)
        check = Check(lambda: self._compare(attempt), lambda v: self._conclude(attempt, v))
        if not schemes.problem(stored) and schemes.is_slow(stored):
            return check
        check.run()
        return check.finish()

    def _remembered(self, attempt: _Attempt) -> bool:
        entry, password = attempt.entry, attempt.claim.password
        return entry is not None and self._cache.knows(
            entry.user.name, entry.stored, password, time.monotonic()
        )

    def _compare(self, attempt: _Attempt) -> Verdict:
        """Compare, unless another connection of the same user has done so meanwhile."""
        if self._remembered(attempt):
            return Verdict.MATCH
        try:
            match = schemes.verify(attempt.stored, attempt.claim.password)
        except schemes.BadHash:
            return Verdict.UNUSABLE
        except MemoryError:
            return Verdict.FAILED
        return Verdict.MATCH if match else Verdict.MISMATCH

    def _conclude(self, attempt: _Attempt, verdict: Verdict) -> Answer:
        if verdict is Verdict.FAILED:
            log.error("no memory to check a password")
            return UNAVAILABLE
        reason = _reason(attempt, verdict)
        entry = attempt.entry
        if entry is None or verdict is not Verdict.MATCH or reason:
            user = attempt.claim.authentication
            return self._fail(reason or Reason.PASSWORD, user, attempt.mechanism, attempt.facts)
        if schemes.is_slow(entry.stored):
            name, password = entry.user.name, attempt.claim.password
            self._cache.add(name, entry.stored, password, time.monotonic())
        return Accepted(entry.user, ticket.issue(self._key, entry.user))

    def _fail(self, reason: Reason, user: str, mechanism: str, facts: Facts) -> Rejected:
        log_failure(user, mechanism, reason, facts)
        code, text = _TOLD[reason]
        return Rejected(code, text, self._penalties.fail(facts.address, time.monotonic()))


def bug() -> Rejected:
    """Log the exception being handled under an id that the client is told too."""
    number = secrets.token_hex(4)
    log.exception("bug %s while answering a question", number)
    return Rejected(Code.SERVERBUG, f"Internal error {number}")


def _reason(attempt: _Attempt, verdict: Verdict) -> Reason | None:
    """Return why the attempt fails, the password first, or None when it succeeds."""
    entry = attempt.entry
    if entry is None:
        return Reason.UNKNOWN_USER
    if verdict is not Verdict.MATCH:
        return Reason.HASH if verdict is Verdict.UNUSABLE else Reason.PASSWORD
    gates = (
        (entry.login, Reason.NO_LOGIN),
        (entry.admits(attempt.facts.address), Reason.NETWORK),
        (not entry.expired, Reason.EXPIRED),
        (_authorized(attempt, entry), Reason.AUTHORIZATION),
    )
    return next((reason for passed, reason in gates if not passed), None)


def _authorized(attempt: _Attempt, entry: Entry) -> bool:
    """Tell whether the user may act as whom the client names: as oneself alone (RFC 4616 §2)."""
    wanted = attempt.claim.authorization
    if not wanted:
        return True
    try:
        return prepare_name(wanted) in (attempt.name, entry.user.name)
    except ValueError:
        return False
