"""The short form: ten clients, every kind of process killed, and nothing that anyone notices.

``python -m tests.soak`` is the full one.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .__main__ import shown, unexcused
from .run import Phase, Run, lenient, pymaild
from .torment import Pymaild

CLIENTS, SECONDS, THINK = 10, 3.0, 0.05


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with pymaild(CLIENTS) as server:
        made = Run(Pymaild(server, stops=False), CLIENTS, THINK, lenient())
        made.prepare()
        yield made


@pytest.mark.parametrize(
    ("what", "rate"),
    [("worker", 5.0), ("tls", 1.0), ("auth", 2.0), ("keeper", 2.0), ("vault", 2.0)],
)
def test_killed(run: Run, what: str, rate: float) -> None:
    """No message is lost, doubled or renumbered, no answer is wrong, no client is cut off."""
    outcome = run.phase(Phase(what, what, rate, SECONDS))
    said = "\n".join(shown(outcome))
    assert outcome.blows, said
    assert outcome.wishes > CLIENTS, said
    assert not outcome.faults, said
    assert not outcome.wrong, said
    assert not outcome.failures, said
    assert not unexcused(outcome), said


def test_reloaded(run: Run) -> None:
    """A reload moves the sessions, and nobody sees it."""
    outcome = run.phase(Phase("reload", "reload", 2.0, SECONDS))
    said = "\n".join(shown(outcome))
    assert outcome.blows["reload"], said
    assert not outcome.faults, said
    assert not outcome.wrong, said
    assert not outcome.ends, said
