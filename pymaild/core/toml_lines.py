"""On which line a table or key of a TOML file stands; ``tomllib`` does not tell.

Reads only what ``tomllib`` has accepted already, so it need not judge the syntax: it walks the
tokens, knows how deep in brackets it is, and notes each header and each key at the outside.
"""

from __future__ import annotations

import re

Path = tuple[str | int, ...]

_BARE = r"[A-Za-z0-9_-]+"
_KEY_PART = rf'(?:{_BARE}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\')'
_DOTTED = rf"{_KEY_PART}(?:[ \t]*\.[ \t]*{_KEY_PART})*"
_TOKEN = re.compile(
    rf"""
      (?P<string>\"{{3}}(?:[^\\]|\\.)*?\"{{3,5}} | '{{3}}.*?'{{3,5}})
    | (?P<header>^[ \t]*\[\[?[ \t]*(?P<name>{_DOTTED})[ \t]*\]\]?)
    | (?P<key>^[ \t]*(?P<path>{_DOTTED})[ \t]*=)
    | (?P<short>"(?:[^"\\\n]|\\.)*" | '[^'\n]*')
    | (?P<comment>\#[^\n]*)
    | (?P<open>[\[{{])
    | (?P<close>[\]}}])
    | (?P<other>.)
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
_PART = re.compile(_KEY_PART)


def key_lines(text: str) -> dict[Path, int]:
    """Map each table and key to its line, counted from 1.

    A path is the names from the top; the n-th table of an array has the number n (from 0)
    behind the array's name: ``("listener", 0, "port")``.
    """
    return _Walk(text).lines


class _Walk:
    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}
        self._table: Path = ()
        self._depth = 0
        line = 1
        for token in _TOKEN.finditer(text):
            self._take(token, line)
            line += token[0].count("\n")

    def _take(self, token: re.Match[str], line: int) -> None:
        kind = token.lastgroup
        if token["header"] and self._depth == 0:
            self._header(token, line)
        elif token["key"] and self._depth == 0:
            self._note(self._table + _names(token["path"]), line)
        elif kind == "open":
            self._depth += 1
        elif kind == "close":
            self._depth -= 1
        elif token["header"]:  # a line of an array that only looks like a header
            self._depth += token[0].count("[") - token[0].count("]")

    def _header(self, token: re.Match[str], line: int) -> None:
        path = self._inside(_names(token["name"]))
        if token["header"].lstrip().startswith("[["):
            number = self._counts.get(path, 0)
            self._counts[path] = number + 1
            path = (*path, number)
        self._table = path
        self._note(path, line)

    def _inside(self, names: tuple[str, ...]) -> Path:
        """Add the number of the current table of each array that ``names`` runs through."""
        path: Path = ()
        for name in names[:-1]:
            path = (*path, name)
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
        return (*path, names[-1])

    def _note(self, path: Path, line: int) -> None:
        for end in range(1, len(path) + 1):
            self.lines.setdefault(path[:end], line)


def _names(dotted: str) -> tuple[str, ...]:
    return tuple(
        part[1:-1] if part[0] in "\"'" else part for part in (m[0] for m in _PART.finditer(dotted))
    )
