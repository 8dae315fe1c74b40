"""What a session is given to work with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from pymaild.core.quirks import Quirks
from pymaild.core.session import Board, SessionRecord, Stream, User, Wait

if TYPE_CHECKING:
    from pymaild.auth.client import AuthClient
    from pymaild.mail.account import Account
    from pymaild.mail.settings import MailSettings

Settings = TypeVar("Settings")


class Parking(Protocol):
    """What sessions that are to wait without a process need of the server."""

    def watch(self, paths: Iterable[str], wait: Wait) -> None:
        """Let ``wait`` end when files come or go in these directories.

        Sets ``watches`` and ``looked``, or ``poll`` where the kernel has no more watches. The
        caller looks once more, for what happened before.
        """


@dataclass(frozen=True, slots=True)
class Services(Generic[Settings]):
    """The neighbours of one session; ``settings`` is its protocol's own section.

    ``deflate`` puts a hop before the session's stream that inflates what the client sends, and
    first of all the octets it is given, and deflates what it is sent. Raises Disconnected. It is
    None where there is no such hop.
    """

    settings: Settings
    mail: MailSettings
    auth: AuthClient
    board: Board
    open_account: Callable[[User], Account]
    hostname: str
    spool: str
    become: Callable[[SessionRecord], Stream] | None = None  # runs a session as its system user
    deflate: Callable[[bytes], None] | None = None
    parking: Parking | None = None  # where sessions can be parked
    quirks: Quirks = field(default_factory=Quirks)
    starttls: bool = True  # a tls role stands by: STARTTLS and STLS may be offered
