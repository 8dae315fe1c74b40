"""What clients had sent when processes died of it is kept, within bounds."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pymaild.core.session import SessionRecord, User
from pymaild.server.incidents import MOST, Incidents

RECORD = SessionRecord(protocol="imap", id="0a1b", user=User("alice"))


def test_kept_for_its_owner_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        Incidents(str(tmp_path)).add(RECORD, b"a FETCH 1 ALL\r\n")
    (path,) = tmp_path.iterdir()
    assert path.name.endswith("-imap-0a1b")
    assert path.read_bytes() == b"a FETCH 1 ALL\r\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert "session=0a1b" in caplog.text
    assert str(path) in caplog.text


def test_never_too_many(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(MOST):
        (tmp_path / str(number)).touch()
    with caplog.at_level(logging.ERROR):
        Incidents(str(tmp_path)).add(RECORD, b"x")
    assert len(list(tmp_path.iterdir())) == MOST
    assert "is full" in caplog.text


@pytest.mark.parametrize("folder", ["", "/nowhere/at/all"])
def test_logged_where_nothing_can_be_kept(folder: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        Incidents(folder).add(RECORD, b"x")
    assert "processes have died of this command" in caplog.text
