"""One session of POP3 or LMTP by itself: real account, real auth role, real stream, no server."""

from __future__ import annotations

import itertools
import math
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pymaild.auth.client import AuthClient
from pymaild.auth.server import serve
from pymaild.auth.settings import AuthSettings
from pymaild.core.quirks import Quirks
from pymaild.core.session import Ending, SessionRecord, TlsFacts, User, Wait
from pymaild.core.settings import Duration
from pymaild.mail.account import Account
from pymaild.mail.grants import Grants
from pymaild.mail.services import Services
from pymaild.mail.settings import MailSettings
from pymaild.mail.sharing import SharingAccount
from pymaild.net import _journal
from pymaild.net.stream import SocketStream
from pymaild.storage import _watch
from tests.support import stores

SLOTS = 64  # sessions at a time

HOSTNAME = "mail.example.org"


class Supervisor:
    """Tells a session to leave when a test says so."""

    def __init__(self) -> None:
        self.leaving = ""
        self.urgent = False
        self.patience = math.inf  # seconds of silence after which the session is parked
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        return self._event

    def rest(self) -> None:
        pass

    def attend(self) -> None:
        os.eventfd_read(self._event)

    def beat(self) -> None:
        pass

    def leave(self, text: str) -> None:
        self.leaving = text
        self.stir()

    def stir(self) -> None:
        os.eventfd_write(self._event, 1)

    def close(self) -> None:
        os.close(self._event)


class Board:
    """Remembers what sessions tell it."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.notes: list[tuple[str, str]] = []
        self.incidents: list[bytes] = []
        self.admits = True

    def note(self, record: SessionRecord, doing: str = "", mailbox: str = "") -> None:
        self.notes.append((record.state, mailbox))

    def admit(self, record: SessionRecord) -> bool:
        return self.admits

    def beat(self) -> None:
        pass

    def incident(self, record: SessionRecord, data: bytes) -> None:
        self.incidents.append(data)

    def count(self, counter: str, amount: int = 1) -> None:
        self.counts[counter] += amount


class Watching:
    """What the server is to sessions that are to wait, but for the keeper."""

    def __init__(self) -> None:
        self.fd = _watch.open_watches()

    def watch(self, paths: Iterable[str], wait: Wait) -> None:
        found = (_watch.set_watch(self.fd, os.fsencode(path)) for path in paths)
        wait.watches = sorted({*wait.watches, *(watch for watch in found if watch >= 0)})
        wait.looked = time.monotonic()

    def stirred(self, wait: Wait) -> bool:
        """Whether there is news for who waits; takes note of all news."""
        events = _watch.read_events(self.fd)
        assert events is not None
        return bool(set(wait.watches) & (events[0] | events[1]))

    def close(self) -> None:
        os.close(self.fd)


class Auth:
    """The auth role in a thread, with a file of users who all have the password "secret"."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.path = str(folder / "auth.sock")
        self.users = folder / "users"
        self.users.write_text("")
        self.settings = AuthSettings(
            passwd_file=str(self.users),
            mail_path=str(folder / "mail" / "{user}" / "Maildir"),
            **stores.settings(folder / "mail"),
            **{"allow_plaintext": True, "failure_delay": 0.0, **settings},
        )
        self._stop_read, self._stop_write = os.pipe()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        serve(self._listener, self.settings, b"k" * 32, self._stop_read)

    def add(self, *names: str) -> None:
        with self.users.open("a") as file:
            file.writelines(f"{name}:{{PLAIN}}secret\n" for name in names)

    def client(self) -> AuthClient:
        return AuthClient(self.path, self.settings)

    def close(self) -> None:
        os.close(self._stop_write)
        self._thread.join()
        self._listener.close()
        os.close(self._stop_read)


class Running:
    """A session in a thread, and the client's end of its connection."""

    def __init__(self, session: Any, server_end: socket.socket, client: socket.socket) -> None:
        self.session = session
        self.record = session.record
        self.client = client
        self.client.settimeout(30)
        self.left: Callable[[], _journal.Remains | None]  # what the keeper would find
        self.supervisor: Supervisor
        self.ending: Ending | None = None
        self.error: BaseException | None = None
        self._server_end = server_end
        self._file = client.makefile("rb")
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.ending = self.session.run()
        except BaseException as error:
            self.error = error
        finally:
            if self.ending in (None, Ending.CLOSED):
                self._server_end.shutdown(socket.SHUT_RDWR)

    def send(self, data: bytes) -> None:
        self.client.sendall(data)

    def line(self) -> bytes:
        """The next line without its CRLF; b"" at the end."""
        line = self._file.readline()
        assert line == b"" or line.endswith(b"\r\n")
        return line[:-2]

    def lines(self, count: int) -> list[bytes]:
        return [self.line() for _ in range(count)]

    def ask(self, command: bytes) -> bytes:
        """Send one command and return the first line of its reply."""
        self.send(command + b"\r\n")
        return self.line()

    def listing(self) -> list[bytes]:
        """The lines of a multi-line POP3 response as they were sent, without the last dot."""
        lines = []
        while (line := self.line()) != b".":
            assert line != b"" or not self.at_end()
            lines.append(line)
        return lines

    def at_end(self) -> bool:
        return self._file.peek(1) == b""

    def rest(self) -> bytes:
        """All that comes until the server closes the connection."""
        return self._file.read()

    def wait(self) -> Ending | None:
        """Wait for the session's own end; what it raised is raised here."""
        self._thread.join(30)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error
        return self.ending

    def close(self) -> None:
        self._file.close()
        with suppress(OSError):  # the session may have closed first, or a library the client's end
            self.client.shutdown(socket.SHUT_RDWR)
        self.client.close()
        self._thread.join(30)
        self._server_end.close()
        assert not self._thread.is_alive()


class Bench:
    """What sessions need around them. ``protocol``: a pair of record and session type.

    ``auth`` are settings of the auth role that a test wants otherwise.
    """

    def __init__(self, folder: Path, protocol: tuple[Any, Any], settings: Any, **auth: Any) -> None:
        self.folder = folder
        self.board = Board()
        self.mail = MailSettings(fsync=False, retry_timeout=Duration(0.05))
        self.settings = settings
        self.quirks = Quirks()
        self.auth = Auth(folder, **auth)
        self.spool = folder / "spool"
        self.spool.mkdir()
        self.grants = Grants(str(folder / "grants"))
        self.open_account: Callable[[User], Account] = self.sharing
        self.journal = _journal.make(SLOTS)
        self.watching = Watching()
        self._slots = itertools.count()
        self._record_type, self._session_type = protocol
        self._open: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.forget()
        self.auth.close()
        self.watching.close()
        os.close(self.journal)

    def configure(self, **changes: Any) -> None:
        """Change settings of the protocol for the sessions to come."""
        self.settings = replace(self.settings, **changes)

    def switch(self, **changes: bool) -> None:
        """Change quirks for the sessions to come."""
        self.quirks = replace(self.quirks, **changes)

    def forget(self) -> None:
        """Close the connections that there have been, and forget what they told."""
        while self._open:
            self._open.pop()()
        self.board.notes.clear()

    def user(self, name: str) -> User:
        mail = self.folder / "mail" / name / "Maildir"
        mail.parent.mkdir(parents=True, exist_ok=True)
        ids = os.getuid(), os.getgid()
        return User(name, *ids, "", str(mail), inbox=stores.inbox(mail))

    def sharing(self, user: User) -> SharingAccount:
        """An account as its user has it, with what others opened to it."""
        return SharingAccount(user, self.mail, self._lookup, self.grants)

    def _lookup(self, name: str) -> User | None:
        client = self.auth.client()
        try:
            return client.lookup(name)
        finally:
            client.close()

    def account(self, name: str) -> Account:
        account = Account(self.user(name), self.mail)
        account.prepare()
        return account

    def add_user(self, *names: str) -> None:
        self.auth.add(*names)
        for name in names:
            self.account(name)

    def put(self, name: str, *messages: bytes, folder: str = "INBOX") -> list[int]:
        """Deliver messages; returns their UIDs."""
        from pymaild.mail.delivery import deliver

        account = self.account(name)
        return [deliver(account, [message], folder)[1] for message in messages]

    def services(self) -> Services[Any]:
        client = self.auth.client()
        self._open.append(client.close)
        return Services(
            settings=self.settings,
            mail=self.mail,
            auth=client,
            board=self.board,
            open_account=self.open_account,
            hostname=HOSTNAME,
            spool=str(self.spool),
            parking=self.watching,
            quirks=self.quirks,
        )

    def record(self, **fields: Any) -> Any:
        return self._record_type(**{"id": "test-1", **fields})

    def parked(self, running: Running, **changes: Any) -> Any:
        """Let a session be parked; returns its record as the next process gets it.

        ``changes`` are those of its wait.
        """
        running.supervisor.patience = 0.0
        running.supervisor.stir()
        assert running.wait() is Ending.PARK
        wait, running.record.wait = running.record.wait, None
        record = self._record_type.decode(running.record.encode())
        record.wait = replace(wait, **changes)
        return record

    def start(self, record: Any = None, tls: bool = False) -> Running:
        """Run a session, new or from a record, until it ends by itself or with the test."""
        record = self.record() if record is None else record
        record.tls = TlsFacts("TLSv1.3") if tls else record.tls
        server_end, client = socket.socketpair()
        supervisor = Supervisor()
        slot = next(self._slots) % SLOTS
        journal = _journal.Journal(self.journal, slot)
        stream = SocketStream(server_end, supervisor, 10.0, journal)
        stream.patience = lambda silence: supervisor.patience
        stream.begin(record)
        running = Running(self._session_type(record, stream, self.services()), server_end, client)
        running.supervisor = supervisor
        running.left = partial(_journal.remains, self.journal, slot)
        self._open += [supervisor.close, running.close]
        return running


@contextmanager
def bench(folder: Path, protocol: tuple[Any, Any], settings: Any) -> Iterator[Bench]:
    """A bench for the time of one test."""
    with Bench(folder, protocol, settings) as made:
        yield made
