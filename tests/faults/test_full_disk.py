"""A disk that is full: mail can be read and removed, nothing else, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pymaild.core.errors import Code, Refused
from pymaild.core.session import User
from pymaild.mail.account import Account
from pymaild.mail.check import faults
from pymaild.mail.flags import DELETED, FLAGGED, SEEN, Flags
from pymaild.mail.mailbox import Mailbox
from pymaild.mail.selected import Selected
from pymaild.mail.settings import MailSettings
from tests.support.rfc import rfc

from .disk import SmallDisk, small_disk

BODY = b"Subject: number %d\r\n\r\n" + b"A line that fills the message.\r\n" * 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as made:
        yield made


@pytest.fixture
def account(disk: SmallDisk) -> Account:
    made = Account(User(name="u", mail=str(disk.path / "mail")), MailSettings())
    made.prepare()
    return made


@pytest.fixture
def inbox(account: Account) -> Iterator[Mailbox]:
    """Twenty messages, each in the index and in the cache."""
    with account.open("INBOX") as box:
        for number in range(20):
            box.commit([(box.write([BODY % number]), Flags(), None)])
        yield box


def numbers(box: Mailbox) -> list[int]:
    """The number in each message's subject, in the mailbox's order."""
    view = box.view()
    subjects = (box.message(view, seq).header() for seq in range(1, len(view) + 1))
    return [int(header.split()[2]) for header in subjects]


def fails_full(work: Callable[[], None]) -> None:
    """The work is refused for want of space."""
    with pytest.raises(Refused) as caught:
        work()
    assert caught.value.code is Code.OVERQUOTA


def add(box: Mailbox, number: int) -> None:
    draft = box.write([BODY % number])
    try:
        box.commit([(draft, Flags(), None)])
    except BaseException:
        draft.discard()
        raise


def test_append_till_the_disk_is_full(disk: SmallDisk, inbox: Mailbox) -> None:
    """Whichever write it is that fails: what was refused is not there, what was not is."""
    accepted, codes = list(range(20)), []
    disk.fill(left=150_000)
    for number in range(20, 400):
        try:
            add(inbox, number)
            accepted.append(number)
        except Refused as refusal:
            codes.append(refusal.code)
    assert len(codes) > 100
    assert set(codes) == {Code.OVERQUOTA}
    assert len(accepted) > 22
    inbox.refresh()
    assert numbers(inbox) == accepted
    assert faults(inbox) == []
    disk.free()
    add(inbox, 999)
    inbox.rebuild()
    assert numbers(inbox) == [*accepted, 999]


@rfc("9051", "6.4.7", 5)
@rfc("3501", "6.4.7", 5)
def test_copy_till_the_disk_is_full(disk: SmallDisk, account: Account, inbox: Mailbox) -> None:
    """COPY takes all messages or none, and the target never shows half of them."""
    with account.open("Archive") as target:
        disk.fill(left=20_000)
        done = 0
        for _ in range(60):
            with suppress(Refused):
                inbox.copy(inbox.view(), range(1, 21), target)
                done += 1
        assert 0 < done < 60
        target.refresh()
        assert numbers(target) == list(range(20)) * done
        assert faults(target) == []
        disk.free()
        target.rebuild()
        assert numbers(target) == list(range(20)) * done


def test_reading_needs_no_space(disk: SmallDisk, account: Account, inbox: Mailbox) -> None:
    """SELECT, FETCH and SEARCH go on, with a cache that can no longer grow."""
    with account.open("Archive") as other:
        for number in range(5):
            Path(other.directory, "new", f"{number}.outside.host").write_bytes(BODY % number)
        other.refresh()  # known, and not yet in the cache
        disk.fill()
        view = other.view()
        for seq in range(1, 6):
            message = other.message(view, seq)
            assert b'"number %d"' % (seq - 1) in message.envelope
            assert message.bodystructure.startswith(b'("text" "plain"')
            assert message.size == len(BODY % 0)
    selected = Selected.open(account, "INBOX", read_only=False)
    assert len(selected.view) == 20
    assert numbers(inbox) == list(range(20))
    selected.close()


def test_mail_can_be_removed(disk: SmallDisk, account: Account, inbox: Mailbox) -> None:
    """A full disk is emptied by its users: SELECT, STORE and EXPUNGE must not need space."""
    disk.fill()
    selected = Selected.open(account, "INBOX", read_only=False)
    box, rounds = selected.mailbox, 30
    for _ in range(rounds):  # more than what fits into the last block of any file
        box.store(selected.view, range(1, 21), "add", Flags(FLAGGED))
        box.store(selected.view, range(1, 21), "remove", Flags(FLAGGED))
    box.store(selected.view, range(1, 11), "add", Flags(DELETED))
    inbox.refresh()
    flags = [inbox.view().flags(seq) for seq in range(1, 21)]
    assert flags == [DELETED] * 10 + [0] * 10
    box.expunge([selected.view.uid(seq) for seq in range(1, 11)])
    told = selected.changes(expunge=True)
    assert told.expunged == list(range(10, 0, -1))
    assert numbers(box) == list(range(10, 20))
    selected.close()


def test_other_sessions_are_told(disk: SmallDisk, account: Account, inbox: Mailbox) -> None:
    """What happens while the log of changes cannot grow reaches the other sessions all the same."""
    other = Selected.open(account, "INBOX", read_only=False)
    disk.fill()
    view = inbox.view()
    for _ in range(30):
        inbox.store(view, range(1, 21), "add", Flags(FLAGGED))
        inbox.store(view, range(2, 21), "remove", Flags(FLAGGED))
    inbox.expunge([view.uid(20), view.uid(5)])
    quiet = other.changes(expunge=False)
    assert quiet.expunged == []
    assert len(other.view) == 20
    told = other.changes(expunge=True)
    assert told.expunged == [20, 5]
    assert 1 in {*quiet.flags, *told.flags}
    assert other.view.flags(1) == FLAGGED
    assert len(other.view) == 18
    resumed = Selected.resume(account, *other.state()[:1], False, *other.state()[1:])
    assert resumed is not None
    resumed.close()
    disk.free()
    inbox.store(inbox.view(), [3], "add", Flags(SEEN))
    assert other.changes(expunge=True).flags == [3]
    other.close()


def test_mail_from_outside_waits_for_space(
    disk: SmallDisk, account: Account, inbox: Mailbox
) -> None:
    """Deliveries that the index has no room for do not keep a client from the rest."""
    for number in range(200):
        Path(inbox.directory, "new", f"{number}.outside.{'x' * 60}").write_bytes(
            b"Subject: o 77\n\n"
        )
    disk.fill()
    selected = Selected.open(account, "INBOX", read_only=False)
    assert numbers(selected.mailbox)[:20] == list(range(20))
    box = selected.mailbox
    box.store(selected.view, range(1, 21), "add", Flags(DELETED))
    disk.free()
    selected.changes(expunge=True)
    assert len(selected.view) == 220
    selected.close()


def test_failed_rebuild_keeps_the_index(disk: SmallDisk, account: Account, inbox: Mailbox) -> None:
    """An index that cannot be made anew is not half replaced, and takes no space in vain."""
    before = sorted(path.name for path in Path(inbox.directory).iterdir())
    disk.fill()
    fails_full(inbox.rebuild)
    assert sorted(path.name for path in Path(inbox.directory).iterdir()) == before
    with account.open("INBOX") as other:
        assert numbers(other) == list(range(20))
    assert numbers(inbox) == list(range(20))


def test_create_without_inodes(disk: SmallDisk, account: Account) -> None:
    """CREATE is refused and leaves nothing that would be in the way of the next."""
    disk.take_inodes()
    disk.fill()
    names = {entry.name for entry in account.entries()}
    fails_full(lambda: account.create("Work"))
    assert {entry.name for entry in account.entries()} == names
    disk.free()
    account.create("Work")
    account.open("Work").close()
