"""A POP3 client: it fetches mail, deletes some of it, and sometimes says QUIT."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

from .actor import PATIENCE, Actor, Refused, Stage
from .imap import number_of
from .truth import Truth

EXCUSES = re.compile(rb"-ERR \[(IN-USE|SYS/TEMP|LOGIN-DELAY|SYS/PERM)\]")


class Pop:
    """One connection."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, PATIENCE)
        self.file = self.socket.makefile("rb")
        self.got = 0

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def line(self) -> bytes:
        line = self.file.readline()
        self.got += len(line)
        if not line.endswith(b"\n"):
            raise EOFError
        assert line.endswith(b"\r\n"), line
        return line[:-2]

    def answer(self) -> bytes:
        """A first line that says +OK."""
        line = self.line()
        if excuse := EXCUSES.match(line):
            raise Refused(excuse[1].decode())
        assert line.startswith(b"+OK"), line
        return line

    def ask(self, command: str) -> bytes:
        self.got = 0
        self.socket.sendall(command.encode() + b"\r\n")
        return self.answer()

    def listing(self, command: str) -> list[bytes]:
        """The lines behind +OK."""
        self.ask(command)
        lines = []
        while (line := self.line()) != b".":
            lines.append(line.removeprefix(b"."))
        return lines


class PopActor(Actor):
    """``names``: the unique-id of each message it has seen, and the message's number."""

    kind = "pop3"

    def __init__(self, stage: Stage, user: str) -> None:
        super().__init__(stage, f"pop3 {user}")
        self.user = user
        self.truth = stage.truths.setdefault(user, Truth(user))
        self.client: Pop | None = None
        self.names: dict[str, int] = {}
        self.drop_(None)

    def drop_(self, client: Pop | None) -> None:
        self.client = client
        self.listed: dict[int, str] = {}
        self.marked: set[int] = set()

    def works(self) -> list[Callable[[], None]]:
        return [self.noop, self.retr, self.retr, self.uidl, self.dele, self.dele, self.quit]

    def drop(self) -> None:
        if self.client is not None:
            self.client.close()
        self.drop_(None)

    def half(self) -> bool:
        return self.client is not None and self.client.got > 0

    def session(self) -> Pop:
        if self.client is None:
            self.drop_(Pop(self.stage.server.pop3))
            assert self.client is not None
            try:
                self.client.answer()
                self.client.ask(f"USER {self.user}")
                self.client.ask(f"PASS {self.stage.password}")
                self.listed = self.listing()
            except Refused:
                self.drop()
                raise
        return self.client

    def listing(self) -> dict[int, str]:
        """Message numbers and unique-ids as UIDL tells them."""
        assert self.client is not None
        pairs = (line.split() for line in self.client.listing("UIDL"))
        return {int(place): name.decode() for place, name in pairs}

    def left(self) -> list[int]:
        return [place for place in self.listed if place not in self.marked]

    def noop(self) -> None:
        self.session().ask("NOOP")

    def uidl(self) -> None:
        """The same as at the beginning, without what is marked (RFC 1939 §7)."""
        self.session()
        assert self.listing() == {place: self.listed[place] for place in self.left()}

    def retr(self) -> None:
        session = self.session()
        if left := self.left():
            place = self.random.choice(left)
            lines = session.listing(f"RETR {place}")
            assert lines[-1].endswith(b"no more."), "a message is cut off"
            number = number_of(b"\r\n".join(lines))
            assert self.names.setdefault(self.listed[place], number) == number

    def dele(self) -> None:
        session = self.session()
        left = [place for place in self.left() if self.listed[place] in self.names]
        if left:
            place = self.random.choice(left)
            session.ask(f"DELE {place}")
            self.marked.add(place)

    def quit(self) -> None:
        """Now, and not before, the marked messages go."""
        session = self.session()
        numbers = {self.names[self.listed[place]] for place in self.marked}
        self.truth.somewhere -= numbers
        try:
            session.ask("QUIT")
        finally:
            self.marked = set()  # where it was refused, some may be gone and some not
        self.truth.removed |= numbers
        self.drop()
