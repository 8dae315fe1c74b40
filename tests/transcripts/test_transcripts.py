"""Every transcript, with pymaild and, where Dovecot has what it needs, with Dovecot too."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymaild.imap.capability import CAPABILITIES
from tests.support.dovecot import Dovecot, needs_dovecot
from tests.support.imap import Imap
from tests.support.instance import Instance
from tests.support.script import Script, parse
from tests.support.served import Served
from tests.support.transcript import Player

FOLDER = Path(__file__).parent
PATHS = sorted(FOLDER.rglob("*.txt"))
every_transcript = pytest.mark.parametrize(
    "path", PATHS, ids=lambda path: str(path.relative_to(FOLDER).with_suffix(""))
)


def missing(script: Script, server: Served) -> set[str]:
    """The capabilities a script needs and the server does not have."""
    if not script.needs:
        return set()
    with Imap(server.imap).login(server.add_user("caps"), "pw") as client:
        return set(script.needs).difference(client.ok("CAPABILITY").one("CAPABILITY").values)


def play(path: Path, script: Script, server: Served, kind: str) -> None:
    Player(server, kind, f"{path.parent.name}-{path.stem}").play(script)


@every_transcript
def test_with_pymaild(path: Path, shared: Instance) -> None:
    script = parse(path.read_text("utf-8"))
    if reason := script.without.get("pymaild"):
        pytest.skip(reason)
    assert not missing(script, shared)
    play(path, script, shared, "pymaild")


#: Capabilities without a transcript of their own: what one connection without TLS and with the
#: usual settings does not show is shown elsewhere.
_ELSEWHERE = {
    *("IMAP4rev1", "AUTH=", "SASL-IR"),  # of all transcripts, rfc4959 for the last two
    *("STARTTLS", "LOGINDISABLED"),  # tests/server/test_tls.py
    *(
        "LITERAL-",
        "MESSAGELIMIT=",
        "INPROGRESS",
    ),  # test_append.py, test_limits.py, test_progress.py
    *("QUOTASET", "QUOTA=RES-STORAGE", "QUOTA=RES-MESSAGE", "QUOTA=RES-MAILBOX"),  # rfc9208
    "APPENDLIMIT",  # rfc7889: its name has a value behind it
}


def test_every_capability_has_a_transcript() -> None:
    needed = {name for path in PATHS for name in parse(path.read_text("utf-8")).needs}
    assert {row.name for row in CAPABILITIES} - needed == _ELSEWHERE


@needs_dovecot
@every_transcript
def test_with_dovecot(path: Path, peer: Dovecot) -> None:
    script = parse(path.read_text("utf-8"))
    if reason := script.without.get("dovecot"):
        pytest.skip(reason)
    if lacking := missing(script, peer):
        pytest.skip(f"Dovecot has no {', '.join(sorted(lacking))}")
    play(path, script, peer, "dovecot")
