"""Finds what tests say they prove, by reading them: no test is run or imported."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .register import ROOT

_PROVES = re.compile(r"proves (\d+) (\S+)((?: \d+)+)\s*\Z")


class Malformed(ValueError):
    """A marker that cannot be read; its text says where."""


@dataclass(frozen=True)
class Marker:
    """``test`` (file::name) proves these sentences of a section."""

    number: str
    section: str
    sentences: tuple[int, ...]
    test: str


def find(root: Path = ROOT) -> list[Marker]:
    """Return all markers of the tests below ``root``. Raises Malformed."""
    tests = root / "tests"
    found: list[Marker] = []
    for path in sorted(tests.rglob("test_*.py")):
        found += in_source(path.read_text("utf-8"), path.relative_to(root).as_posix())
    for path in sorted((tests / "transcripts").rglob("*.txt")):
        found += in_transcript(path.read_text("utf-8"), path.relative_to(root).as_posix())
    return found


def in_source(source: str, name: str) -> Iterator[Marker]:
    """The calls of ``rfc`` in a test module, each with the test it stands at."""
    if "rfc(" in source:
        yield from _walk(ast.parse(source), name)


def _walk(node: ast.AST, test: str) -> Iterator[Marker]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        test = f"{test}::{node.name}"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "rfc":
        yield _marker(node, test)
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, test)


def _marker(call: ast.Call, test: str) -> Marker:
    try:
        number, section, *sentences = [ast.literal_eval(argument) for argument in call.args]
        texts = isinstance(number, str) and isinstance(section, str)
        right = texts and bool(sentences) and all(type(one) is int for one in sentences)
    except ValueError:
        right = False
    if not right or call.keywords:
        raise Malformed(f"{test}: line {call.lineno}: {ast.unparse(call)}")
    return Marker(number, section, tuple(sentences), test)


def in_transcript(text: str, name: str) -> Iterator[Marker]:
    """The lines ``proves NUMBER SECTION N...`` of a transcript."""
    for line in text.splitlines():
        if line.startswith("proves "):
            found = _PROVES.match(line)
            if not found:
                raise Malformed(f"{name}: {line}")
            yield Marker(found[1], found[2], tuple(map(int, found[3].split())), name)
