"""The control file: what it says is of the directory that was found."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymaild.core.errors import Refused
from pymaild.core.session import User
from pymaild.mail.account import Account
from pymaild.mail.reserving import reserved
from pymaild.mail.settings import MailSettings
from pymaild.storage import control


def test_directory_that_is_away_has_not_lost_its_file(tmp_path: Path) -> None:
    assert control.load(str(tmp_path)) is None
    with pytest.raises(FileNotFoundError):
        control.load(str(tmp_path / "away"))


def test_change_while_a_mailbox_is_being_renamed_keeps_its_identity(tmp_path: Path) -> None:
    """What was open under the old name must not make a control file from what it remembers."""
    account = Account(User(name="alice", mail=str(tmp_path)), MailSettings(fsync=False))
    account.prepare()
    place, away = tmp_path / ".Archive", tmp_path / ".Elsewhere"
    with account.open("Archive") as box:
        before = (place / control.NAME).read_bytes()
        with box.settled():
            place.rename(away)
            with pytest.raises((OSError, Refused)):
                reserved(box, box.index)
            away.rename(place)
        assert (place / control.NAME).read_bytes() == before
