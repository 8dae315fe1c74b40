"""How a command speaks: tables and sentences to people, JSON to programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from pymaild.admin.progress import Progress
from pymaild.admin.table import printable, table

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "bold": "1"}


class Output:
    """Where one command's result goes; colours and progress appear on a terminal only."""

    def __init__(
        self, json: bool = False, out: TextIO | None = None, err: TextIO | None = None
    ) -> None:
        self.json = json
        self._out = out or sys.stdout
        self._err = err or sys.stderr

    def result(self, value: Any, *lines: str) -> None:
        """Write ``value`` for programs, or ``lines`` for people."""
        if self.json:
            print(json.dumps(value), file=self._out)
            return
        for line in lines:
            print(line, file=self._out)

    def table(self, value: Any, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Write ``value`` for programs, or ``rows`` under ``columns`` for people."""
        heads = [self.colour("bold", column) for column in columns]
        self.result(value, *table(columns, rows, heads))

    def note(self, text: str) -> None:
        """Tell people something beside the result; programs do not get it."""
        if not self.json:
            print(text, file=self._err)

    def failure(self, program: str, code: int, text: str) -> None:
        """Write why the command failed."""
        if self.json:
            print(json.dumps({"error": text, "exit": int(code)}), file=self._out)
        for line in text.splitlines():
            print(f"{program}: {printable(line)}", file=self._err)

    def progress(self, label: str, total: int) -> Progress:
        """Return a progress bar; it shows on a terminal only."""
        return Progress(printable(label), total, None if self.json else self._err)

    def colour(self, name: str, text: str) -> str:
        """Colour ``text`` when a person looks at a terminal that can."""
        if self.json or "NO_COLOR" in os.environ or not self._out.isatty():
            return text
        return f"\x1b[{_COLOURS[name]}m{text}\x1b[0m"
