"""How often a process was stopped before a step of the storage, for the summary of a test run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable

from pymaild.storage import atomic

STOPPED = 17

counts: Counter[str] = Counter()  # by kind of step


def stopped_at(work: Callable[[], object], step: int) -> bool:
    """Run ``work`` in a child that dies before step number ``step``; false when it ended.

    The process dies, not the machine: what is to be on disk need not be there.
    """
    hear, tell = os.pipe()
    child = os.fork()
    if child == 0:
        taken = 0

        def observe(kind: str, place: str) -> None:
            nonlocal taken
            taken += 1
            if taken == step:
                os.write(tell, kind.encode())
                os._exit(STOPPED)

        try:
            atomic.observer = observe
            os.fsync = lambda fd: None
            work()
            os._exit(0)
        finally:
            os._exit(1)
    os.close(tell)
    with open(hear, "rb") as pipe:
        kind = pipe.read().decode()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, STOPPED), f"the work itself failed before step {step}"
    if kind:
        counts[kind] += 1
    return status == STOPPED


def summary() -> str:
    """Say how many stops there were, "" where there were none."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    return f"{counts.total()} stops of a process before a step of the storage: {kinds}"
