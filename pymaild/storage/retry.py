"""Trying again what fails for a moment: a full disk, descriptors or memory that have run out.

The one place that says what is worth it, and how long. A process that has waited in vain does
not wait again for a while: a command that meets a full disk at a hundred files must not take a
hundred times as long. What is synced is never synced again, for its octets may be lost.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from pymaild.core.errors import Code, Refused

P = ParamSpec("P")
R = TypeVar("R")

#: What others can end: they close files, free memory, delete mail. EINTR never comes so far.
PASSING = frozenset((errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN))

_PASSING_CODES = frozenset((Code.INUSE, Code.UNAVAILABLE, Code.OVERQUOTA))

FIRST_WAIT = 0.01  # seconds
LONGEST_WAIT = 0.5
IN_VAIN = 30.0  # seconds without another try, once all of them have failed

_patience = 0.0
_vain = -IN_VAIN


def be_patient(seconds: float) -> None:
    """Try for so long in this process; as it starts, it does not try again at all."""
    global _patience, _vain
    _patience, _vain = seconds, -IN_VAIN


def passes(refused: Refused) -> bool:
    """Say whether the same may be possible in a moment."""
    return refused.code in _PASSING_CODES


def delays(seconds: float) -> Iterator[float]:
    """Yield the seconds to wait before each other try: more and more, ``seconds`` in all."""
    deadline, wait = time.monotonic() + seconds, FIRST_WAIT
    while (left := deadline - time.monotonic()) > 0:
        yield min(wait, left)
        wait = min(wait * 2, LONGEST_WAIT)


def patiently(call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call what changes nothing when it fails, until it does not. Raises its last OSError."""
    try:
        return call(*args, **kwargs)
    except OSError as error:
        if error.errno not in PASSING or time.monotonic() - _vain < IN_VAIN:
            raise
    return _again(call, *args, **kwargs)


def _again(call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    global _vain
    for delay in delays(_patience):
        time.sleep(delay)
        try:
            return call(*args, **kwargs)
        except OSError as error:
            if error.errno not in PASSING:
                raise
    _vain = time.monotonic()
    return call(*args, **kwargs)
