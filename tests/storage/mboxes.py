"""Making mbox files and looking at them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from pymaild.storage import atomic
from pymaild.storage.mbox import Addition, Mbox, Message, Numbering, State
from pymaild.storage.mboxlocks import LockRules

STOPPED = 17
UIDVALIDITY = 1700000000


def mbox_at(path: Path, rules: LockRules | None = None, durable: bool = True) -> Mbox:
    """The mbox ``box`` below a directory, its journal in a directory of its own."""
    (path / "index").mkdir(parents=True, exist_ok=True)
    return Mbox(str(path / "box"), str(path / "index"), rules or LockRules(timeout=5.0), durable)


def made(path: Path, data: bytes) -> Mbox:
    """An mbox with these octets."""
    box = mbox_at(path)
    Path(box.path).write_bytes(data)
    return box


def octets(path: Path) -> bytes:
    return (path / "box").read_bytes()


def numbering(last: int, *keywords: bytes) -> Numbering:
    return Numbering(UIDVALIDITY, last, keywords)


def addition(box: Mbox, uid: int, data: bytes, **state: object) -> Addition:
    return Addition(box.write([data]), State(uid, **state), UIDVALIDITY + uid, b"a@example.org")  # type: ignore[arg-type]


def append(box: Mbox, first: int, *messages: bytes) -> list[Message]:
    """Append messages with UIDs from ``first`` on."""
    additions = [addition(box, first + place, data) for place, data in enumerate(messages)]
    with box.writing():
        return box.append(additions, numbering(first + len(messages) - 1))


def messages(box: Mbox) -> list[Message]:
    with box.reading():
        return [message for message in box.scan() if not message.pseudo]


def served(box: Mbox) -> list[tuple[int, bytes]]:
    """UID and octets of each message, as clients would have them."""
    with box.reading():
        return [
            (message.uid, b"".join(box.served(message)))
            for message in box.scan()
            if not message.pseudo
        ]


def dies_at(step: int, work: Callable[[], object], tear: bool = False) -> bool:
    """Run ``work`` in a child that dies before its step number ``step``; false when it ended.

    Where the step is a write and ``tear``, a half of it is done.
    """
    child = os.fork()
    if child == 0:
        _die(step, work, tear)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, STOPPED), f"the work itself failed before step {step}"
    return status == STOPPED


def _die(step: int, work: Callable[[], object], tear: bool) -> None:
    taken, write, pwrite = 0, os.write, os.pwrite

    def observe(kind: str, path: str) -> None:
        nonlocal taken
        taken += 1
        if taken == step and not (tear and kind == "write"):
            os._exit(STOPPED)

    def torn(fd: int, data: memoryview, offset: int) -> int:
        if taken == step:
            pwrite(fd, data[: len(data) // 2], offset)
            os._exit(STOPPED)
        return pwrite(fd, data, offset)

    def torn_draft(fd: int, data: memoryview) -> int:
        if taken == step:
            write(fd, data[: len(data) // 2])
            os._exit(STOPPED)
        return write(fd, data)

    try:
        atomic.observer, os.write, os.pwrite = observe, torn_draft, torn  # type: ignore[assignment]
        os.fsync = os.fdatasync = lambda fd: None  # type: ignore[assignment]
        work()
        os._exit(0)
    finally:
        os._exit(1)


def mail(number: int, body: str = "", fields: Iterable[str] = ()) -> bytes:
    """One message as an MTA writes it into an mbox."""
    head = [f"From sender{number}@example.org Wed Dec  2 05:53:{number % 60:02} 1992"]
    head += [f"Subject: message {number}", *fields]
    return ("\n".join(head) + "\n\n" + (body or f"body {number}\n") + "\n").encode()
