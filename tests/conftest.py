"""Options and fixtures of all tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support import grammar, stops, stores
from tests.support.dovecot import dovecot
from tests.support.instance import Instance, instance

USERS = {"alice": "secret", "bob": "hidden"}

# No property is false because the machine has other things to do.
settings.register_profile(
    "tests", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--server=dovecot` runs the tests of clients against Dovecot, to test the tests.

    `--store=mbox` has the mail of tests of protocols in mbox files: what looks into a Maildir
    fails then, what makes mailboxes below others, and what names all attributes of LIST.
    `--machines=1000` lets tests/machines draw that many examples, not the same ones each time.
    """
    parser.addoption("--server", choices=("pymaild", "dovecot"), default="pymaild")
    parser.addoption("--store", choices=stores.FORMATS, default=stores.FORMATS[0])
    parser.addoption("--machines", type=int, default=0, help="examples that machines draw")


def pytest_configure(config: pytest.Config) -> None:
    stores.choose(config.getoption("--store"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The claim that no crash loses mail, with the number of crashes that were tried."""
    if stops.counts:
        terminalreporter.write_line(stops.summary())


@pytest.fixture(scope="session", autouse=True)
def lawful(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every short reply that any test got is checked against the RFC's own grammar."""
    yield
    if request.config.getoption("--server") == "pymaild":
        assert not grammar.unlawful()


@pytest.fixture
def server() -> Iterator[Instance]:
    """A running instance of the test's own, with users alice and bob and no mail."""
    with instance(USERS) as made:
        made.start()
        yield made


@pytest.fixture(scope="session")
def shared(request: pytest.FixtureRequest) -> Iterator[Any]:
    """One running instance for tests that only add to it; take users with `shared.add_user`."""
    theirs = request.config.getoption("--server") == "dovecot"
    with dovecot(dict(USERS), anybody=True) if theirs else instance(USERS) as made:
        made.start()
        yield made
