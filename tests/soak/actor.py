"""A client with wishes: it goes on until each is fulfilled, and notes what it had to bear."""

from __future__ import annotations

import itertools
import random
import smtplib
import ssl
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .truth import Truth

LOST = (OSError, EOFError, smtplib.SMTPServerDisconnected)
UNREACHABLE = (ConnectionRefusedError, FileNotFoundError)
PATIENCE = 30.0  # seconds for one answer
PAUSE = 0.02  # seconds between two attempts to connect


class Refused(Exception):
    """The server said that it cannot do that now."""


class Farewell(ConnectionError):
    """The server ended the connection, and said so."""


@dataclass
class Ledger:
    """What one client lived through. Moments are those of the monotonic clock."""

    wishes: list[tuple[float, float, str]] = field(default_factory=list)  # begin, end, what
    ends: list[tuple[float, str, str]] = field(default_factory=list)  # when, how, doing what
    wrong: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    unreachable: int = 0


class Stage:
    """What the clients of a run share: the server, the users' mail, the time."""

    def __init__(self, server: Any, password: str, think: float, tls: ssl.SSLContext) -> None:
        self.server = server
        self.password = password
        self.think = think
        self.tls = tls
        self.truths: dict[str, Truth] = {}
        self.over = threading.Event()
        self.numbers = itertools.count(1)


class Actor(threading.Thread):
    """One client. ``half`` says whether a reply had begun when the connection ended."""

    kind = ""

    def __init__(self, stage: Stage, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.stage = stage
        self.random = random.Random(name)
        self.ledger = Ledger()

    # --- what each protocol does for itself ---------------------------------------------------

    def works(self) -> list[Callable[[], None]]:
        """What the client may want now; each connects by itself where that is needed."""
        raise NotImplementedError

    def drop(self) -> None:
        """Forget the connection."""
        raise NotImplementedError

    def half(self) -> bool:
        """Whether part of a reply has come."""
        raise NotImplementedError

    # --- life ---------------------------------------------------------------------------------

    def run(self) -> None:
        while not self.stage.over.wait(self.random.expovariate(1 / self.stage.think)):
            self.wish()
        self.drop()

    def wish(self) -> None:
        """Want one thing, and after a loss anything at all, until a right answer has come."""
        begin = time.monotonic()
        work = self.random.choice(self.works())
        while not self.attempt(work):
            if self.stage.over.wait(PAUSE):
                return
            work = self.works()[0]
        self.ledger.wishes.append((begin, time.monotonic(), work.__name__))

    def attempt(self, work: Callable[[], None]) -> bool:
        """True when the answer was right."""
        try:
            work()
        except Refused as refusal:
            self.ledger.refused[str(refusal)] += 1
            return False
        except UNREACHABLE:
            self.ledger.unreachable += 1
        except TimeoutError:
            self.note("hung", work.__name__)
        except Farewell:
            self.note("farewell", work.__name__)
        except LOST as error:
            self.note("half" if self.half() else "silent", f"{work.__name__}: {error!r}")
        except Exception:
            self.ledger.wrong.append(f"{self.name}: {traceback.format_exc()}")
        else:
            return True
        self.drop()
        return False

    def note(self, how: str, work: str) -> None:
        """The connection is lost."""
        self.ledger.ends.append((time.monotonic(), how, work))
