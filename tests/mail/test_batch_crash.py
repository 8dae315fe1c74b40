"""The process dies before each step of MULTIAPPEND and REPLACE: all of it is done, or nothing."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pymaild.core.errors import Refused
from pymaild.mail.account import Account
from pymaild.mail.batch import NAME
from pymaild.mail.flags import Flags
from pymaild.storage import atomic
from tests.mail.test_crash import KEPT, account_at, contents, prepare, stopped_at
from tests.support.rfc import rfc

NEW = [b"Subject: new %d\r\n\r\nnew %d\r\n" % (number, number) for number in range(3)]


def append_all(account: Account) -> None:
    with account.open("INBOX") as box:
        drafts = [(box.write([data]), Flags(number), None) for number, data in enumerate(NEW)]
        box.commit(drafts)


def replace_here(account: Account) -> None:
    replace(account, "INBOX")


def replace_into_another(account: Account) -> None:
    replace(account, "Archive")


def replace(account: Account, into: str) -> None:
    with account.open("INBOX") as box, account.open(into) as target:
        box.replace(2, target, (target.write([NEW[0]]), Flags(16), None))


#: What is there afterwards, when it is all done: messages that came, and kept ones that went.
WORKS: dict[Callable[[Account], None], tuple[list[bytes], list[bytes]]] = {
    append_all: (NEW, []),
    replace_here: (NEW[:1], KEPT[1:2]),
    replace_into_another: (NEW[:1], KEPT[1:2]),
}


@pytest.mark.usefixtures("both_formats")
@rfc("3502", "0", 7)
@rfc("8508", "3.4", 2)
@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.__name__)
@pytest.mark.parametrize("keep_index", [True, False], ids=["with-index", "index-lost"])
def test_all_or_nothing(tmp_path: Path, work: Callable[[Account], None], keep_index: bool) -> None:
    came, went = WORKS[work]
    step, outcomes = 0, set()
    stopped = True
    while stopped:
        step += 1
        path = tmp_path / "Maildir"
        shutil.rmtree(path, ignore_errors=True)
        prepare(path)
        stopped = stopped_at(path, work, step)
        if not keep_index:
            for name in path.rglob("pymaild.index"):
                name.unlink()
        found = contents(account_at(path))
        is_done = came[0] in found
        outcomes.add(is_done)
        assert [data in found for data in came] == [is_done] * len(came), f"step {step}"
        for uid, data in enumerate(KEPT, 1):
            there = [("INBOX", uid)] if not (is_done and data in went) else []
            assert found.get(data, []) == there, f"step {step}"
        assert all(len(places) == 1 for places in found.values())
        assert not list(path.rglob(NAME)) or not is_done
        again = contents(account_at(path))
        assert again == found, f"step {step}"
    assert is_done
    assert outcomes == {True, False}


@pytest.mark.usefixtures("both_formats")
@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.__name__)
def test_a_disk_that_fails_at_any_step_leaves_all_or_nothing(
    tmp_path: Path, work: Callable[[Account], None]
) -> None:
    """The process lives on: what was begun is taken back at once, or by whoever comes next."""
    came, went = WORKS[work]
    step, failed = 0, True
    while failed:
        step += 1
        path = tmp_path / "Maildir"
        shutil.rmtree(path, ignore_errors=True)
        prepare(path)
        failed = failing_at(account_at(path, fsync=True), work, step)
        found = contents(account_at(path))
        is_done = came[0] in found
        assert [data in found for data in came] == [is_done] * len(came), f"step {step}"
        for data in KEPT:
            assert (data in found) == (data not in went or not is_done), f"step {step}"
    assert is_done


def failing_at(account: Account, work: Callable[[Account], None], step: int) -> bool:
    """Let one step fail with an I/O error; true when it came to that."""
    taken = 0

    def observe(kind: str, place: str) -> None:
        nonlocal taken
        taken += 1
        if taken == step:
            raise OSError(errno.EIO, "failing disk")

    atomic.observer = observe
    try:
        work(account)
    except (OSError, Refused):
        return True
    finally:
        atomic.observer = None
    return taken >= step


def test_the_message_that_goes_may_have_moved_meanwhile(tmp_path: Path) -> None:
    """A note about a message that another process has given other flags finds it all the same."""
    path = tmp_path / "Maildir"
    prepare(path)
    with account_at(path).open("INBOX") as box:
        steps: list[tuple[str, str]] = []
        atomic.observer = lambda kind, place: steps.append((kind, place))
        try:
            box.replace(2, box, (box.write([NEW[0]]), Flags(), None))
        finally:
            atomic.observer = None
    gone = next(n for n, (kind, place) in enumerate(steps) if kind == "unlink" and ",U=2" in place)
    shutil.rmtree(path)
    prepare(path)
    assert stopped_at(path, replace_here, gone + 1)
    (old,) = (path / "cur").glob("*,U=2:2,S")
    old.rename(old.with_name(old.name + "T"))
    found = contents(account_at(path))
    assert NEW[0] not in found
    assert found[KEPT[1]] == [("INBOX", 2)]


@pytest.mark.parametrize("note", [b"", b'{"placed": ["', bytes(64)])
def test_a_note_that_makes_no_sense_is_thrown_away(tmp_path: Path, note: bytes) -> None:
    """As a power failure can leave it where files are not synced."""
    maildir = tmp_path / "Maildir"
    prepare(maildir)
    (maildir / NAME).write_bytes(note)
    append_all(account_at(maildir))
    assert not (maildir / NAME).exists()
    assert {*NEW, *KEPT} <= contents(account_at(maildir)).keys()
