"""A progress bar on a terminal, and silence elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self, TextIO

WIDTH = 30
INTERVAL = 0.1  # seconds between two drawings


class Progress:
    """Counts towards ``total`` (0 where it is unknown), and draws where a terminal is."""

    def __init__(self, label: str, total: int, stream: TextIO | None) -> None:
        self.done = 0
        self.text = ""
        self._label = label
        self._total = total
        self._stream = stream if stream is not None and stream.isatty() else None
        self._drawn = 0.0

    def __enter__(self) -> Self:
        self._draw()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._draw()
        if self._stream is not None:
            self._stream.write("\n")

    def at(self, done: int, text: str) -> None:
        """Say that ``done`` of the total is done, and how people call it: ``15 messages``."""
        self.done, self.text = done, text
        if self._stream is not None and time.monotonic() - self._drawn >= INTERVAL:
            self._draw()

    def line(self) -> str:
        """Return the bar as it is now."""
        if not self._total:
            return f"{self._label} {self.text}".rstrip()
        share = min(1.0, self.done / self._total)
        bar = ("#" * int(share * WIDTH)).ljust(WIDTH, ".")
        return f"{self._label} [{bar}] {share:4.0%} {self.text}".rstrip()

    def _draw(self) -> None:
        if self._stream is None:
            return
        self._drawn = time.monotonic()
        self._stream.write(f"\r\x1b[K{self.line()}")
        self._stream.flush()
