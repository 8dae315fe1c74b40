"""The states of a connection (RFC 3501 §3, RFC 9051 §3)."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """What ``ImapRecord.state`` says; the command table names the states of each command."""

    NOT_AUTHENTICATED = "not-authenticated"
    AUTHENTICATED = "authenticated"
    SELECTED = "selected"
    LOGOUT = "logout"


NONAUTH = frozenset({State.NOT_AUTHENTICATED})
AUTH = frozenset({State.AUTHENTICATED, State.SELECTED})
SELECT = frozenset({State.SELECTED})
ANY = NONAUTH | AUTH
