"""Whatever is asked of any command, it is answered lawfully, and the session goes on."""

from __future__ import annotations

import gc
import os
import tracemalloc
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pymaild.imap.capability import CAPABILITIES
from pymaild.imap.commands import COMMANDS
from pymaild.imap.states import State
from pymaild.mail import acl
from tests.imap.conftest import Client, ImapBench
from tests.imap.test_grid import ARGUMENTS, STATES, in_state
from tests.support import grammar
from tests.support.noise import Noise, spoken, tell

NAMES = sorted(row.name for row in COMMANDS.values())
MODES = " ".join(row.name for row in CAPABILITIES if row.enable)
#: What a session may remember for its client, in octets; UIDs and contexts are most of it.
RECORD = 64 * 1024
#: What 30 sessions may leave behind, in octets: less than one of them needs.
GROWTH = 64 * 1024


def good() -> dict[str, list[bytes]]:
    """Good arguments of each command of the table: the grid's, and what transcripts say."""
    found = {name: [ARGUMENTS[name].encode()] for name in NAMES}
    for name, each in spoken().items():
        for text in each:
            words = text.split(b" ")
            whole = f"UID {words[0].decode()}" if name == "UID" else name
            rest = words[1:] if name == "UID" else words
            if whole in found:
                found[whole].append(b" " + b" ".join(rest) if rest != [b""] else b"")
    return found


NOISE = Noise(good())


@pytest.fixture(scope="module", autouse=True)
def lawful_noise() -> Iterator[None]:
    """The replies to noise are checked by themselves: there are too many shapes of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grammar, "seen", {})
        yield
        assert grammar.unlawful() == []


@pytest.fixture
def noisy(mail: ImapBench) -> ImapBench:
    """A bench that nobody is sent away from for mistakes."""
    mail.configure(max_bad=100_000, max_auth_failures=100_000)
    return mail


def begun(bench: ImapBench, chance: Random) -> Client:
    """A session in any state, with everything enabled or nothing.

    Noise before it may have taken away its user's own rights: they are given back.
    """
    (bench.folder / "mail" / "alice" / "Maildir" / acl.NAME).unlink(missing_ok=True)
    client = in_state(bench, chance.choice((*STATES, State.SELECTED, State.SELECTED)))
    if client.record.state != State.NOT_AUTHENTICATED and chance.random() < 0.5:
        client.ok(f"ENABLE {MODES}")
    return client


def left(bench: ImapBench) -> None:
    """What noise may not have done: a bug met, a file made outside of the mail."""
    assert bench.board.counts["bugs"] == 0
    assert set(os.listdir(bench.folder)) <= {"auth.sock", "users", "mail", "spool", "grants"}
    assert set(os.listdir(bench.folder / "mail")) <= {"alice", "bob"}


@pytest.mark.parametrize("name", NAMES)
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 0xFFFFFFFF))
def test_noise_is_answered(noisy: ImapBench, name: str, seed: int) -> None:
    """Each command among others; the session can go on elsewhere afterwards."""
    chance = Random(seed)
    client = begun(noisy, chance)
    for _ in range(chance.randrange(1, 9)):
        asked = name if chance.random() < 0.6 else chance.choice(NAMES)
        if not tell(client, chance, NOISE.command(chance, asked)):
            break
    else:
        assert len(client.record.encode()) < RECORD
        client = noisy.resume(client)  # which ends where its user has no rights any more
        tell(client, chance, b"LOGOUT")
    client.wait()
    left(noisy)


def test_noise_leaves_nothing_behind(noisy: ImapBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same noise again and again: what one round leaves, the rounds behind it do not add to."""
    monkeypatch.setattr(grammar, "note", lambda raw: None)  # which remembers what it has seen
    tracemalloc.start()
    try:
        sizes = [_after(noisy) for _ in range(5)]
    finally:
        tracemalloc.stop()
    assert min(sizes[3:]) - min(sizes[1:3]) < GROWTH, sizes


def _after(bench: ImapBench) -> int:
    """Octets in use behind 30 sessions of noise, the bench's own notes forgotten."""
    chance = Random(1)
    for _ in range(30):
        client = begun(bench, chance)
        while tell(client, chance, NOISE.command(chance, chance.choice(NAMES))):
            if chance.random() < 0.1:
                tell(client, chance, b"LOGOUT")
                break
        client.wait()
    left(bench)
    bench.forget()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
