"""A process that has become a system user, for good, to run one session."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import suppress

from pymaild.core.session import Ending, SessionRecord
from pymaild.server import identity
from pymaild.server.failures import CannotStart
from pymaild.server.keeping import Keeping
from pymaild.server.place import Place
from pymaild.server.sessions import Sessions, decode_record

log = logging.getLogger("pymaild.server")


def run(place: Place) -> int:
    """Become the user of the session in the parcel, run it, and leave."""
    parcel = place.parcel
    if parcel is None:
        raise CannotStart("no session was handed over")
    record = decode_record(parcel.record)
    record.passport = parcel.passport
    keeping = Keeping(place, only=record.id)
    keeping.meet()  # only the mail user may, and root
    become(record)
    place.supervisor.ready()
    sock = socket.socket(fileno=parcel.fd)
    if record.passport:
        keeping.hold(record.id, sock)
    sessions = Sessions(place, keeping)
    _serve(sessions, keeping, sock, record)
    keeping.settle()
    while keeping.returned and (session := keeping.next()) is not None:
        record = decode_record(session.record)
        record.wait = session.wait
        _serve(sessions, keeping, session.sock, record)
    return 0


def _serve(
    sessions: Sessions, keeping: Keeping, sock: socket.socket, record: SessionRecord
) -> None:
    ending = sessions.run(sock, record)
    if ending is Ending.PARK:
        sessions.board.end()  # before it is counted where it waits
        keeping.park(sessions.sock, record)
        sessions.over()
        return
    sessions.over()
    with suppress(OSError):  # the keeper has the connection as well: closing ends nothing
        sessions.sock.shutdown(socket.SHUT_RDWR)
    sessions.sock.close()
    keeping.over()


def become(record: SessionRecord) -> None:
    """Turn into the user of a session, for good.

    Raises CannotStart for root itself and for a foreign private instance.
    """
    user = record.user
    if user is None:
        raise CannotStart("the session has no user")
    if identity.may_become():
        try:
            identity.become(identity.of_system_user(user))
        except ValueError as error:
            raise CannotStart(str(error)) from None
    elif user.uid != os.getuid():
        raise CannotStart(f"a private instance cannot become user {user.name}")
    with suppress(OSError):  # a home that is not there is no reason to refuse mail that is
        os.chdir(user.home or "/")
