"""Finds in the sources every text that sessions say to people.

A text is a string given to what says it (SAYS). A formatted string is a template, "{}" where a
value goes. What is neither, and is not assigned in the same file, is reported as opaque.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pymaild import core

SOURCES = Path(core.__file__).parents[1]

#: What says a text, and which of its arguments that is.
SAYS = {
    "Refused": 1,
    "StorageFailure": 1,
    "Rejected": 1,
    "NoSuchMailbox": 0,
    "BadSyntax": 0,
    "Broken": 0,
    "Invalid": 0,
    "Leave": 0,
    "bye": 0,
    "_leave": 0,
    "_bad": 0,
    "text": 0,
    "ok": 0,
    "say": 0,
    "leave": 0,
    "_take_leave": 0,
    "err": 0,
    "highest": 0,
}

#: Tables whose strings are texts.
TABLES = {
    *("_STORAGE_REPLIES", "fallback", "_FAILED", "_TOLD", "BYE", "STOPPING"),
    *("GONE", "UIDREQUIRED", "last_words", "leaving"),
}

_SUFFIXES = (".py", ".pyx")
_LIKE_TEXT = re.compile(r"(?:\[[A-Z]+\] )?[A-Z][a-z]")
_COMPILED = re.compile(r'(?:BadSyntax\(|FAIL_[A-Z_]+: |MAY_[A-Z]+, |not more else )"([^"]+)"')


@dataclass
class Found:
    """Texts, and what could not be followed, as pairs of file and expression."""

    texts: set[str] = field(default_factory=set)
    opaque: set[tuple[str, str]] = field(default_factory=set)


def collect(files: list[Path]) -> Found:
    """Return what these files say."""
    found = Found()
    for path in files:
        name, source = str(path.relative_to(SOURCES)), path.read_text()
        if path.suffix == ".pyx":
            found.texts.update(_COMPILED.findall(source))
        else:
            _Reader(name, ast.parse(source), found).read()
    found.texts = {text for text in map(_plain, found.texts) if re.search("[a-z]{2}", text)}
    return found


def _plain(text: str) -> str:
    """A text without the response code that is written in front of some."""
    return re.sub(r"^\[[^\]]*\] ", "", text)


class _Reader:
    def __init__(self, name: str, tree: ast.Module, found: Found) -> None:
        self.name, self.tree, self.found = name, tree, found
        self.assigned: dict[str, list[ast.expr]] = {}
        self.returned: dict[str, list[ast.expr]] = {}

    def read(self) -> None:
        for node in ast.walk(self.tree):
            self._assignment(node)
            if isinstance(node, ast.FunctionDef):
                self.returned[node.name] = [
                    part.value
                    for part in ast.walk(node)
                    if isinstance(part, ast.Return) and isinstance(part.value, ast.JoinedStr)
                ]
        for name in TABLES & self.assigned.keys():
            for value in self.assigned[name]:
                self.found.texts.update(filter(_LIKE_TEXT.match, _strings(value)))
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                self._call(node)
            elif isinstance(node, ast.FunctionDef):
                self._defaults(node.args)

    def _assignment(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets, value = [node.target], node.value
        else:
            return
        for target in targets:
            self.assigned.setdefault(_name(target), []).append(value)

    def _defaults(self, args: ast.arguments) -> None:
        named = args.args[len(args.args) - len(args.defaults) :]
        for argument, default in zip(named, args.defaults, strict=True):
            if argument.arg == "text":
                self._text(default)

    def _call(self, node: ast.Call) -> None:
        position = SAYS.get(_name(node.func), len(node.args))
        if position < len(node.args):
            self._text(node.args[position])

    def _text(self, value: ast.expr) -> None:
        parts = self._parts(value)
        if parts:
            for part in parts:
                self._text(part)
        elif isinstance(value, ast.Constant):
            self.found.texts.update([value.value] if isinstance(value.value, str) else [])
        elif isinstance(value, ast.JoinedStr):
            self._joined(value)
        else:
            self.found.opaque.add((self.name, ast.unparse(value)))

    def _parts(self, value: ast.expr) -> list[ast.expr] | None:
        """The expressions of which this one takes its value."""
        if isinstance(value, ast.IfExp):
            return [value.body, value.orelse]
        if isinstance(value, ast.BoolOp):
            return value.values
        if isinstance(value, ast.Name):
            return self.assigned.pop(value.id, None)
        if isinstance(value, ast.Call):
            name = _name(value.func)
            return value.args[:1] if name == "str" else self.returned.get(name)
        return None

    def _joined(self, value: ast.JoinedStr) -> None:
        self.found.texts.add(_template(value))
        for part in value.values:
            if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name):
                self._value(part.value.id)

    def _value(self, name: str) -> None:
        """What goes into a template may be a text as well."""
        for value in self.assigned.get(name, []):
            self.found.texts.update(text for text in _strings(value) if " " in text)


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def _template(value: ast.JoinedStr) -> str:
    parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in value.values)
    return "".join(map(str, parts))


def _strings(value: ast.expr) -> Iterator[str]:
    for node in ast.walk(value):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def said(without: Iterable[str] = ()) -> Found:
    """What sessions of IMAP and POP3 say: the packages that they are made of."""
    wanted = ["core", "mime", "storage", "index", "mail", "auth", "imap", "pop3", "net", "server"]
    files = [SOURCES / "_parser.pyx"]
    for package in wanted:
        files += [path for path in (SOURCES / package).rglob("*.py*") if path.suffix != ".pyc"]
    left_out = {SOURCES / name for name in without}
    return collect([path for path in sorted(set(files) - left_out) if path.suffix in _SUFFIXES])
