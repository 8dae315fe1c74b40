"""A tiny line protocol that stands in the table of protocols while processes are tested.

It knows no mail. Its verbs make a session do what tests of the processes need: answer, crash,
hang, ask for TLS, become a user, write much.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from pymaild.core.errors import Disconnected, Leave, TimedOut
from pymaild.core.lines import LineReader
from pymaild.core.session import Ending, SessionRecord, Stream, User
from pymaild.net.protocols import Protocol


@dataclass(slots=True)
class EchoRecord(SessionRecord):
    """One field of its own, to see that it travels."""

    remembered: str = ""


class EchoSession:
    """Answers each line ``VERB rest`` with one line."""

    def __init__(self, record: EchoRecord, stream: Stream, services: Any) -> None:
        self.record = record
        self.stream = stream
        self.services = services
        stream.patience = None  # type: ignore[attr-defined]  # it keeps its worker
        self.reader = LineReader(stream, record.unread, bare_lf=True)
        self.ending: Ending | None = None
        self.verbs: dict[bytes, Callable[[str], str]] = {
            b"ECHO": lambda rest: rest,
            b"FACTS": lambda rest: json.dumps(asdict(record) | {"unread": ""}, default=str),
            b"PID": lambda rest: f"{os.getpid()} {os.getuid()}",
            b"REMEMBER": self.remember,
            b"LOGIN": self.login,
            b"BECOME": self.become,
            b"STARTTLS": self.starttls,
            b"CRASH": lambda rest: str(os.kill(os.getpid(), signal.SIGSEGV)),
            b"HANG": self.hang,
            b"MUCH": self.much,
            b"SWALLOW": self.swallow,
            b"NOTE": self.note,
            b"NOFILE": self.nofile,
            b"QUIT": self.quit,
        }

    def run(self) -> Ending:
        self.record.unread = b""
        try:
            if not self.record.greeted:
                self.record.greeted = True
                self.say("hello")
            self.services.board.note(self.record)
            while self.ending is None:
                self.one()
            self.stream.flush()
        except (Disconnected, TimedOut):
            return Ending.CLOSED
        except Leave as leave:
            self.say(f"bye {leave.text}")
            self.stream.flush()
            return Ending.CLOSED
        self.record.unread = self.reader.take()
        return self.ending

    def say(self, text: str) -> None:
        self.stream.write(text.encode() + b"\r\n")

    def one(self) -> None:
        verb, _, rest = self.reader.line(65536, 60.0).partition(b" ")
        self.services.board.count("commands")
        self.say(self.verbs[verb](rest.decode()))

    def remember(self, rest: str) -> str:
        self.record.remembered = rest
        return "remembered"

    def login(self, rest: str) -> str:
        self.record.user = User(name=rest)
        welcome = self.services.board.admit(self.record)
        self.services.board.note(self.record)
        return "welcome" if welcome else "too many"

    def become(self, rest: str) -> str:
        """``BECOME uid ticket``"""
        uid, ticket = rest.split()
        self.record.user = User("sys", int(uid), int(uid), "/", "/", True)
        self.record.ticket = ticket
        self.ending = Ending.USER
        return "becoming"

    def starttls(self, rest: str) -> str:
        self.ending = Ending.TLS
        return "go ahead"

    def hang(self, rest: str) -> str:
        while True:
            time.sleep(1000)

    def much(self, rest: str) -> str:
        for _ in range(int(rest) // 1024):
            self.stream.write(b"x" * 1023 + b"\n")
        return "that was much"

    def swallow(self, rest: str) -> str:
        """Read a literal of so many octets, not idle."""
        left = int(rest)
        self.say("go")
        self.stream.flush()
        while left:
            left -= len(self.reader.chunk(60.0, left))
        return "swallowed"

    def note(self, rest: str) -> str:
        """``NOTE mailbox doing``"""
        mailbox, doing = rest.split()
        self.services.board.note(self.record, doing, mailbox)
        return "noted"

    def nofile(self, rest: str) -> str:
        """Let this process open no more files."""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(rest), hard))
        return "limited"

    def quit(self, rest: str) -> str:
        self.ending = Ending.CLOSED
        return "goodbye"


ECHO = Protocol(
    record=EchoRecord,
    session=EchoSession,
    section="imap",
    state="",
    refusal=b"no %s\r\n",
    logs_in=True,
)
