"""A private instance of the server."""

from __future__ import annotations

from contextlib import contextmanager


class Instance: ...


@contextmanager
def instance(users):
    yield Instance()
