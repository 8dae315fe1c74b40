"""Starts the server with a disk that fails: `python -m tests.faults.faulty FILE serve ...`.

Each step of the storage first looks at FILE: "errno step path" makes steps of that name fail whose
path contains that text, for as long as the file is there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pymaild.admin.daemon import main
from pymaild.storage import atomic


def install(order: Path) -> None:
    """Let steps fail as ``order`` says."""

    def observe(kind: str, path: str) -> None:
        try:
            number, step, part = order.read_text().split()
        except FileNotFoundError:
            return
        if step in (kind, "any") and part in path:
            raise OSError(int(number), os.strerror(int(number)), path)

    atomic.observer = observe


if __name__ == "__main__":
    install(Path(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
