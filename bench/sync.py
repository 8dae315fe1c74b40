"""What it costs to come back to a mailbox, small and large, when the same little has changed.

Run as ``python -m bench.sync [--small N] [--large N] [--rounds N]``. Ten messages got flags and
five went (RFC 7162); a ratio of 1 says that the size of the mailbox does not matter.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.support import maildir
from tests.support.imap import Imap
from tests.support.instance import instance
from tests.support.place import give

from .mail import PASSWORD, USER, message
from .raw import ImapRaw

AIM = 2.0  # a hundred times the messages may cost no more than this much
FLAGGED, GONE = 10, 5


@dataclass(frozen=True)
class Past:
    """The mailbox as a client left it."""

    uidvalidity: int
    modseq: int


COMMANDS: dict[str, Callable[[Past], str]] = {
    "FETCH CHANGEDSINCE": lambda past: f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {past.modseq})",
    "FETCH CHANGEDSINCE VANISHED": (
        lambda past: f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {past.modseq} VANISHED)"
    ),
    "SEARCH MODSEQ": lambda past: f"UID SEARCH MODSEQ {past.modseq + 1}",
    "SELECT QRESYNC": lambda past: f"SELECT INBOX (QRESYNC ({past.uidvalidity} {past.modseq}))",
    "SELECT": lambda past: "SELECT INBOX",
}


def fill(folder: Any, count: int) -> None:
    """Messages that have been seen, in cur."""
    octets = message(500)
    inbox = maildir.make(folder)
    for number in range(count):
        name = f"{1700000000 + number}.M{number}P1.bench,S={len(octets)}:2,S"
        (inbox / "cur" / name).write_bytes(octets)


def stir(server: Any, count: int) -> Past:
    """Note the state of the mailbox, then change it all over."""
    with server.client(USER, 300.0) as client:
        past = _past(client)
        step = count // (FLAGGED + GONE + 1)
        places = [step * (number + 1) for number in range(FLAGGED + GONE)]
        for uid in places[:FLAGGED]:
            client.ok(f"UID STORE {uid} +FLAGS.SILENT (\\Flagged)")
        client.ok(f"UID STORE {','.join(map(str, places[FLAGGED:]))} +FLAGS.SILENT (\\Deleted)")
        client.ok("EXPUNGE")
        client.ok("LOGOUT")
    return past


def _past(client: Imap) -> Past:
    told = client.ok("SELECT INBOX").codes()
    return Past(int(told["UIDVALIDITY"][0]), int(told["HIGHESTMODSEQ"][0]))


def measure(count: int, rounds: int) -> dict[str, float]:
    """Milliseconds of each command, the median of the rounds, in a mailbox of that size."""
    with instance({USER: PASSWORD}) as server:
        (server.base / "mail").mkdir(exist_ok=True)
        fill(server.maildir(USER), count)
        give(server.base / "mail")
        server.start()
        past = stir(server, count)
        client = ImapRaw(server.imap, USER, PASSWORD)
        client.ask(b"ENABLE QRESYNC")
        client.ask(b"SELECT INBOX")
        try:
            return {name: _median(client, make(past), rounds) for name, make in COMMANDS.items()}
        finally:
            client.close()


def _median(client: ImapRaw, command: str, rounds: int) -> float:
    octets = command.encode()
    client.ask(octets)
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        client.ask(octets)
        times.append(time.perf_counter() - begun)
    return median(times) * 1000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="The cost of resynchronizing.")
    parser.add_argument("--small", type=int, default=1_000)
    parser.add_argument("--large", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=50)
    asked = parser.parse_args()
    small, large = measure(asked.small, asked.rounds), measure(asked.large, asked.rounds)
    print(f"{'milliseconds':30}{asked.small:>10,}{asked.large:>10,}{'ratio':>8}  (aim < {AIM})")
    for name in COMMANDS:
        ratio = large[name] / small[name]
        print(f"{name:30}{small[name]:10.3f}{large[name]:10.3f}{ratio:8.2f}")


if __name__ == "__main__":
    main()
