"""Turning what the file system or a damaged index raises into its reply, in one place."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from pymaild.core.errors import from_oserror
from pymaild.index import Unusable

P = ParamSpec("P")
R = TypeVar("R")


def refusing(method: Callable[P, R]) -> Callable[P, R]:
    """Turn an OSError into its reply."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except OSError as error:
            raise from_oserror(error) from error

    return call


def guarded(method: Callable[P, R]) -> Callable[P, R]:
    """Turn an OSError into its reply; after damage, repair the mailbox and try once more."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except OSError as error:
            raise from_oserror(error) from error
        except Unusable:
            mailbox: Any = args[0]
            mailbox.rebuild()
        return method(*args, **kwargs)

    return call
