"""The power fails while several deliver at once: what had its OK is there, and all there is whole.

The machine is an ext4 with its journal that is shut down without another write. Its file system
keeps the order of changes, so a message is synced once, with its name (storage/order.py).
"""

from __future__ import annotations

import os
import pickle
import random
import signal
import struct
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from pymaild.core.errors import Refused
from pymaild.core.session import User
from pymaild.index import _files
from pymaild.mail.account import Account
from pymaild.mail.delivery import deliver
from pymaild.mail.flags import SEEN, Flags
from pymaild.mail.settings import MailSettings
from tests.support.rfc import rfc

from .power import Machine, machine

_OK = struct.Struct("=II")  # number and UID of a message that is promised
SENDERS = 3

T = TypeVar("T")
Work = Callable[[Account, int], int]


@pytest.fixture
def computer(tmp_path: Path) -> Iterator[Machine]:
    with machine(tmp_path) as made:
        yield made


def account(computer: Machine) -> Account:
    return Account(User(name="u", mail=str(computer.path / "mail")), MailSettings())


def content(number: int) -> bytes:
    """Of one page or of many: those are written at different times."""
    lines = random.Random(number).choice((1, 70, 4000))
    return b"Subject: number %d\r\n\r\n" % number + b"a line of message %d\r\n" % number * lines


def send(mine: Account, number: int) -> int:
    return deliver(mine, [content(number)], None)[1]


def append(mine: Account, number: int) -> int:
    with mine.open("INBOX") as box:
        return box.commit([(box.write([content(number)]), Flags(SEEN), None)])[0]


def append_two(mine: Account, number: int) -> int:
    with mine.open("INBOX") as box:
        drafts = [box.write([content(1000 * number + part)]) for part in (1, 2)]
        return box.commit([(draft, Flags(), None) for draft in drafts])[0]


def sender(mine: Account, work: Work, first: int, told: int) -> int:
    """Send until nothing goes any more; each OK is told. Returns the process."""
    child = os.fork()
    if child == 0:
        try:
            number = first
            while True:
                os.write(told, _OK.pack(number, work(mine, number)))
                number += SENDERS
        except (Refused, OSError):
            os._exit(0)
        finally:
            os._exit(1)
    return child


def run_until(computer: Machine, work: Work, most: int) -> dict[int, int]:
    """Cut the power when ``most`` have had their OK; returns UIDs of all that had it."""
    hear, tell = os.pipe()
    children = [sender(account(computer), work, first, tell) for first in range(1, SENDERS + 1)]
    os.close(tell)
    promised = {}
    with open(hear, "rb") as pipe:
        while len(promised) < most and (heard := pipe.read(_OK.size)):
            promised.update([_OK.unpack(heard)])
        computer.cut()
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        promised.update(_OK.iter_unpack(pipe.read()))
    return promised


def elsewhere(work: Callable[[], T]) -> T:
    """Return what ``work`` does in a process of its own, which leaves nothing open."""
    hear, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with open(tell, "wb") as pipe:
                pipe.write(pickle.dumps(work()))
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    os.close(tell)
    with open(hear, "rb") as pipe:
        told = pipe.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    result: T = pickle.loads(told)
    return result


def look(computer: Machine) -> dict[bytes, int]:
    """Look as a machine that has been started again does; returns UIDs of messages, and ends
    with an empty mailbox."""
    _files._BOOT = os.urandom(16)
    with account(computer).open("INBOX") as box:
        box.refresh()
        view = box.view()
        messages = {}
        for seq in range(1, len(view) + 1):
            source = box.message(view, seq).section((), "")
            assert source is not None
            octets = b"".join(source.pieces())
            assert octets not in messages
            messages[octets] = view.uid(seq)
        box.expunge(messages.values())
        return messages


def parts(work: Work, number: int) -> list[bytes]:
    """The messages that one piece of work brings."""
    numbers = (1000 * number + 1, 1000 * number + 2) if work is append_two else (number,)
    return [content(one) for one in numbers]


@rfc("2033", "4.2", 3)
@pytest.mark.parametrize("work", [send, append, append_two], ids=lambda work: work.__name__)
def test_what_had_its_ok_is_there(computer: Machine, work: Work) -> None:
    """RFC 2033 §4.2, with the power cut at different moments."""
    elsewhere(account(computer).prepare)
    highest = 0
    for most in (1, 2, 3, 9, 30):
        promised = run_until(computer, work, most)
        computer.off()
        assert computer.on()
        there = elsewhere(lambda: look(computer))
        for number, uid in promised.items():
            uids = [there.get(octets) for octets in parts(work, number)]
            assert uids == list(range(uid, uid + len(uids)))
        sent = range(1, max(promised) + 2 * SENDERS)
        whole = {octets for number in sent for octets in parts(work, number)}
        assert there.keys() <= whole, "a message that is not whole"
        assert min(there.values()) > highest, "a UID that was used before"
        highest = max(there.values())
