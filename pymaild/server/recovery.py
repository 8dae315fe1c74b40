"""From what a dead process has left in its journal to a session that goes on elsewhere."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

from pymaild.core.session import SessionRecord
from pymaild.net import _journal
from pymaild.net._journal import Remains

log = logging.getLogger("pymaild.server")

MOST_DEATHS = 3  # the command was tried twice, then refused: nobody can go on with that


@dataclass(frozen=True, slots=True)
class Recovered:
    """A session whose process died. ``session`` is its id; ``record`` is for whoever goes on.

    ``ended`` says for the log why nobody can, "" where somebody can: the connection has to be
    closed, for its client is in the middle of what nobody can continue.
    """

    session: str
    record: bytes
    ended: str = ""


def recover(fd: int, slot: int) -> Recovered | None:
    """Return the session of a slice whose process is dead, None where it had none.

    ``fd`` is the journal's memory. The slice stays as it is until :func:`release`: who dies
    here can be followed by another who does the same.
    """
    try:
        remains = _journal.remains(fd, slot)
        if remains is None:
            return None
        ended = _ended(remains)
        return Recovered(remains.session, b"" if ended else _record(remains), ended)
    except (ValueError, RecursionError) as error:  # the process may have been anybody's
        log.error("slot %d: no session can be read from its journal: %s", slot, error)
        return None


def release(fd: int, slot: int) -> None:
    """Forget the session of a slice; its memory goes back to the system."""
    _journal.release(fd, slot)


def _deaths(remains: Remains) -> int:
    """How many processes died of the command under way: those that only waited did not."""
    return remains.again + remains.running


def _ended(remains: Remains) -> str:
    reasons = {
        "a part of a reply was sent": remains.begun,
        "its record was too large": not remains.record,
        "its input was too large": remains.lost is None,
        "it ended several processes": _deaths(remains) >= MOST_DEATHS,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _record(remains: Remains) -> bytes:
    fields: dict[str, Any] = {
        "unread": remains.unread,
        "outbox": remains.outbox,
        "asked": remains.asked,
        "head": remains.head,
        "intents": [json.loads(intent) for intent in remains.intents],
        "again": _deaths(remains),
        "lost": remains.lost,
    }
    return SessionRecord.amend(remains.record, **fields)
