"""Mailboxes over a real Maildir: what a session can do, and what others do meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pymaild.core.errors import Code, NoSuchMailbox, Refused
from pymaild.core.session import User
from pymaild.mail.account import Account
from pymaild.mail.check import faults
from pymaild.mail.flags import DELETED, FLAGGED, SEEN, Flags
from pymaild.mail.mailbox import Mailbox
from pymaild.mail.rights import Actor
from pymaild.mail.selected import Selected
from pymaild.mail.settings import MailSettings

MAIL = b"From: a@example.org\r\nTo: b@example.org\r\nSubject: One\r\n\r\nHello\r\nthere\r\n"


@pytest.fixture
def account(tmp_path: Path) -> Account:
    account = Account(User(name="u", mail=str(tmp_path / "Maildir")), MailSettings())
    account.prepare()
    return account


def append(box: Mailbox, data: bytes = MAIL, *names: str, date: float | None = None) -> int:
    return box.commit([(box.write([data]), box.flags(names), date)])[0]


def uids(box: Mailbox) -> list[int]:
    view = box.view()
    return [view.uid(seq) for seq in range(1, len(view) + 1)]


def files(box: Mailbox) -> list[str]:
    return sorted(os.listdir(f"{box.directory}/new") + os.listdir(f"{box.directory}/cur"))


def restart(account: Account, name: str = "INBOX") -> Mailbox:
    """Open the mailbox as a new process would, with index, log and cache deleted."""
    with account.open(name) as box:
        for part in ("index", "log", "cache"):
            os.unlink(os.path.join(box.directory, f"pymaild.{part}"))
    return account.open(name)


def test_a_message_keeps_octets_flags_and_date(account: Account) -> None:
    with account.open("INBOX") as box:
        uid = append(box, MAIL, "\\Seen", "$Forwarded", date=86400.0)
        view = box.view()
        message = box.message(view, 1)
        assert (view.uid(1), view.date(1), view.size(1)) == (uid, 86400, len(MAIL))
        assert box.flag_names(Flags(view.flags(1), view.keywords(1))) == ["\\Seen", "$Forwarded"]
        source = message.section((), "")
        assert source is not None
        assert b"".join(source.pieces()) == MAIL


def test_the_index_can_be_deleted_at_any_time(account: Account) -> None:
    with account.open("INBOX") as box:
        for number in range(5):
            append(box, MAIL, *(["\\Flagged", "$Todo"] if number % 2 else []))
        box.expunge([2])
        before = [(box.view().uid(seq), box.view().flags(seq)) for seq in range(1, 5)]
        validity, after_next = box.uidvalidity, box.status().uidnext
    with restart(account) as box:
        view = box.view()
        assert [(view.uid(seq), view.flags(seq)) for seq in range(1, 5)] == before
        assert box.uidvalidity == validity
        assert box.keyword_names() == ["$Todo"]
        assert append(box) >= after_next


def test_a_uid_is_never_given_twice(account: Account) -> None:
    """RFC 9051 §2.3.1.1: not even when the youngest messages and the index are gone."""
    with account.open("INBOX") as box:
        used = [append(box) for _ in range(3)]
        box.expunge(used)
    with restart(account) as box:
        assert append(box) > max(used)


def test_deliveries_by_others_get_uids_in_order(account: Account) -> None:
    with account.open("INBOX") as box:
        for second in (30, 10, 20):
            Path(box.directory, "new", f"{second}.other.host").write_bytes(
                b"Subject: x\n\n%d\n" % second
            )
        box.refresh()
        view = box.view()
        bodies = [
            b"".join(box.message(view, seq).section((), "TEXT").pieces()) for seq in (1, 2, 3)
        ]
        assert bodies == [b"10\r\n", b"20\r\n", b"30\r\n"]
        first = files(box)
    with restart(account) as box:
        assert uids(box) == [1, 2, 3]
        assert files(box) == first


def test_renames_and_removals_by_others_are_taken_in(account: Account) -> None:
    """mutt in the same Maildir sets flags by renaming and expunges by unlinking."""
    with account.open("INBOX") as box:
        for _ in range(3):
            append(box, MAIL, "\\Seen")
        selected = Selected.open(account, "INBOX", False)
        names = {
            name.split("U=")[1].split(":")[0]: name for name in os.listdir(f"{box.directory}/cur")
        }
        one = Path(box.directory, "cur", names["1"])
        one.rename(str(one) + "F")
        one = Path(str(one) + "F")
        Path(box.directory, "cur", names["2"]).unlink()
        changes = selected.changes(expunge=True)
        assert changes.expunged == [2]
        assert changes.flags == [1]
        assert selected.view.flags(1) == SEEN | FLAGGED
        selected.close()


def test_a_file_from_another_folder_gets_its_own_uid(account: Account) -> None:
    """A UID in a name counts only in the mailbox that gave it."""
    with account.open("Sent") as sent, account.open("INBOX") as box:
        for _ in range(3):
            append(sent)
        for _ in range(2):
            append(box)
        box.expunge([2])
        stray = next(name for name in os.listdir(f"{sent.directory}/new") if "U=2" in name)
        os.rename(Path(sent.directory, "new", stray), Path(box.directory, "new", stray))
        box.refresh()
        assert uids(box) == [1, 3]
        sent.refresh()
        assert uids(sent) == [1, 3]


def test_store_is_seen_by_others_and_by_the_file_name(account: Account) -> None:
    with account.open("INBOX") as box:
        append(box)
        other = Selected.open(account, "INBOX", False)
        view = box.view()
        assert box.store(view, [1], "add", Flags(SEEN | DELETED)) == []
        assert other.changes(expunge=False).flags == [1]
        assert files(box)[0].endswith(":2,ST")
        box.store(view, [1], "remove", Flags(DELETED))
        assert files(box)[0].endswith(":2,S")
        box.store(view, [1], "set", box.flags(["$Later"]))
        assert files(box)[0].endswith(":2,a")
        other.close()


def test_letters_of_others_survive_a_flag_change(account: Account) -> None:
    with account.open("INBOX") as box:
        Path(box.directory, "cur", "5.x.host:2,PS").write_bytes(b"Subject: p\n\n")
        box.refresh()
        box.store(box.view(), [1], "add", Flags(FLAGGED))
        assert files(box)[0].endswith(":2,FPS")
        box.refresh()
        assert box.view().flags(1) == SEEN | FLAGGED


def test_expunge_waits_until_it_may_be_told(account: Account) -> None:
    """RFC 3501 §7.4.1: no EXPUNGE in the reply to FETCH, STORE and SEARCH."""
    with account.open("INBOX") as box:
        for _ in range(4):
            append(box)
        selected = Selected.open(account, "INBOX", False)
        box.expunge([1, 3])
        append(box)
        assert selected.changes(expunge=False).expunged == []
        assert len(selected.view) == 4
        with pytest.raises(Refused) as refused:
            selected.mailbox.message(selected.view, 1).data()
        assert refused.value.code == Code.EXPUNGEISSUED
        assert selected.mailbox.store(selected.view, [1, 2], "add", Flags(SEEN)) == [1]
        told = selected.changes(expunge=True)
        assert (told.expunged, told.exists) == ([3, 1], 3)
        selected.close()


def test_recent_is_claimed_by_one_session(account: Account) -> None:
    """RFC 3501 §2.3.2: the first session that is told sees \\Recent, EXAMINE claims nothing."""
    with account.open("INBOX") as box:
        append(box)
        append(box)
    examined = Selected.open(account, "INBOX", True)
    first = Selected.open(account, "INBOX", False)
    second = Selected.open(account, "INBOX", False)
    assert examined.read_only
    assert (first.recent, second.recent) == (2, 0)
    assert first.is_recent(1)
    assert first.changes(True).flags == []
    resumed = Selected.resume(account, first.state()[0], False, *first.state()[1:])
    assert resumed is not None
    assert resumed.recent == 2
    for session in (examined, first, second, resumed):
        session.close()


def test_copy_keeps_flags_keywords_and_date(account: Account) -> None:
    with account.open("INBOX") as box, account.open("Archive") as archive:
        archive.flags(["other"])
        for number in range(3):
            append(box, MAIL, "\\Flagged", "$Todo", date=1000.0 + number)
        pairs = box.copy(box.view(), [1, 3], archive)
        view = archive.view()
        assert [old for old, _ in pairs] == [1, 3]
        assert [view.date(seq) for seq in (1, 2)] == [1000, 1002]
        assert archive.flag_names(Flags(view.flags(1), view.keywords(1))) == ["\\Flagged", "$Todo"]
        assert len(box.view()) == 3


def test_copy_into_the_same_mailbox(account: Account) -> None:
    with account.open("INBOX") as box, account.open("INBOX") as same:
        append(box)
        assert box.copy(box.view(), [1], same) == [(1, 2)]
        same.refresh()
        assert uids(same) == uids(box) == [1, 2]


def test_move_leaves_nothing_behind(account: Account) -> None:
    with account.open("INBOX") as box, account.open("Trash") as trash:
        for _ in range(3):
            append(box)
        assert box.copy(box.view(), [2], trash, move=True) == [(2, 1)]
        assert uids(box) == [1, 3]
        assert uids(trash) == [1]
        assert len(files(box)) == 2
        assert box.copy(box.view(), [1], box, move=True) == [(1, 4)]
        assert uids(box) == [3, 4]


def test_a_mailbox_has_26_keywords(account: Account) -> None:
    with account.open("INBOX") as box:
        box.flags([f"word{number}" for number in range(26)])
        assert not box.may_create_keywords()
        with pytest.raises(Refused) as refused:
            box.flags(["onemore"])
        assert refused.value.code == Code.LIMIT
        assert box.flags(["WORD3"]).keywords == 8


def test_nothing_is_left_of_a_message_that_was_not_sent_whole(account: Account) -> None:
    def broken() -> object:
        yield b"Subject: half"
        raise ConnectionResetError

    with account.open("INBOX") as box:
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever pieces raise
            box.write(broken())
        assert os.listdir(os.path.join(box.directory, "tmp")) == []


def test_a_damaged_index_is_rebuilt_in_use(account: Account) -> None:
    with account.open("INBOX") as box:
        for _ in range(4):
            append(box, MAIL, "\\Seen")
        path = Path(box.directory, "pymaild.index")
        with path.open("r+b") as file:
            file.seek(8192 + 128 * 2)
            file.write(b"\xff" * 128)
        selected = Selected.open(account, "INBOX", False)
        with pytest.raises(Refused) as refused:
            selected.mailbox.store(selected.view, [1, 2, 3, 4], "add", Flags(FLAGGED))
        assert refused.value.code == Code.UNAVAILABLE
        told = selected.changes(expunge=True)
        assert (told.gone, told.expunged, told.exists) == (False, [], None)
        selected.mailbox.store(selected.view, [1, 2, 3, 4], "add", Flags(FLAGGED))
        box.refresh()
        view = box.view()
        selected.close()
        assert uids(box) == [1, 2, 3, 4]
        assert [view.flags(seq) for seq in (1, 2, 3, 4)] == [SEEN | FLAGGED] * 4


def test_a_damaged_cache_entry_is_made_anew(account: Account) -> None:
    with account.open("INBOX") as box:
        append(box)
        envelope = box.message(box.view(), 1).envelope
        path = Path(box.directory, "pymaild.cache")
        data = bytearray(path.read_bytes())
        data[-20] ^= 0xFF
        path.write_bytes(data)
        assert faults(box) == ["the cache of message 1 is damaged"]
        assert box.message(box.view(), 1).envelope == envelope


def test_compaction_keeps_the_snapshot_and_tells_open_views(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pymaild.mail.sync.REMEMBERED", -1)
    with account.open("INBOX") as box:
        drafts = [(box.write([MAIL]), Flags(), None) for _ in range(1500)]
        box.commit(drafts)
        selected = Selected.open(account, "INBOX", False)
        box.expunge(range(1, 1401))
        append(box, MAIL, "\\Seen")
        box.refresh()
        assert box.index.dead == 0
        told = selected.changes(expunge=True)
        assert len(told.expunged) == 1400
        assert len(selected.view) == 101
        selected.close()


def test_a_deleted_mailbox_is_gone_for_its_sessions(account: Account) -> None:
    account.create("Work")
    selected = Selected.open(account, "Work", False)
    account.delete("Work")
    assert selected.changes(expunge=True).gone
    with pytest.raises(NoSuchMailbox):
        account.open("Work")
    selected.close()


def test_a_mailbox_that_was_closed_is_kept_open(account: Account) -> None:
    """Its index is not read again; two that have it open at a time have one each."""
    account.create("Work")
    account.keeps = True
    with account.open("Work") as box, account.open("Work") as other:
        assert box.index is not other.index
        append(box, MAIL)
    kept = account.open("Work")
    assert kept.index in (box.index, other.index)
    assert kept.status().messages == 1
    kept.close()
    account.close()
    with account.open("Work") as box:
        assert box is not kept


@pytest.mark.parametrize("how", ["here", "elsewhere", "rename"])
def test_a_kept_mailbox_that_was_made_anew_is_another(account: Account, how: str) -> None:
    account.create("Work")
    account.keeps = True
    with account.open("Work") as box:
        append(box, MAIL)
    other = Account(account.user, account.settings) if how == "elsewhere" else account
    if how == "rename":
        with account.open("Work") as box:
            account.rename("Work", "Old")
    else:
        other.delete("Work")
    with pytest.raises(NoSuchMailbox):
        account.open("Work")
    other.create("Work")
    with account.open("Work") as fresh:
        assert fresh.status().messages == 0
        assert fresh.uidvalidity != box.uidvalidity
    account.close()


def test_rights_are_asked_of_a_kept_mailbox_too(account: Account) -> None:
    account.create("Work")
    actor = Actor("eve", ())
    guest = Account(account.user, account.settings, actor)
    guest.keeps = True
    account.controlled("Work").change("eve", "", frozenset("lr"))
    guest.open("Work", "r").close()
    with pytest.raises(Refused) as refused:
        guest.open("Work", "rw")
    assert refused.value.code == Code.NOPERM
    guest.open("Work", "r").close()
    account.controlled("Work").change("eve", "", frozenset())
    with pytest.raises(NoSuchMailbox):
        guest.open("Work", "r")
    guest.close()


def test_one_maildrop_lock_at_a_time(account: Account) -> None:
    with account.open("INBOX") as box, account.open("INBOX") as other:
        lock = box.lock_maildrop()
        with pytest.raises(Refused) as refused:
            other.lock_maildrop()
        assert refused.value.code == Code.INUSE
        lock.release()
        other.lock_maildrop().release()


def test_a_reader_does_not_fail_while_a_writer_holds_the_lock(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pymaild.mail.mailbox.PATIENCE", 0.01)
    with account.open("INBOX") as box, account.open("INBOX") as writer:
        append(box)
        with writer.lock:
            Path(box.directory, "new", "7.x.host").write_bytes(b"Subject: later\n\n")
            assert box.status().messages == 1
        assert box.status().messages == 2


def test_a_view_outlives_its_index(account: Account) -> None:
    """Its rows and names stay readable when the index was rebuilt in the same command."""
    with account.open("INBOX") as box:
        for _ in range(3):
            append(box)
        view = box.view()
        box.rebuild()
        box.refresh()
        assert view.index is not box.index
        assert box.message(view, 2).header().startswith(b"From: a@example.org")


def test_a_renumbered_mailbox_is_gone_for_its_sessions(account: Account) -> None:
    """A UID that a view never showed cannot stand between those it did."""
    with account.open("INBOX") as box:
        first, second, third = (append(box) for _ in range(3))
        box.expunge([second])
        selected = Selected.open(account, "INBOX", False)
        name = next(name for name in os.listdir(f"{box.directory}/cur") if f"U={third}" in name)
        os.link(
            Path(box.directory, "cur", name), Path(box.directory, "cur", f"9.a.b,U={second}:2,")
        )
        box.rebuild()
        assert uids(box) == [first, second, third]
        assert selected.changes(expunge=True).gone
        selected.close()


def test_rebuild_removes_what_died_in_tmp_long_ago(account: Account) -> None:
    """A Maildir's rule: what is older than 36 hours there is nobody's."""
    with account.open("INBOX") as box:
        old, young = (Path(box.directory, "tmp", name) for name in ("old", "young"))
        old.write_bytes(b"half a mess")
        young.write_bytes(b"half a mess")
        os.utime(old, (0, 0))
        box.rebuild()
        assert (old.exists(), young.exists()) == (False, True)
