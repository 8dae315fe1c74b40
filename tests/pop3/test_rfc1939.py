"""What RFC 1939 asks of a server and no other test of sessions shows."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pymaild.core.config_file import BadConfig, parse_config
from pymaild.core.errors import Refused
from pymaild.mail.mailbox import Mailbox
from pymaild.net.stream import SocketStream
from pymaild.pop3.session import Pop3Session
from pymaild.pop3.settings import Pop3Settings
from pymaild.storage import atomic
from pymaild.storage.locks import Maildrop
from tests.pop3.conftest import MESSAGES, login
from tests.support import stores
from tests.support.rfc import rfc
from tests.support.sessions import Bench, Supervisor

# -- autologout ---------------------------------------------------------------------------


class Wishing(SocketStream):
    """Its client sends the next of ``commands`` when the server waits, and never before.

    ``waits`` are the times in seconds that the server would have waited for each.
    """

    def __init__(self, server: socket.socket, client: socket.socket, commands: list[bytes]) -> None:
        self.supervisor = Supervisor()
        super().__init__(server, self.supervisor)
        self.waits: list[float] = []
        self._client, self._commands = client, commands

    def read(self, timeout: float, idle: bool = True, parks: bool = False) -> bytes:
        self.waits.append(timeout)
        self._client.sendall(self._commands.pop(0))
        return super().read(timeout, idle)


@rfc("1939", "3", 6)
def test_every_command_starts_the_time_of_autologout_anew(pop3: Bench) -> None:
    """A day is more than the test takes; less than all of it would be what has been left."""
    day = 86400.0
    pop3.configure(idle_timeout=day, login_timeout=60.0)
    commands = [b"USER alice\r\n", b"PASS secret\r\n", b"NOOP\r\n", b"LAST\r\n", b"QUIT\r\n"]
    server, client = socket.socketpair()
    stream = Wishing(server, client, commands)
    try:
        Pop3Session(pop3.record(), stream, pop3.services()).run()
    finally:
        stream.supervisor.close()
        server.close()
        client.close()
    assert all(wait <= 60.0 for wait in stream.waits[:2])
    assert [round(wait) for wait in stream.waits[2:]] == [day, day, day]


@dataclass(frozen=True, slots=True)
class File:
    """A configuration with one section."""

    pop3: Pop3Settings


def idle_timeout(text: str) -> float:
    """What a file with this setting sets."""
    values = parse_config(f'[pop3]\nidle_timeout = "{text}"\n', "pymaild.toml", File)
    return File(**values).pop3.idle_timeout


@rfc("1939", "3", 5)
def test_autologout_cannot_be_set_to_less_than_ten_minutes() -> None:
    assert Pop3Settings().idle_timeout >= 600
    assert idle_timeout("10m") == 600
    with pytest.raises(BadConfig, match="idle_timeout"):
        idle_timeout("599s")


# -- the lock -----------------------------------------------------------------------------


@pytest.fixture
def observed() -> Iterator[None]:
    yield
    atomic.observer = None


def is_free(lock: Path) -> bool:
    """Whether another session could have the maildrop now."""
    try:
        Maildrop(str(lock)).release()
    except Refused:
        return False
    return True


@rfc("1939", "4", 4)
@pytest.mark.usefixtures("observed")
def test_the_lock_is_let_go_before_the_login_is_refused(
    pop3: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message comes just before the lock is taken, and the disk fails just behind it."""
    lock = stores.directory(pop3.folder / "mail/alice/Maildir") / "pymaild.pop3.lock"
    was_free: list[bool] = []
    take = Mailbox.lock_maildrop

    def late(mailbox: Mailbox, held: int = -1) -> Maildrop:
        atomic.observer = None
        pop3.put("alice", MESSAGES[0])
        atomic.observer = observe
        return take(mailbox, held)

    def observe(step: str, path: str) -> None:
        was_free.append(is_free(lock))
        raise OSError(errno.EIO, "the disk fails", path)

    monkeypatch.setattr(Mailbox, "lock_maildrop", late)
    session = pop3.start()
    session.line()
    session.ask(b"USER alice")
    assert session.ask(b"PASS secret").startswith(b"-ERR [SYS/TEMP]")
    assert was_free == [False]
    assert is_free(lock)


# -- unique-ids ---------------------------------------------------------------------------

LISTED = re.compile(rb"([1-9][0-9]*) ([\x21-\x7e]{1,70})")


def unique_ids(bench: Bench) -> dict[int, bytes]:
    """Number and unique-id of each message, in a session that breaks off."""
    session = login(bench)
    assert session.ask(b"UIDL").startswith(b"+OK")
    found = {}
    for line in session.listing():
        match = LISTED.fullmatch(line)
        assert match
        assert session.ask(b"UIDL " + match[1]) == b"+OK " + line
        found[int(match[1])] = match[2]
    session.close()
    return found


@rfc("1939", "7", 3)
@pytest.mark.parametrize("text", ["%08Xu%08Xv", "%u", "%f", "%Mf"])
def test_unique_ids_are_listed_in_one_form(pop3: Bench, text: str) -> None:
    pop3.configure(uidl_format=text)
    pop3.put("alice", *MESSAGES)
    assert list(unique_ids(pop3)) == [1, 2, 3]


@rfc("1939", "7", 5)
@pytest.mark.parametrize("text", ["%08Xu%08Xv", "%v-%u", "%f"])
def test_a_unique_id_is_not_used_again(pop3: Bench, text: str) -> None:
    """Not even when the maildrop has been emptied and the same message comes once more."""
    pop3.configure(uidl_format=text)
    seen: set[bytes] = set()
    for _ in range(3):
        pop3.put("alice", MESSAGES[0])
        found = set(unique_ids(pop3).values())
        assert len(found) == 1
        assert not found & seen
        seen |= found
        session = login(pop3)
        session.ask(b"DELE 1")
        assert session.ask(b"QUIT") == b"+OK Bye, 1 messages deleted"
        session.wait()
