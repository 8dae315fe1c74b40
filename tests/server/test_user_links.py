"""A process that has become a system user is believed in what is that user's alone."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from pymaild.core.session import Cause, User, Wait
from pymaild.imap.record import ImapRecord
from pymaild.imap.states import State
from pymaild.server import errands, parcels
from tests.support.instance import Instance, instance

SLOT = 60  # of no process
OWN, OTHER = "0123456789ab", "ba9876543210"


@pytest.fixture
def server() -> Iterator[Instance]:
    with instance({"alice": "secret", "bob": "hidden"}) as made:
        made.start()
        yield made


def link(server: Instance, only: str = OWN, slot: int = SLOT) -> socket.socket:
    """A connection to the keeper, as such a process makes it before it gives up its rights."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(20)
    sock.connect(str(server.base / "run" / "keeper"))
    hello = {"slot": slot, "meeting": 0, "session": "", "fresh": True, "only": only}
    sock.send(errands.HELLO + json.dumps(hello).encode())
    assert sock.recv(100) == errands.WELCOME
    return sock


def parked(server: Instance, session: str) -> bytes:
    """What parks a session of bob, who has something to do."""
    user = User("bob", mail=str(server.maildir("bob")))
    record = ImapRecord(protocol="imap", id=session, user=user, greeted=True)
    record.state, record.started = State.AUTHENTICATED, time.time()
    record.wait = Wait(cause=Cause.CLIENT)
    parcel, _ = parcels.wrap(record)
    return parcel.message(errands.PARK)


@pytest.mark.parametrize(
    "message",
    [
        errands.NEXT,
        errands.OVER + errands.key_of(OTHER),
        errands.HOLD + errands.key_of(OTHER),
        errands.HOLD + errands.key_of(OWN) + errands.key_of(OTHER),
        errands.MOVE + errands.key_of(OWN) + b"{}",
        errands.HELLO + b'{"slot": 1, "meeting": 0, "session": "", "fresh": true, "only": ""}',
    ],
)
def test_it_may_speak_of_its_session_alone(server: Instance, message: bytes) -> None:
    with link(server) as sock:
        sock.send(message)
        assert sock.recv(100) == b""


def test_it_may_park_no_other(server: Instance) -> None:
    with link(server) as sock:
        sock.send(parked(server, OTHER))
        assert sock.recv(100) == b""


@pytest.mark.parametrize("only", ["", OWN])
def test_nobody_goes_on_with_its_session_as_another_user(server: Instance, only: str) -> None:
    """A worker's word is taken for it; so the same would be done for one of its sessions."""
    ours, theirs = socket.socketpair()
    with link(server, only) as sock, closing(ours):
        ours.settimeout(20)
        ours.send(b"a NOOP\r\n")
        errands.send(sock, errands.HOLD + errands.key_of(OWN), [theirs.fileno()])
        theirs.close()
        sock.send(parked(server, OWN))
        told = ours.recv(1000)
    assert told.startswith(b"a OK") if not only else told == b""
    assert ("says it is another's" in server.log()) == bool(only)
