"""The tree of mailboxes: names, renames, deletions, subscriptions."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from pymaild.core.errors import Code, NoSuchMailbox, Refused
from pymaild.core.session import User
from pymaild.mail.account import Account
from pymaild.mail.delivery import deliver
from pymaild.mail.settings import MailSettings
from pymaild.mail.tree import Names

SPECIAL = {"Drafts", "Sent", "Junk", "Trash", "Archive"}


def account_at(path: Path, **settings: str) -> Account:
    account = Account(User(name="u", mail=str(path / "Maildir")), MailSettings(**settings))
    account.prepare()
    return account


def names(account: Account) -> list[str]:
    return [entry.name for entry in account.entries()]


def test_a_new_user_has_special_folders_subscribed(tmp_path: Path) -> None:
    """RFC 6154 §2."""
    account = account_at(tmp_path)
    entries = {entry.name: entry for entry in account.entries()}
    assert set(entries) == SPECIAL | {"INBOX"}
    assert {entry.special for entry in entries.values()} == {"", *(f"\\{n}" for n in SPECIAL)}
    assert all(entry.subscribed for entry in entries.values())
    account.delete("Junk")
    account.prepare()
    assert not account.exists("Junk")


@pytest.mark.parametrize(
    "name",
    ["Work", "Work/2026/Q1", "Überraschung/日本", "a.b/c", "R&D", "&", "x" * 200, "INBOX/sub"],
)
def test_any_name_goes_to_disk_and_back(tmp_path: Path, name: str) -> None:
    account = account_at(tmp_path)
    account.create(name)
    assert name in names(account)
    with account.open(name) as box:
        assert box.name == name
    account.delete(name)
    assert name not in names(account)


@pytest.mark.parametrize("name", ["", "/", "a//b", "/a", "a\x00b", "a\nb", "x" * 300])
def test_what_is_no_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused) as refused:
        account_at(tmp_path).create(name)
    assert refused.value.code == Code.CANNOT


def test_inbox_is_inbox_in_any_case(tmp_path: Path) -> None:
    account = account_at(tmp_path)
    with account.open("inBoX") as box:
        assert box.name == "INBOX"
    with pytest.raises(Refused) as refused:
        account.create("inbox")
    assert refused.value.code == Code.ALREADYEXISTS
    with pytest.raises(Refused):
        account.delete("INBOX")


def test_deleting_leaves_what_is_below(tmp_path: Path) -> None:
    """RFC 3501 §6.3.4: the name stays, not to be selected, while it has inferiors."""
    account = account_at(tmp_path)
    account.create("a")
    account.create("a/b")
    account.delete("a")
    above = next(entry for entry in account.entries() if entry.name == "a")
    assert (above.selectable, above.children) == (False, True)
    with pytest.raises(Refused) as refused:
        account.delete("a")
    assert refused.value.code == Code.HASCHILDREN
    account.create("a")
    assert account.exists("a")


def test_rename_takes_inferiors_along(tmp_path: Path) -> None:
    account = account_at(tmp_path)
    for name in ("a", "a/b", "a/b/c", "ab"):
        account.create(name)
    account.rename("a", "z/y")
    assert {"z", "z/y", "z/y/b", "z/y/b/c", "ab"} <= set(names(account))
    assert "a" not in names(account)
    with pytest.raises(Refused) as refused:
        account.rename("ab", "z/y/b")
    assert refused.value.code == Code.ALREADYEXISTS
    with pytest.raises(Refused) as refused:
        account.rename("z/y", "z/y/b/q")
    assert refused.value.code == Code.CANNOT
    with pytest.raises(NoSuchMailbox):
        account.rename("nothing", "else")


def test_renaming_inbox_gives_its_mail_away(tmp_path: Path) -> None:
    """RFC 3501 §6.3.5."""
    account = account_at(tmp_path)
    deliver(account, [b"Subject: x\r\n\r\n"], None)
    account.rename("INBOX", "old")
    with account.open("INBOX") as box, account.open("old") as old:
        assert (box.status().messages, old.status().messages) == (0, 1)


def test_a_mailbox_made_again_has_a_higher_uidvalidity(tmp_path: Path) -> None:
    """RFC 9051 §2.3.1.1."""
    account = account_at(tmp_path)
    seen = []
    for _ in range(3):
        account.create("again")
        with account.open("again") as box:
            seen.append(box.uidvalidity)
        account.delete("again")
    assert seen == sorted(set(seen))


def test_subscriptions_outlive_their_mailbox(tmp_path: Path) -> None:
    """RFC 9051 §6.3.7."""
    account = account_at(tmp_path)
    account.create("list")
    account.subscribe("list")
    account.delete("list")
    assert "list" in account.subscriptions()
    account.unsubscribe("list")
    assert "list" not in account.subscriptions()
    with pytest.raises(NoSuchMailbox):
        account.subscribe("never")


def test_courier_names(tmp_path: Path) -> None:
    account = account_at(tmp_path, separator=".", prefix="INBOX.")
    account.create("INBOX.Work.2026")
    assert "INBOX.Sent" in names(account)
    assert (tmp_path / "Maildir" / ".Work.2026" / "cur").is_dir()
    with pytest.raises(Refused):
        account.create("Work")


def test_delivery_into_a_folder_that_exists(tmp_path: Path) -> None:
    account = account_at(tmp_path)
    account.create("lists")
    assert deliver(account, [b"Subject: x\r\n\r\n"], "lists") == ("lists", 1)
    assert deliver(account, [b"Subject: x\r\n\r\n"], "nowhere") == ("INBOX", 1)
    assert deliver(account, [b"Subject: x\r\n\r\n"], "../../etc") == ("INBOX", 2)


def test_status_follows_a_mailbox_through_deletion_and_rename(tmp_path: Path) -> None:
    account, other = account_at(tmp_path), account_at(tmp_path)
    account.create("a")
    first = account.status("a")
    deliver(other, [b"Subject: x\r\n\r\n"], "a")
    assert account.status("a", size=True).size == 14
    other.delete("a")
    with pytest.raises(NoSuchMailbox):
        account.status("a")
    other.create("a")
    assert account.status("a").uidvalidity > first.uidvalidity
    for number in range(20):
        account.create(f"n{number}")
        assert account.status(f"n{number}").messages == 0


@pytest.mark.parametrize("name", ["é/cur", "é.cur", "é/../é", "é/new.x"])
def test_spellings_stay_plain_folders(name: str) -> None:
    """No other spelling of a name reaches into a folder or out of the Maildir."""
    tree = Names(".", "")
    with suppress(Refused):
        for directory in (tree.directory(name), *tree.spellings(name)):
            assert "/" not in directory
            assert directory.startswith(".")
            assert not directory.startswith("..")


def test_delete_takes_away_what_another_left(tmp_path: Path) -> None:
    """A process that dies behind the first step of DELETE leaves a folder without a name."""
    account = account_at(tmp_path)
    (tmp_path / "Maildir" / "..pymaild-gone-00" / "cur").mkdir(parents=True)
    account.create("a")
    account.delete("a")
    assert not list((tmp_path / "Maildir").glob("..pymaild-gone-*"))
