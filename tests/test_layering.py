"""Imports run one way: server, net, protocols, mail and auth, index and storage, mime, core.

What this defends: each layer can be read, tested and replaced without those above it, and no
protocol can reach for a socket, a process or a file.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pymaild"

#: From the bottom up; what stands on one line does not know its neighbours.
LAYERS = (
    ("core",),
    ("_parser",),
    ("mime",),
    ("index", "storage"),
    ("auth",),
    ("mail",),
    ("imap", "pop3", "lmtp"),
    ("net",),
    ("server",),
    ("admin",),
)
RANKS = {name: rank for rank, names in enumerate(LAYERS) for name in names}
PROTOCOLS = ("imap", "pop3", "lmtp")

#: What protocols must leave to the layers around them.
FORBIDDEN_MODULES = (
    {"asyncio", "multiprocessing", "select", "selectors", "signal", "socket", "ssl"}
    | {"subprocess", "threading"}
    | {"fcntl", "mmap", "pathlib", "shutil", "tempfile"}
)
FORBIDDEN_CALLS = {"os.fork", "os.pipe", "os.read", "os.write"} | {
    "open",
    "os.open",
    "os.mkdir",
    "os.rename",
    "os.unlink",
}

_CYTHON_IMPORT = re.compile(r"^\s*(?:from|cimport|import)\s+(pymaild[.\w]*)", re.MULTILINE)


def sources() -> list[Path]:
    """All modules, Cython ones and their declarations included."""
    found = [path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".pyx", ".pxd")]
    return sorted(path for path in found if path.parent != PACKAGE or path.stem in RANKS)


def imported(path: Path) -> Iterator[str]:
    """The modules a source imports, wherever in it, by their full names."""
    text = path.read_text("utf-8")
    if path.suffix != ".py":
        yield from (found[1] for found in _CYTHON_IMPORT.finditer(text))
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            if node.module == "pymaild":
                names = (alias.name for alias in node.names)
                yield from (f"pymaild.{name}" for name in names if name != "__version__")


def layer(path: Path) -> str:
    """The layer a source belongs to."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.partition(".")[0]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    own = layer(path)
    for module in imported(path):
        parts = module.split(".")
        if parts[0] != "pymaild" or len(parts) == 1:
            continue
        other = parts[1]
        assert other in RANKS, f"{path.name} imports {module}, which belongs to no layer"
        assert other == own or RANKS[other] < RANKS[own], f"{own} must not know {module}"


@pytest.mark.parametrize(
    "path",
    [path for path in sources() if layer(path) in PROTOCOLS],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_protocols_know_no_socket_no_process_no_file(path: Path) -> None:
    reached = {module.partition(".")[0] for module in imported(path)} & FORBIDDEN_MODULES
    if path.suffix == ".py":
        calls = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call))
        reached |= {ast.unparse(call.func) for call in calls} & FORBIDDEN_CALLS
    assert not reached


def test_every_package_has_its_layer() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages == set(RANKS) - {"_parser"}
