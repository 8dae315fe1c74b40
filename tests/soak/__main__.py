"""Run as ``python -m tests.soak [--clients N] [--seconds N] [--only PHASE,...]``; `make soak`.

Workers are killed, then the processes of every other role, then the master; then the server is
reloaded every second, then upgraded every second. Fails when a message is lost, doubled or
renumbered, an answer is wrong, or a connection ends that need not. What was seen goes to
bench/results.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.place import ROOT

from .run import MIX, Outcome, Phase, Run, lenient, pymaild
from .torment import Pymaild

RESULTS = ROOT / "bench" / "results"
LOSSES = 8  # connections lost that are shown
THINK = 0.5  # seconds from an answer to the next wish, on the average
#: Which kinds of clients lose their connection in which phase: what they had has died with it.
EXCUSED = {"tls": {"tls"}, "deflate": {"deflate"}, "master": set(MIX)}


def phases(seconds: float) -> Iterator[Phase]:
    """All of them; ``seconds`` for those that take long."""
    yield Phase("calm", "", 0, seconds / 4)
    yield Phase("worker", "worker", 5, seconds)
    for role in ("tls", "deflate", "auth", "keeper", "vault"):
        yield Phase(role, role, 1, seconds / 4)
    yield Phase("reload", "reload", 1, seconds)
    yield Phase("upgrade", "upgrade", 1, seconds)
    yield Phase("master", "restart", 0.1, seconds / 2)


def shown(outcome: Outcome) -> Iterator[str]:
    """What people read of a phase."""
    yield f"--- {outcome.name}: {outcome.wishes} answers in {outcome.seconds:.0f} s"
    for name, value in outcome.figures().items():
        yield f"  {name:24s}{value:12.1f}"
    for name in ("blows", "ends", "refused", "faults"):
        counts = getattr(outcome, name)
        if counts:
            yield f"  {name}: " + ", ".join(f"{what} {n}" for what, n in sorted(counts.items()))
    for moment, name, how, work in sorted(outcome.losses)[:LOSSES]:
        yield f"  {moment:6.1f} s {name} {how}, {work}"
    for text in (*sorted(set(outcome.failures))[:3], *outcome.wrong[:5]):
        yield "  " + text.replace("\n", "\n    ")


def unexcused(outcome: Outcome) -> list[str]:
    """How connections ended that need not have: no reply was half sent, and no TLS was lost."""
    excused = EXCUSED.get(outcome.name, set())
    return [how for how in outcome.ends if how.split()[0] not in excused and "half" not in how]


def failed(outcome: Outcome) -> bool:
    """Whether anything was seen that must not be."""
    return bool(outcome.wrong or outcome.faults or unexcused(outcome) or outcome.failures)


def main() -> int:
    """Run the phases; prints each when it is over."""
    parser = argparse.ArgumentParser(prog="tests.soak", description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--think", type=float, default=THINK)
    parser.add_argument("--only", default="", help="phases, with commas between")
    parser.add_argument("--against", type=Path, default=ROOT, help="another checkout, built")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # and the server with it
    only = options.only.split(",")
    chosen = [one for one in phases(options.seconds) if only == [""] or one.name in only]
    found: list[Outcome] = []
    with pymaild(options.clients, options.against) as server:
        run = Run(Pymaild(server), options.clients, options.think, lenient())
        run.prepare()
        for phase in chosen:
            found.append(run.phase(phase))
            print("\n".join(shown(found[-1])), flush=True)
        save([outcome.data() for outcome in found], server.log())
    return int(any(map(failed, found)))


def save(data: list[dict[str, Any]], log: str) -> None:
    """Keep what was seen, and what the server said."""
    RESULTS.mkdir(exist_ok=True)
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    (RESULTS / f"soak-{moment}.json").write_text(json.dumps(data))
    (RESULTS / f"soak-{moment}.log").write_text(log)


if __name__ == "__main__":
    sys.exit(main())
