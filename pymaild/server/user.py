"""A process that has become a system user, for good, to run one session."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import suppress

from pymaild.core.session import SessionRecord
from pymaild.server import identity
from pymaild.server.failures import CannotStart
from pymaild.server.place import Place
from pymaild.server.sessions import Sessions, decode_record

log = logging.getLogger("pymaild.server")


def run(place: Place) -> int:
    """Become the user of the session in the parcel, run it, and leave."""
    parcel = place.parcel
    if parcel is None:
        raise CannotStart("no session was handed over")
    record = decode_record(parcel.record)
    _become(record)
    place.supervisor.ready()
    with socket.socket(fileno=parcel.fd) as sock:
        sessions = Sessions(place)
        sessions.run(sock, record)
        sessions.over()
        sessions.sock.close()
    return 0


def _become(record: SessionRecord) -> None:
    """Give up root. Raises CannotStart for root itself and for a foreign private instance."""
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
