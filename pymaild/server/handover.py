"""What the master asks of a session before it makes a process for its user."""

from __future__ import annotations

from pymaild.auth import ticket
from pymaild.server.channel import Message
from pymaild.server.place import Parcel
from pymaild.server.sessions import decode_record

__all__ = ["Parcel", "examined"]


def examined(message: Message, fds: list[int], key: bytes) -> Parcel:
    """Return the session in a worker's message, if the auth role vouches for its user.

    A worker is not believed: the ticket must be the auth role's, for this very user and
    purpose (one for a delivery opens no mailbox to a client), and the user must not be root. A
    session that had such a process before, and was parked, has a passport of the master's.
    Raises ValueError.
    """
    data = str(message.get("record", "")).encode()
    record = decode_record(data)
    user = record.user
    if len(fds) != 1:
        raise ValueError("no descriptor came with it")
    if user is None or user.uid <= 0 or user.gid <= 0:
        raise ValueError("it is not that of a system user")
    lmtp = record.protocol == "lmtp"
    purpose: ticket.Purpose = "delivery" if lmtp else "session" if record.passport else "login"
    if not ticket.verify(key, record.passport or record.ticket, user, purpose=purpose):
        raise ValueError(f"no valid ticket for user {user.name!r}")
    passport = "" if lmtp else ticket.issue(key, user, purpose="session")
    return Parcel(fds[0], data, passport, user.uid)
