"""The journal of an account: events by number, own and foreign, and what is lost is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymaild.core.session import User
from pymaild.mail.account import Account
from pymaild.mail.journal import FILE, MOST, Event
from pymaild.mail.settings import MailSettings


@pytest.fixture
def account(tmp_path: Path) -> Account:
    made = Account(User(name="alice", mail=str(tmp_path / "Maildir")), MailSettings(fsync=False))
    made.prepare()
    made.journal.origin = "s1"
    return made


def events(account: Account, position: int) -> list[Event]:
    found = account.journal.since(position)
    assert found is not None
    assert found[0] == position + len(found[1])
    return found[1]


def test_there_is_no_journal_before_somebody_asks(account: Account) -> None:
    account.create("a")
    assert not (Path(account.root) / FILE).exists()
    assert account.journal.since(0) is None


def test_what_happens_to_names_is_told_with_its_origin(account: Account) -> None:
    start = account.journal.position()
    account.create("a")
    account.create("a/b")
    account.subscribe("a")
    account.rename("a", "c")
    account.unsubscribe("a")
    account.delete("c/b")
    assert events(account, start) == [
        Event("created", "a", "", "s1"),
        Event("created", "a/b", "", "s1"),
        Event("subscribed", "a", "", "s1"),
        Event("renamed", "c", "a", "s1"),
        Event("unsubscribed", "a", "", "s1"),
        Event("deleted", "c/b", "", "s1"),
    ]
    assert events(account, start + 5) == [Event("deleted", "c/b", "", "s1")]


def test_what_other_programs_do_is_found_by_comparing(account: Account) -> None:
    start = account.journal.position()
    for part in ("cur", "new", "tmp"):
        (Path(account.root) / ".Lists" / part).mkdir(parents=True)
    with open(Path(account.root) / "pymaild.subscriptions", "a") as file:
        file.write("Lists\n")
    assert events(account, start) == [Event("created", "Lists"), Event("subscribed", "Lists")]


def test_what_is_no_longer_known_is_said(account: Account) -> None:
    start = account.journal.position()
    for number in range(MOST + 1):
        account.journal.metadata("INBOX", [f"/private/{number}"])
    assert account.journal.since(start) is None
    assert len(events(account, start + 1)) == MOST
    assert account.journal.since(start + MOST + 2) is None


def test_a_damaged_journal_is_begun_anew(account: Account) -> None:
    account.journal.position()
    (Path(account.root) / FILE).write_bytes(b"{")
    assert account.journal.since(0) is None
    assert account.journal.position() == 0
