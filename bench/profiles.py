"""What the time of a row goes to: samples of all of a server's processes while it is at work."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from .measure import family, processor
from .rows import Row
from .work import Place

PERF = shutil.which("perf")
SECONDS = 1.0
_MOST = 4  # places, and functions of each
_KIND = re.compile(r"__pyx_[a-z]+_(?=\d)")
_SIZED = re.compile(r"\d+")
_SAMPLE = re.compile(r"^\s*([\d.]+)%\s+(\S+)\s+\[[^\]]\]\s+(.+?)\s*$")


def profile(row: Row, place: Place) -> str:
    """One line: how busy the server was, and in which programs and functions."""
    with ExitStack() as stack, TemporaryDirectory() as folder:
        work = row.prepare(place.of(row.user), stack)
        data = Path(folder) / "samples"
        before, begun = processor(place.server), time.perf_counter()
        recorder = _record(place, data)
        while True:
            if work.fresh is not None:
                work.fresh()
            work.lap()
            if time.perf_counter() - begun > SECONDS:
                break
        taken = time.perf_counter() - begun
        busy = (processor(place.server) - before) / taken
        return f"processors busy {busy:.2f}" + _shares(recorder, data)


def _record(place: Place, data: Path) -> subprocess.Popen[bytes] | None:
    if PERF is None:
        return None
    pids = ",".join(str(process.pid) for process in family(place.server))
    return subprocess.Popen(
        [PERF, "record", "-q", "-e", "cpu-clock", "-F", "997", "-o", str(data), "-p", pids],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _shares(recorder: subprocess.Popen[bytes] | None, data: Path) -> str:
    if PERF is None or recorder is None:
        return ""
    recorder.send_signal(signal.SIGINT)
    recorder.wait(30)
    report = [PERF, "report", "-q", "--stdio", "--no-children", "-F", "overhead,dso,sym"]
    done = subprocess.run(
        [*report, "-i", str(data)], capture_output=True, text=True, timeout=60, check=False
    )
    return summary(done.stdout)


def summary(report: str) -> str:
    """The programs and functions that stand out of perf's report."""
    programs: Counter[str] = Counter()
    functions: dict[str, Counter[str]] = {}
    for share, program, function in filter(None, map(_sample, report.splitlines())):
        programs[program] += share  # type: ignore[assignment]
        functions.setdefault(program, Counter())[function] += share  # type: ignore[assignment]
    parts = []
    for program, share in programs.most_common(_MOST):
        names = ", ".join(name for name, _ in functions[program].most_common(_MOST))
        parts.append(f"; {program} {share:.0f} % ({names})")
    return "".join(parts)


def _sample(text: str) -> tuple[float, str, str] | None:
    found = _SAMPLE.match(text)
    if found is None:
        return None
    share, program, function = found.groups()
    return float(share), program.strip("[]").partition(".")[0], plain(function)


def plain(symbol: str) -> str:
    """A function's name as its source has it: Cython puts kind and modules before it."""
    kind = _KIND.match(symbol)
    if kind is None:
        return symbol
    rest, names = symbol[kind.end() :], []
    while part := _SIZED.match(rest):
        end = part.end() + int(part.group())
        if rest[end : end + 1] != "_":  # a wrapper's number, not a length
            break
        names.append(rest[part.end() : end])
        rest = rest[end + 1 :]
    owner = [names[-1]] if names and not names[-1].islower() else []
    return ".".join([*owner, rest.lstrip("0123456789").partition(".")[0]])
