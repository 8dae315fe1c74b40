"""A process dies at each step of a change, others do what they like, and then somebody asks."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from pymaild.mail import committed
from pymaild.mail.account import Account
from pymaild.mail.delivery import deliver
from pymaild.mail.flags import Flags
from pymaild.mail.intents import Intents
from tests.mail.test_crash import KEPT, account_at, contents, prepare, stopped_at
from tests.support import stores

NEW = [b"Subject: new %d\r\n\r\nnew %d\r\n" % (number, number) for number in range(3)]
OTHER = b"Subject: other\r\n\r\nother\r\n"

NOTES = "notes"  # a file beside the Maildir


def noting(account: Account) -> Account:
    """Keep the intents of an account where they outlive the process."""

    def note(what: bytes) -> None:
        with open(f"{account.user.mail}/../{NOTES}", "ab") as file:
            file.write(what + b"\n")

    account.intents = Intents(note)
    return account


def successor(path: Path) -> Account:
    """The account as the process sees it that goes on."""
    notes = path.parent / NOTES
    lines = notes.read_bytes().splitlines() if notes.exists() else []
    account = noting(account_at(path))
    assert account.intents is not None
    account.intents.past += [json.loads(line) for line in lines]
    return account


def append(account: Account, count: int = 1) -> list[int]:
    with account.open("INBOX") as box:
        found = committed.brought(box)
        drafts = [(box.write([data]), Flags(), None) for data in NEW[:count]]
        return found or box.commit(drafts)


def append_all(account: Account) -> list[int]:
    return append(account, len(NEW))


def replace(account: Account) -> list[int]:
    with account.open("INBOX") as box:
        found = committed.brought(box)
        return found or [box.replace(2, box, (box.write([NEW[0]]), Flags(), None))]


def nothing(account: Account) -> None:
    """Nobody does anything."""


def deliveries(account: Account) -> None:
    """A UID that was reserved, and not used, goes to another message."""
    deliver(account, [OTHER], None)
    deliver(account, [OTHER], None)


def expunging(account: Account) -> None:
    """What has come is removed at once."""
    with account.open("INBOX") as box:
        box.refresh()
        view = box.view()
        uids = [view.uid(seq) for seq in range(1, len(view) + 1)]
        box.expunge(uid for uid in uids if uid > len(KEPT))


def moving(account: Account) -> None:
    """What has come is moved away at once."""
    with account.open("INBOX") as box, account.open("Archive") as archive:
        box.refresh()
        view = box.view()
        box.copy(view, range(len(KEPT), len(view) + 1), archive, move=True)


OTHERS = [nothing, deliveries, expunging, moving]


def tried(path: Path, work: Callable[[Account], object], step: int) -> bool:
    """Make an account, and let the work die before a step of it; false when it ended."""
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir()
    prepare(path)
    return stopped_at(path, lambda account: work(noting(account)), step, fsync=False)


@pytest.mark.usefixtures("both_formats")
@pytest.mark.parametrize("others", OTHERS, ids=lambda others: others.__name__)
@pytest.mark.parametrize("work", [append, append_all, replace], ids=lambda work: work.__name__)
def test_messages_come_once(
    tmp_path: Path, work: Callable[[Account], list[int]], others: Callable[[Account], None]
) -> None:
    path, step, stopped = tmp_path / "home" / "Maildir", 0, True
    count = len(NEW) if work is append_all else 1
    outcomes = set()
    while stopped:
        step += 1
        stopped = tried(path, work, step)
        others(account_at(path))
        with successor(path).open("INBOX") as box:
            done = committed.brought(box)
        outcomes.add(bool(done))
        assert len(done) in (0, count)
        before = contents(account_at(path))
        assert work(successor(path)) == done or not done
        after = contents(account_at(path))
        if done:
            assert after == before, f"step {step}"
        elif others is not moving:
            assert all(len(after[data]) == 1 for data in NEW[:count]), f"step {step}"
        if done and others in (nothing, deliveries):
            assert [after[data] for data in NEW[:count]] == [[("INBOX", uid)] for uid in done]
        assert len(after.get(OTHER, [])) == 2 * (others is deliveries)
    assert outcomes == {True, False}


# -- COPY and MOVE -----------------------------------------------------------------------------


def transfer(account: Account, snapshot: int, move: bool) -> list[tuple[int, int]]:
    with account.open("INBOX") as box, account.open("Archive") as archive:
        return box.copy(box.view(snapshot), [1, 2, 3], archive, move)


def begin(account: Account, snapshot: int, move: bool) -> None:
    transfer(noting(account), snapshot, move)


def emptied(account: Account) -> None:
    """What has come into the other mailbox is removed at once."""
    with account.open("Archive") as box:
        box.refresh()
        view = box.view()
        box.expunge([view.uid(seq) for seq in range(1, len(view) + 1)])


def moved_on(account: Account) -> None:
    """What has come into the other mailbox is moved on at once."""
    with account.open("Archive") as box, account.open("Trash") as trash:
        box.refresh()
        view = box.view()
        box.copy(view, range(1, len(view) + 1), trash, move=True)


@pytest.fixture(params=["one-device", "two-devices"])
def archive(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the other mailbox is, "" where it lies beside INBOX."""
    if request.param == "one-device":
        yield ""
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        if os.stat(place).st_dev == os.stat(tempfile.gettempdir()).st_dev:
            pytest.skip("there is one device only")
        yield f"{place}/Archive"


@pytest.mark.usefixtures("both_formats")
@pytest.mark.parametrize("others", [nothing, emptied, moved_on], ids=lambda work: work.__name__)
@pytest.mark.parametrize("move", [False, True], ids=["copy", "move"])
def test_messages_are_copied_or_moved_once(
    tmp_path: Path, archive: str, others: Callable[[Account], None], move: bool
) -> None:
    if archive and stores.chosen() == "mbox":
        pytest.skip("what moves is written anew anyway")
    path, step, stopped = tmp_path / "home" / "Maildir", 0, True
    while stopped:
        step += 1
        shutil.rmtree(path.parent, ignore_errors=True)
        path.parent.mkdir()
        prepare(path)
        if archive:
            shutil.rmtree(archive, ignore_errors=True)
            shutil.move(path / ".Archive", archive)
            (path / ".Archive").symlink_to(archive)
        with account_at(path).open("INBOX") as box:
            snapshot = box.index.snapshot
        work = partial(begin, snapshot=snapshot, move=move)
        stopped = stopped_at(path, work, step, fsync=False)
        others(account_at(path))
        pairs = transfer(successor(path), snapshot, move)
        assert [old for old, _ in pairs] == [1, 2, 3], f"step {step}"
        found = contents(account_at(path))
        for uid, data in enumerate(KEPT[:3], 1):
            places = dict(found.get(data, []))
            assert ("INBOX" in places) == (not move), f"step {step}"
            elsewhere = [name for name in places if name != "INBOX"]
            assert len(elsewhere) == 1 or others is emptied, f"{places} at step {step}"
            assert others is not nothing or places["Archive"] == pairs[uid - 1][1]
        assert transfer(successor(path), snapshot, move) == pairs, f"step {step}"
        assert contents(account_at(path)) == found, f"step {step}"
