"""What the auth role answers, without sockets: questions in, answers or checks out.

A claim that takes time to examine (a slow hash, a token to ask about) yields a Check; whoever
has threads runs it in one of them and asks it for the answer afterwards. All else is answered
at once.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
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
from pymaild.auth.claims import (
    AnyClaim,
    CertificateClaim,
    Claim,
    Exchange,
    Holder,
    KeyClaim,
    Malformed,
    Prompt,
    Surroundings,
    TokenClaim,
    Unaccepted,
)
from pymaild.auth.exchanges import MECHANISMS
from pymaild.auth.failures import Reason
from pymaild.auth.judge import UNAVAILABLE, Attempt, Judge, Verdict
from pymaild.auth.keyring import Keyring
from pymaild.auth.names import prepare_login, prepare_name, prepare_password
from pymaild.auth.oauth_settings import OAuthSettings
from pymaild.auth.settings import AuthSettings
from pymaild.auth.sources import open_directory
from pymaild.auth.users import Entry, SourceUnavailable
from pymaild.core.errors import Code

log = logging.getLogger("pymaild.auth")

_PRIVACY = Rejected(Code.PRIVACYREQUIRED, "Start TLS before you send a password")
_NO_MECHANISM = Rejected(Code.CANNOT, "No such authentication mechanism")
_NO_EXCHANGE = Rejected(Code.CLIENTBUG, "No authentication is under way")

#: The threads that checks are for: those that compute, and those that wait for others.
HASHES, REQUESTS = "hashes", "requests"


@dataclass(slots=True, repr=False)
class Conversation:
    """What a connection carries from one question to the next.

    ``outcome`` is an answer that the client gets when it has responded to a last challenge.
    """

    exchange: Exchange | None = None
    outcome: Answer | None = None
    mechanism: str = ""
    facts: Facts | None = None


@dataclass(slots=True, repr=False)
class Check:
    """An examination that takes time: :meth:`run` in any thread, then :meth:`finish`."""

    threads: str
    _examine: Callable[[], Any]
    _conclude: Callable[[Any], Answer]
    _result: Any = None

    def run(self) -> None:
        """Examine. Touches nothing that other threads use."""
        self._result = self._examine()

    def finish(self) -> Answer:
        """Return the answer; the failure, if it is one, is counted and logged now."""
        try:
            return self._conclude(self._result)
        except SourceUnavailable:
            return UNAVAILABLE


class Service:
    """The auth role's knowledge. Not thread-safe, except for Check.run."""

    def __init__(self, settings: AuthSettings, key: bytes) -> None:
        self._settings = settings
        self._key = key
        self._directory = open_directory(settings)
        self._cache = Cache(settings)
        self._keyring = Keyring(settings, self._directory)
        self._check_token = _checker(settings.oauth)
        self._judge = Judge(settings, key, self._directory)
        self._operations: dict[str, Callable[[dict[str, Any], Conversation], Reply | Check]] = {
            "begin": self._begin,
            "respond": self._respond,
            "password": self._password,
            "lookup": self._lookup,
        }
        self._claims: dict[type, Callable[[Any, Conversation], Answer | Check]] = {
            Claim: self._judge_password,
            KeyClaim: self._judge_keys,
            TokenClaim: self._judge_token,
            CertificateClaim: self._judge_certificate,
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

    # -- questions -------------------------------------------------------------------------

    def _begin(self, question: dict[str, Any], conversation: Conversation) -> Reply | Check:
        name = take(question, "mechanism", str).upper()  # RFC 4422 §3.1; clients vary in case
        facts = take_facts(question)
        initial = take_octets(question, "initial") if "initial" in question else None
        refusal = self._refusal(name, facts)
        if refusal:
            return refusal
        around = Surroundings(self._keyring.find, facts.binding, self._announced(facts))
        conversation.exchange, conversation.outcome = MECHANISMS[name].begin(around), None
        conversation.mechanism, conversation.facts = name, facts
        return self._step(conversation, initial)

    def _respond(self, question: dict[str, Any], conversation: Conversation) -> Reply | Check:
        data = take_octets(question, "data")
        outcome, conversation.outcome = conversation.outcome, None
        if outcome is None:
            return self._step(conversation, data)
        if data and isinstance(outcome, Accepted):
            return _NO_EXCHANGE  # the client has nothing more to say, and says something
        return outcome

    def _step(self, conversation: Conversation, data: bytes | None) -> Reply | Check:
        exchange, facts = conversation.exchange, conversation.facts
        if exchange is None or facts is None:
            return _NO_EXCHANGE
        try:
            outcome = exchange.respond(data)
        except Malformed as error:
            conversation.exchange = None
            return self._malformed("", "", conversation.mechanism, facts, error.reason)
        if isinstance(outcome, Prompt):
            return Challenge(outcome.data)
        conversation.exchange = None
        return self._judge_claim(outcome, conversation)

    def _password(self, question: dict[str, Any], conversation: Conversation) -> Reply | Check:
        user, facts = take(question, "user", str), take_facts(question)
        claim = Claim("", user, take_octets(question, "password"))
        conversation.exchange = conversation.outcome = None
        conversation.mechanism, conversation.facts = "PLAIN", facts
        return self._refusal("PLAIN", facts) or self._judge_claim(claim, conversation)

    def _lookup(self, question: dict[str, Any], conversation: Conversation) -> Reply | Check:
        name = take(question, "name", str)
        try:
            entry = self._directory.find(prepare_name(name))
        except ValueError:
            return Found(None)
        if entry is None or not entry.user.system:
            return Found(entry.user if entry else None)
        return Found(entry.user, ticket.issue(self._key, entry.user, purpose="delivery"))

    # -- what is allowed -------------------------------------------------------------------

    def _announced(self, facts: Facts) -> tuple[str, ...]:
        bound, certified = bool(facts.binding), bool(facts.certificate)
        return tuple(self._settings.offered(facts.tls, bound, certified))

    def _refusal(self, mechanism: str, facts: Facts) -> Rejected | None:
        """Refuse what the settings do not allow, before any secret is looked at."""
        if mechanism in self._announced(facts):
            return None
        if not facts.tls and mechanism in self._settings.offered(True, False, False):
            return _PRIVACY
        return _NO_MECHANISM

    # -- claims ----------------------------------------------------------------------------

    def _judge_claim(self, claim: AnyClaim, conversation: Conversation) -> Answer | Check:
        return self._claims[type(claim)](claim, conversation)

    def _judge_password(self, claim: Claim, conversation: Conversation) -> Answer | Check:
        """Compare at once what is compared quickly; leave the rest to a Check."""
        facts, mechanism = _context(conversation)
        try:
            name = prepare_login(claim.authentication)
            prepare_password(claim.password)
        except ValueError:
            return self._malformed(claim.authentication, claim.authorization, mechanism, facts)
        entry = self._directory.find(name)
        stored = entry.stored if entry else self._directory.decoy(name)
        attempt = Attempt(claim.authentication, claim.authorization, entry, mechanism, facts)
        if self._remembered(entry, claim.password):
            return self._judge.answer(attempt, Verdict.MATCH)
        slow = schemes.is_slow(stored)

        def conclude(verdict: Verdict) -> Answer:
            if verdict is Verdict.MATCH and entry is not None and slow:
                user = entry.user.name
                self._cache.add(user, entry.stored, claim.password, time.monotonic())
            return self._judge.answer(attempt, verdict)

        check = Check(HASHES, lambda: self._compare(entry, stored, claim.password), conclude)
        return check if slow else _at_once(check)

    def _remembered(self, entry: Entry | None, password: bytes) -> bool:
        return entry is not None and self._cache.knows(
            entry.user.name, entry.stored, password, time.monotonic()
        )

    def _compare(self, entry: Entry | None, stored: str, password: bytes) -> Verdict:
        """Compare, unless another connection of the same user has done so meanwhile."""
        if self._remembered(entry, password):
            return Verdict.MATCH
        try:
            match = schemes.verify(stored, password)
        except schemes.BadHash:
            return Verdict.UNUSABLE
        except MemoryError:
            log.error("no memory to check a password")
            return Verdict.FAILED
        return Verdict.MATCH if match else Verdict.MISMATCH

    def _judge_keys(self, claim: KeyClaim, conversation: Conversation) -> Answer | Check:
        """Verify a proof; a right one is answered with our own before the outcome is told."""
        facts, mechanism = _context(conversation)
        entry = self._directory.find(prepare_login(claim.authentication))
        attempt = Attempt(claim.authentication, claim.authorization, entry, mechanism, facts)

        def conclude(proof: bytes | None) -> Answer:
            verdict = Verdict.MATCH if proof is not None else Verdict.MISMATCH
            if entry is not None and not claim.usable:
                verdict = Verdict.UNUSABLE
            answer = self._judge.answer(attempt, verdict)
            if proof is None or not isinstance(answer, Accepted):
                return answer
            conversation.outcome = answer
            return Challenge(proof)

        check = Check(HASHES, claim.verify, conclude)
        return check if claim.slow else _at_once(check)

    def _judge_token(self, claim: TokenClaim, conversation: Conversation) -> Answer | Check:
        """Ask whose token it is; one that is not accepted is answered in the mechanism first."""
        facts, mechanism = _context(conversation)

        def conclude(found: Holder | Unaccepted | None) -> Answer:
            if found is None:
                return UNAVAILABLE
            name = found.name if isinstance(found, Holder) else claim.authorization
            entry = self._holder(found)
            attempt = Attempt(name, claim.authorization, entry, mechanism, facts)
            answer = self._judge.answer(attempt, Verdict.MATCH, Reason.TOKEN)
            if isinstance(answer, Accepted) or answer is UNAVAILABLE:
                return answer
            if isinstance(found, Unaccepted):
                log.info("token not accepted: %s: session=%s", found.why, facts.session)
            conversation.outcome = answer
            return Challenge(claim.refusal(self._told(found)))

        return Check(REQUESTS, lambda: self._check_token(claim.token), conclude)

    def _holder(self, found: Holder | Unaccepted) -> Entry | None:
        if isinstance(found, Unaccepted):
            return None
        try:
            return self._directory.find(prepare_login(found.name))
        except ValueError:
            return None

    def _told(self, found: Holder | Unaccepted) -> dict[str, str]:
        """Say what the client needs to get a better token (RFC 7628 §3.2.2)."""
        settings = self._settings.oauth
        told = {
            "status": found.status if isinstance(found, Unaccepted) else "invalid_token",
            "scope": " ".join(settings.scopes),
            "openid-configuration": settings.openid_configuration,
        }
        return {key: value for key, value in told.items() if value}

    def _judge_certificate(self, claim: CertificateClaim, conversation: Conversation) -> Answer:
        """Believe what the tls role says of the client's certificate."""
        facts, mechanism = _context(conversation)
        try:
            name = prepare_login(facts.certificate)
        except ValueError:
            return self._malformed(facts.certificate, claim.authorization, mechanism, facts)
        entry = self._directory.find(name)
        attempt = Attempt(facts.certificate, claim.authorization, entry, mechanism, facts)
        return self._judge.answer(attempt, Verdict.MATCH)

    def _malformed(
        self,
        user: str,
        wanted: str,
        mechanism: str,
        facts: Facts,
        reason: Reason = Reason.MALFORMED,
    ) -> Rejected:
        return self._judge.fail(reason, Attempt(user, wanted, None, mechanism, facts))


def _checker(settings: OAuthSettings) -> Callable[[str], Holder | Unaccepted | None]:
    """Return what checks tokens: a library that is loaded where tokens are taken, not elsewhere."""
    if not settings.possible:
        return lambda token: None
    from pymaild.auth.tokens import Tokens

    return Tokens(settings).check


def _context(conversation: Conversation) -> tuple[Facts, str]:
    assert conversation.facts is not None
    return conversation.facts, conversation.mechanism


def _at_once(check: Check) -> Answer:
    check.run()
    return check.finish()


def bug() -> Rejected:
    """Log the exception being handled under an id that the client is told too."""
    number = secrets.token_hex(4)
    log.exception("bug %s while answering a question", number)
    return Rejected(Code.SERVERBUG, f"Internal error {number}")
