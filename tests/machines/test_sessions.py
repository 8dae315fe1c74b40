"""Sessions of several dialects on one mailbox, driven by hypothesis, beside a model.

What is defended, after any interleaving: a sequence number never means another message than
before, EXPUNGE is told when it may be and not else (RFC 9051 §7.5.1), flags that were told are
true, nothing is lost or doubled, UIDs ascend, and who comes back with an old state is told what
is missing (RFC 7162).
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.instance import Instance

from .sessions import Sessions


def test_sessions_agree_with_the_truth(shared: Instance, request: pytest.FixtureRequest) -> None:
    """The same examples in every run; `--machines=1000` draws others, and shrinks what fails."""
    examples = request.config.getoption("--machines")
    phases = [Phase.generate, Phase.shrink] if examples else [Phase.generate]
    Sessions.server = shared
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Sessions,
        settings=settings(
            max_examples=examples or 120,
            stateful_step_count=30,
            deadline=None,
            derandomize=not examples,
            database=None,
            phases=phases,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
