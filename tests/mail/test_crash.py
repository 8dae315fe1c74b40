"""The process dies before each write, fsync, rename, link and unlink in turn.

After every stop the mailbox is opened as a new process would open it: no message that had its
OK is lost, none is there twice, none has another UID.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pymaild.mail import sync
from pymaild.mail.account import Account
from pymaild.mail.check import faults
from pymaild.mail.delivery import deliver
from pymaild.mail.flags import FLAGGED, Flags
from pymaild.mail.settings import MailSettings
from pymaild.storage import atomic
from tests.support import stops, stores
from tests.support.rfc import rfc

KEPT = [b"Subject: kept %d\r\n\r\nbody %d\r\n" % (number, number) for number in range(4)]


def account_at(path: Path, fsync: bool = False) -> Account:
    return Account(stores.user(path), MailSettings(fsync=fsync))


def prepare(path: Path) -> None:
    account = account_at(path)
    account.prepare()
    with account.open("INBOX") as box:
        box.commit([(box.write([data]), box.flags(["\\Seen"]), None) for data in KEPT])


def append(account: Account) -> None:
    with account.open("INBOX") as box:
        box.commit([(box.write([b"Subject: new\r\n\r\nnew\r\n"]), Flags(), None)])


def copy(account: Account) -> None:
    with account.open("INBOX") as box, account.open("Archive") as archive:
        box.copy(box.view(), [1, 2, 3], archive)


def move(account: Account) -> None:
    with account.open("INBOX") as box, account.open("Archive") as archive:
        box.copy(box.view(), [1, 2, 3], archive, move=True)


def store(account: Account) -> None:
    with account.open("INBOX") as box:
        box.store(box.view(), [1, 2, 3, 4], "add", box.flags(["\\Flagged", "$Todo"]))


def claim(account: Account) -> None:
    with account.open("INBOX") as box:
        stores.drop(box, b"Subject: other\n\n")
        box.refresh()
        box.claim_recent(box.view())


def rename(account: Account) -> None:
    if stores.chosen() == "maildir":
        account.create("Work")
    account.create("Work/Sub")
    account.rename("Work", "Play")


def rebuild(account: Account) -> None:
    with account.open("INBOX") as box:
        box.rebuild()


def stopped_at(
    path: Path, work: Callable[[Account], object], step: int, fsync: bool = True
) -> bool:
    """Run ``work`` in a child that dies before step number ``step``; false when it ended."""
    return stops.stopped_at(lambda: work(account_at(path, fsync)), step)


def contents(account: Account) -> dict[bytes, list[tuple[str, int]]]:
    """Message octets, and where they are: (mailbox, UID)."""
    found: dict[bytes, list[tuple[str, int]]] = {}
    for entry in account.entries():
        if not entry.selectable:
            continue
        with account.open(entry.name) as box:
            box.refresh()
            assert faults(box) == []
            view = box.view()
            for seq in range(1, len(view) + 1):
                source = box.message(view, seq).section((), "")
                assert source is not None
                place = (entry.name, view.uid(seq))
                found.setdefault(b"".join(source.pieces()), []).append(place)
    return found


def compact(account: Account) -> None:
    with account.open("INBOX") as box, box.changing() as index:
        sync.compact(box, index)


def append_two(account: Account) -> None:
    with account.open("INBOX") as box:
        drafts = [box.write([b"Subject: new %d\r\n\r\n" % number]) for number in (1, 2)]
        box.commit([(draft, Flags(), None) for draft in drafts])


def replace(account: Account) -> None:
    with account.open("INBOX") as box:
        added = box.commit([(box.write([b"Subject: old\r\n\r\n"]), Flags(), None)])[0]
        box.replace(added, box, (box.write([b"Subject: new\r\n\r\n"]), Flags(), None))


def expunge(account: Account) -> None:
    with account.open("INBOX") as box:
        added = box.commit([(box.write([b"Subject: old\r\n\r\n"]), Flags(), None)])
        box.expunge(added)


WORKS = [append, append_two, replace, copy, move, store, claim, expunge, rename, rebuild, compact]


@pytest.mark.usefixtures("both_formats")
@rfc("9051", "6.4.8", 3, 4)
@rfc("6851", "3.3", 2, 3)
@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.__name__)
@pytest.mark.parametrize("keep_index", [True, False], ids=["with-index", "index-lost"])
def test_no_stop_loses_doubles_or_renumbers(
    tmp_path: Path, work: Callable[[Account], None], keep_index: bool
) -> None:
    step = 0
    while True:
        step += 1
        path = tmp_path / "Maildir"
        shutil.rmtree(path, ignore_errors=True)
        prepare(path)
        stopped = stopped_at(path, work, step)
        if not keep_index:
            for name in path.rglob("pymaild.index"):
                name.unlink()
        found = contents(account_at(path))
        for uid, data in enumerate(KEPT, 1):
            places = found.get(data, [])
            if work is not move:
                assert ("INBOX", uid) in places, f"lost or renumbered at step {step}"
            if work is not copy:
                assert len(places) == 1, f"{places} at step {step}"
            assert len({name for name, _ in places}) == len(places)
        if work is copy:
            copies = sum(name == "Archive" for places in found.values() for name, _ in places)
            assert copies in (0, 3), f"step {step}"
        assert contents(account_at(path)) == found, f"step {step}"
        if not stopped:
            break
    assert step > 2, "no step was observed"


def test_no_stop_in_a_takeover_loses_a_uid(tmp_path: Path) -> None:
    """The list of another server counts until the last file has its UID in its name."""
    names = [f"{number}.M1.host" for number in range(100, 106)]
    step, stopped = 0, True
    while stopped:
        step += 1
        path = tmp_path / f"box{step}"
        for directory in ("new", "cur", "tmp"):
            (path / directory).mkdir(parents=True)
        for name in names:
            (path / "cur" / f"{name}:2,S").write_bytes(b"Subject: %s\n\n" % name.encode())
        listed = "".join(f"{7 * place + 9} :{name}\n" for place, name in enumerate(names[:5]))
        (path / "dovecot-uidlist").write_text("3 V77 N99 Gabc\n" + listed)
        stopped = stopped_at(path, lambda account: account.open("INBOX").close(), step)
        with account_at(path).open("INBOX") as box:
            view = box.view()
            assert [view.uid(seq) for seq in range(1, 7)] == [9, 16, 23, 30, 37, 99]
            assert box.uidvalidity == 77
    assert step > len(names)


def test_flags_on_disk_are_the_flags_told(tmp_path: Path) -> None:
    """A STORE stopped half way has changed some messages, and says so for each of them."""
    for step in range(1, 6):
        path = tmp_path / f"box{step}"
        prepare(path)
        assert stopped_at(path, store, step)
        with account_at(path).open("INBOX") as box:
            box.refresh()
            view = box.view()
            told = [bool(view.flags(seq) & FLAGGED) for seq in range(1, 5)]
            names = {name.split("U=")[1][0]: name for name in os.listdir(f"{box.directory}/cur")}
            assert told == ["F" in names[str(uid)].split(":2,")[1] for uid in range(1, 5)]


@rfc("2033", "4.2", 3)
@rfc("2033", "4.3", 2)
def test_delivered_mail_is_on_disk_with_its_name(tmp_path: Path) -> None:
    """RFC 2033 §4.2: once a recipient has its reply, no crash of the machine loses the message."""
    account = account_at(tmp_path / "Maildir", fsync=True)
    account.prepare()
    steps: list[tuple[str, str]] = []
    atomic.observer = lambda kind, path: steps.append((kind, path))
    try:
        deliver(account, [KEPT[0]], None)
    finally:
        atomic.observer = None
    written = next(place for place, (kind, path) in enumerate(steps) if kind == "create")
    draft = steps[written][1]
    named = next(place for place, (kind, path) in enumerate(steps) if "/new/" in path)
    assert "/tmp/" in draft
    assert written < steps.index(("fsync", draft)) < named
    assert steps[named][0] in ("rename", "link")
    assert ("fsync", str(tmp_path / "Maildir" / "new")) in steps[named:]
