"""How soon an idling client is told: milliseconds from the act to the line on its socket."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from statistics import median
from typing import Any

from tests.support import maildir

from .mail import PASSWORD, message
from .raw import ImapRaw, LmtpRaw

AIM = 50.0  # milliseconds


class Others:
    """What others do to carol's INBOX; at least one message is there."""

    def __init__(self, server: Any) -> None:
        self.folder = server.maildir("carol")
        self.imap = ImapRaw(server.imap, "carol", PASSWORD)
        self.lmtp = LmtpRaw(server.lmtp)
        self.lmtp.deliver(b"carol", message(2000))
        self.imap.ask(b"SELECT INBOX")
        self.imap.ask(b"STORE 1 FLAGS.SILENT ()")
        self._signs = itertools.cycle(b"+-")  # the first STORE must change something

    def close(self) -> None:
        """End the connections."""
        self.imap.close()
        self.lmtp.close()

    def append(self) -> None:
        """APPEND of another session."""
        self.imap.append(b"INBOX", message(2000))

    def store(self) -> None:
        """STORE of another session; the flag is there or not in turn."""
        self.imap.ask(b"STORE 1 %cFLAGS.SILENT (\\Answered)" % next(self._signs))

    def deliver(self) -> None:
        """A delivery over LMTP."""
        self.lmtp.deliver(b"carol", message(2000))

    def drop(self) -> None:
        """A file in new."""
        maildir.drop(self.folder, message(2000))

    def rename(self) -> None:
        """Another flag in a file's name."""
        path = next(path for path in maildir.files(self.folder) if path.parent.name == "cur")
        maildir.reflag(path, "" if "F" in maildir.letters(path) else "F")


ACTS: dict[str, Callable[[Others], None]] = {
    "append": Others.append,
    "store": Others.store,
    "lmtp": Others.deliver,
    "file in new": Others.drop,
    "rename in cur": Others.rename,
}


def latency(server: Any, act: Callable[[Others], None], times: int) -> float:
    """The median over ``times`` acts, each while the client idles."""
    found = []
    with ExitStack() as stack:
        others = Others(server)
        stack.callback(others.close)
        idler = ImapRaw(server.imap, "carol", PASSWORD)
        stack.callback(idler.close)
        idler.ask(b"SELECT INBOX")
        for _ in range(times):
            idler.socket.sendall(b"x IDLE\r\n")
            while b"+ " not in idler.line():
                pass
            start = time.perf_counter()
            act(others)
            idler.line()
            found.append((time.perf_counter() - start) * 1000)
            idler.socket.sendall(b"DONE\r\n")
            idler.until(b"x ")
    return median(found)


def table(running: dict[str, Any], times: int = 15) -> Iterator[str]:
    """A line for each act."""
    for name, act in ACTS.items():
        cells = {server: latency(running[server], act, times) for server in running}
        shown = ", ".join(f"{server} {value:.1f} ms" for server, value in cells.items())
        verdict = "ok" if cells.get("pymaild", 0.0) < AIM else "MISSED"
        yield f"{'idle: ' + name:26s}{shown}   < {AIM:.0f} ms {verdict}"
