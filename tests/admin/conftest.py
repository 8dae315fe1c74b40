"""A private instance made by `pymaild init`, and the programs run on it as people run them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.place import PYTHON, ROOT, become, environment, place

MODULES = {"pymaild": "pymaild.admin.daemon", "pymailctl": "pymaild.admin.control"}


@dataclass
class Programs:
    """Runs `pymaild` and `pymailctl` with the configuration below ``base``."""

    base: Path

    @property
    def config(self) -> Path:
        return self.base / "instance" / "pymaild.toml"

    def run(self, *words: str | Path, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a command line as it stands."""
        program, *rest = map(str, words)
        return subprocess.run(
            [str(PYTHON), "-m", MODULES[program], *rest],
            cwd=self.base,
            env=environment(self.base, PYTHONPATH=str(ROOT), PYMAILD_CONFIG=str(self.config)),
            input=data,
            capture_output=True,
            timeout=120,
            check=False,
            **become(PYTHON),
        )

    def __call__(self, *words: str | Path, data: bytes = b"") -> str:
        """Run a command that must succeed; returns what it says."""
        done = self.run(*words, data=data)
        assert done.returncode == 0, (words, done)
        return done.stdout.decode()

    def json(self, *words: str | Path, data: bytes = b"") -> Any:
        """Run a command with --json that must succeed."""
        return json.loads(self(*words, "--json", data=data))

    def fails(self, *words: str | Path, data: bytes = b"") -> tuple[int, str]:
        """Run a command that must fail; returns its code and what it complains of."""
        done = self.run(*words, data=data)
        assert done.returncode, (words, done)
        return done.returncode, done.stderr.decode()


@pytest.fixture
def programs() -> Iterator[Programs]:
    """The programs, and an instance on free ports with generated mail."""
    with place("ad") as base:
        found = Programs(base)
        found("pymaild", "init", "instance", "--no-ports", "--no-mail")
        yield found
