"""From a spooled message to each recipient's mailbox."""

from __future__ import annotations

import json
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from email.utils import formatdate
from itertools import chain
from typing import TYPE_CHECKING, Any, Self

from pymaild.core.errors import Code, Disconnected, Leave, Refused, StorageFailure, TimedOut
from pymaild.core.session import User
from pymaild.lmtp import replies
from pymaild.lmtp.address import Address, candidates
from pymaild.lmtp.forward import forward
from pymaild.lmtp.record import LmtpRecord
from pymaild.lmtp.replies import Reply
from pymaild.mail.delivery import arrived, deliver
from pymaild.mail.intents import Intents
from pymaild.mail.spool import Spool

if TYPE_CHECKING:
    from pymaild.lmtp.session import LmtpSession

log = logging.getLogger("pymaild.lmtp")

Recipient = list[str]  # [address, user name, folder or ""], as the record keeps it


def resolve(session: LmtpSession, address: Address) -> Recipient | None:
    """Find the user and folder of an address; None when there is no such user.

    Raises Refused(UNAVAILABLE) when nobody can tell.
    """
    settings = session.services.settings
    for name, folder in candidates(address, settings.separators, settings.user_names):
        if find_user(session, name) is not None:
            return [str(address), name, folder]
    if address.postmaster and settings.postmaster:
        if find_user(session, settings.postmaster) is not None:
            return [str(address), settings.postmaster, ""]
        log.error("lmtp.postmaster: no such user: %r", settings.postmaster)
    return None


def find_user(session: LmtpSession, name: str) -> User | None:
    """Ask the auth role, once in a transaction for each name.

    A process that has become a system user delivers to nobody else.
    """
    own = session.record.user
    if own is not None:
        return own if own.name == name else None
    if name not in session.users:
        session.users[name] = session.services.auth.lookup(name)
    return session.users[name]


def over_quota(session: LmtpSession, recipient: Recipient) -> Reply | None:
    """Return the reply to a recipient who has no room for the message that was announced.

    All else that can stand in its way is found when it is delivered.
    """
    user = find_user(session, recipient[1])
    if user is None or (user.system and session.record.user is None):
        return None
    with closing(session.services.open_account(user)) as account:
        try:
            account.quota.admit(1, session.record.size)
        except OSError as error:
            log.warning("the quota of %r cannot be read: %s", user.name, error)
        except Refused as refused:
            if refused.code is Code.OVERQUOTA and not isinstance(refused, StorageFailure):
                return replies.refusal(refused, session.services.settings.quota_full)
    return None


def deliver_to_all(session: LmtpSession, spool: Spool) -> None:
    """Deliver and answer recipient by recipient, each as soon as it is known (RFC 2033 §4.2, §5).

    The same address given twice gets one copy and two replies. Who has been answered by a process
    that died is left alone.
    """
    answer_all(session, lambda recipient, past: _guarded(session, recipient, spool, past))


def refuse_all(session: LmtpSession, reply: Reply) -> None:
    """Give this reply to each recipient, but to those whom a process that died delivered to."""
    answer_all(session, lambda recipient, past: _found(session, recipient, past) or reply)


def answer_all(session: LmtpSession, reply: Callable[[Recipient, list[Any]], Reply]) -> None:
    """Answer each recipient to whom nothing has been said of this message.

    ``reply`` is given with a recipient what a process that died was about to change for it.
    """
    recipients = session.record.recipients
    said, past = Said.of(session.record)
    twice = {key for key, count in Counter(map(tuple, recipients)).items() if count > 1}
    for recipient in recipients[said.count :]:
        key = tuple(recipient)
        answer = said.replies.get(key) or reply(recipient, past)
        past = []
        said.add(key if key in twice else None, answer, session.record.delivered)
        session.stream.post(answer.wire(), said.note())
        session.services.board.beat()


@dataclass(slots=True)
class Said:
    """How many recipients have been answered, and what those that come again were told."""

    count: int = 0
    delivered: int = 0
    replies: dict[tuple[str, ...], Reply] = field(default_factory=dict)

    @classmethod
    def of(cls, record: LmtpRecord) -> tuple[Self, list[Any]]:
        """Return it as a process that died left it, and what that was about to change then."""
        for place in range(len(record.intents) - 1, -1, -1):
            if record.intents[place][0] == "said":
                _, count, record.delivered, replies = record.intents[place]
                known = {tuple(key): Reply.parse(text) for key, text in replies}
                return cls(count, record.delivered, known), record.intents[place + 1 :]
        return cls(), record.intents

    def add(self, key: tuple[str, ...] | None, reply: Reply, delivered: int) -> None:
        """Take note of a reply; ``key`` says whose, where that one comes again."""
        self.count += 1
        self.delivered = delivered
        if key is not None:
            self.replies[key] = reply

    def note(self) -> bytes:
        """Return it as an intent."""
        replies = [(key, str(reply)) for key, reply in self.replies.items()]
        return json.dumps(["said", self.count, self.delivered, replies]).encode()


def _guarded(session: LmtpSession, recipient: Recipient, spool: Spool, past: list[Any]) -> Reply:
    """A recipient's failure is that recipient's reply and nobody else's."""
    try:
        return _deliver(session, recipient, spool, past)
    except Refused as refused:
        reply = replies.refusal(refused, session.services.settings.quota_full)
        log.warning(
            "not delivered: session=%s from=<%s> to=<%s> user=%r reply=%r detail=%s",
            session.record.id,
            session.record.sender,
            recipient[0],
            recipient[1],
            str(reply),
            refused.detail,
        )
        return reply
    except (Disconnected, TimedOut, Leave):
        raise
    except Exception:
        return bug(session)


def bug(session: LmtpSession) -> Reply:
    """Log the exception being handled and return the reply that names its log line."""
    reference = secrets.token_hex(4)
    log.exception("internal error %s: session=%s", reference, session.record.id)
    session.services.board.count("bugs")
    return Reply(451, "4.3.0", f"Internal error, reference {reference}")


def _deliver(session: LmtpSession, recipient: Recipient, spool: Spool, past: list[Any]) -> Reply:
    address, name, folder = recipient
    user = find_user(session, name)
    if user is None:
        return replies.NO_SUCH_USER
    if user.system and session.record.user is None:
        return forward(session, recipient, spool, past)
    pieces = chain([trace(session, address)], _beating(session, spool))
    with closing(session.services.open_account(user)) as account:
        account.intents = Intents(session.stream.intend, past)
        mailbox, uid = deliver(account, pieces, folder or None, session.record.mark)
    session.record.delivered += 1
    session.services.board.count("delivered")
    log.info(
        "delivered: session=%s from=<%s> to=<%s> user=%r mailbox=%r uid=%d size=%d",
        session.record.id,
        session.record.sender,
        address,
        user.name,
        mailbox,
        uid,
        spool.size,
    )
    return delivered(address)


def _found(session: LmtpSession, recipient: Recipient, past: list[Any]) -> Reply | None:
    """The reply to a recipient whose mailbox got the message from a process that died."""
    user = find_user(session, recipient[1]) if past else None
    if user is None or (user.system and session.record.user is None):
        return None
    with closing(session.services.open_account(user)) as account:
        account.intents = Intents(session.stream.intend, past)
        return delivered(recipient[0]) if arrived(account, recipient[2] or None) else None


def delivered(address: str) -> Reply:
    """The reply to a recipient whose mailbox has the message."""
    return Reply(250, "2.1.5", f"<{address}> delivered" if address.isascii() else "Delivered")


def _beating(session: LmtpSession, spool: Spool) -> Iterator[bytes]:
    for piece in spool.pieces():
        session.services.board.beat()
        yield piece


def trace(session: LmtpSession, address: str) -> bytes:
    """The header lines that final delivery adds (RFC 5321 §4.4).

    Return-Path comes first, then Delivered-To, by which forwarders notice a loop.
    """
    record = session.record
    source = f"[{record.peer.address}]" if record.peer.address else "local"
    # RFC 3848 names LMTPS, RFC 6531 §4.3 the forms with UTF8.
    protocol = ("UTF8LMTP" if record.utf8 else "LMTP") + ("S" if record.tls else "")
    lines = (
        f"Return-Path: <{record.sender}>",
        f"Delivered-To: {address}",
        f"Received: from {record.helo} ({source})",
        f"\tby {session.services.hostname} with {protocol} id {record.id}",
        f"\tfor <{address}>; {formatdate(localtime=True)}",
    )
    return "".join([line + "\r\n" for line in lines]).encode()
