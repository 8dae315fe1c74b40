"""Special uses on disk: they outlive a process that dies, and a step that fails."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pymaild.core.errors import Refused
from pymaild.core.session import User
from pymaild.mail.account import Account
from pymaild.mail.settings import MailSettings
from tests.mail.test_crash import stopped_at


def account_at(path: Path) -> Account:
    return Account(User(name="u", mail=str(path)), MailSettings())


def uses(account: Account) -> dict[str, str]:
    return {entry.name: entry.special for entry in account.entries() if entry.special}


def rename(account: Account) -> None:
    account.rename("Sent", "Gesendet")


def rename_above(account: Account) -> None:
    account.rename("Work", "Play")


def create(account: Account) -> None:
    account.create("New", ["\\Drafts", "\\Important"])


def delete(account: Account) -> None:
    account.delete("Work/Old")


@pytest.mark.parametrize("work", [rename, rename_above, create, delete])
def test_a_process_that_dies(tmp_path: Path, work: Callable[[Account], None]) -> None:
    """Wherever it stops, a mailbox that was only renamed has its use; none is told twice."""
    fresh = tmp_path / "fresh"
    account_at(fresh).prepare()
    account_at(fresh).create("Work/Old", ["\\Archive"])
    before, goes_on, step = uses(account_at(fresh)), True, 0
    while goes_on:
        step += 1
        path = tmp_path / str(step)
        shutil.copytree(fresh, path)
        goes_on = stopped_at(path, work, step)
        now = uses(account_at(path))
        told = " ".join(now.values()).split()
        assert len(told) == len(set(told))
        if work in (rename, rename_above):
            assert sorted(now.values()) == sorted(before.values())
    assert step > 4


def test_a_create_that_fails_gives_nothing(tmp_path: Path) -> None:
    account = account_at(tmp_path / "m")
    account.prepare()
    before = uses(account)
    (tmp_path / "m" / ".New").write_text("in the way")
    with pytest.raises(Refused):
        account.create("New", ["\\Drafts"])
    assert uses(account) == before


def test_a_file_that_makes_no_sense_counts_for_nothing(tmp_path: Path) -> None:
    account = account_at(tmp_path)
    account.prepare()
    before = uses(account)
    for content in (b"\xff\xfe", b"Sent\n\n", b"\\Sent\tNowhere\n"):
        (tmp_path / "pymaild.special").write_bytes(content)
        expected = before if b"Nowhere" not in content else before.keys() - {"Sent"}
        assert uses(account_at(tmp_path)).keys() == set(expected)
