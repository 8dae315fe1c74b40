"""Turning what the file system or a damaged index raises into its reply, in one place."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from pymaild.core.errors import Code, Refused, from_oserror
from pymaild.index import Busy, Unusable

P = ParamSpec("P")
R = TypeVar("R")


def guarded(method: Callable[P, R]) -> Callable[P, R]:
    """Turn what the file system or a damaged index raises into its reply."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except OSError as error:
            raise from_oserror(error) from error
        except Unusable:
            mailbox: Any = args[0]
            mailbox.repair()
            return _again(method, *args, **kwargs)
        except Busy as error:
            raise Refused(Code.INUSE, "The mailbox is in use, try again later") from error

    return call


def _again(method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call once more after a repair; a view that still shows the damage is the caller's."""
    try:
        return method(*args, **kwargs)
    except Unusable as error:
        text = "The mailbox was damaged and has been repaired, try again"
        raise Refused(Code.UNAVAILABLE, text, str(error)) from error
