"""STORE on many messages: the index says the flags at once, the names of the files follow."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pymaild.core.session import User
from pymaild.index import _files
from pymaild.mail import following, sync
from pymaild.mail.account import Account
from pymaild.mail.flags import FLAGGED, SEEN, Flags
from pymaild.mail.mailbox import Mailbox
from pymaild.mail.settings import MailSettings
from pymaild.mail.stores.maildir import MANY
from tests.support import stops

COUNT = MANY + 3


def account_at(path: Path) -> Account:
    return Account(User(name="u", mail=str(path)), MailSettings(fsync=False))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A Maildir with some messages, all of them seen."""
    made = tmp_path / "Maildir"
    prepare(made)
    return made


def prepare(path: Path) -> None:
    account = account_at(path)
    account.prepare()
    with account.open("INBOX") as box:
        flags = box.flags(["\\Seen"])
        messages = [b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(COUNT)]
        box.commit([(box.write([octets]), flags, None) for octets in messages])


def flag_all(box: Mailbox, how: str = "add") -> None:
    assert how in ("add", "remove")
    keyword = box.flags(["$Todo"])
    given = Flags(FLAGGED, keyword.keywords)
    box.store(box.view(), range(1, COUNT + 1), "add" if how == "add" else "remove", given)


def told(box: Mailbox) -> list[int]:
    """The system flags of all messages, as a client is told them."""
    view = box.view()
    return [view.flags(seq) & (FLAGGED | SEEN) for seq in range(1, len(view) + 1)]


def names(path: Path) -> list[str]:
    """What the names of all files say."""
    return sorted(name.rpartition(":2,")[2] for name in os.listdir(path / "cur"))


def dies(work: Callable[[], object]) -> None:
    """Do something in a process that is gone before it can do anything else."""
    assert stops.stopped_at(lambda: (work(), os._exit(stops.STOPPED)), 1 << 40)


def test_the_names_say_it_when_the_mailbox_is_left(path: Path) -> None:
    with account_at(path).open("INBOX") as box:
        flag_all(box)
        assert names(path) == ["S"] * COUNT
        assert told(box) == [FLAGGED | SEEN] * COUNT
    assert names(path) == ["FSa"] * COUNT


def test_a_message_is_read_before_its_name_follows(path: Path) -> None:
    with account_at(path).open("INBOX") as box, account_at(path).open("INBOX") as other:
        flag_all(box)
        found = other.message(other.view(), 1).section((), "")
        assert found is not None
        assert b"".join(found.pieces()) == b"Subject: 0\r\n\r\nbody\r\n"


def test_what_is_taken_back_in_time_is_never_written(path: Path) -> None:
    before = sorted(os.listdir(path / "cur"))
    with account_at(path).open("INBOX") as box:
        flag_all(box)
        flag_all(box, "remove")
        assert told(box) == [SEEN] * COUNT
    assert sorted(os.listdir(path / "cur")) == before


def test_a_few_are_renamed_at_once(path: Path) -> None:
    with account_at(path).open("INBOX") as box:
        flag_all(box)
        box.store(box.view(), [1, 2], "remove", Flags(SEEN))
        assert names(path).count("Fa") == 2
        assert told(box) == [FLAGGED] * 2 + [FLAGGED | SEEN] * (COUNT - 2)
    assert sorted(names(path)) == sorted(["Fa"] * 2 + ["FSa"] * (COUNT - 2))


def test_a_process_that_dies_loses_no_flag(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks at the mailbox after that lets the names follow."""
    dies(lambda: flag_all(account_at(path).open("INBOX")))
    assert names(path) == ["S"] * COUNT
    monkeypatch.setattr(following, "AFTER", 0)
    with account_at(path).open("INBOX") as box:
        assert told(box) == [FLAGGED | SEEN] * COUNT
        box.refresh()
        assert names(path) == ["FSa"] * COUNT
        assert told(box) == [FLAGGED | SEEN] * COUNT


def test_no_stop_loses_a_flag(tmp_path: Path) -> None:
    """Stopped before each rename: the index says the flags of all, and then so do the names."""
    step, stopped = 0, True
    while stopped:
        step += 1
        path = tmp_path / f"{step}"
        prepare(path)

        def work(path: Path = path) -> None:
            with account_at(path).open("INBOX") as box:
                flag_all(box)

        stopped = stops.stopped_at(work, step)
        with account_at(path).open("INBOX") as box:
            box.level()
            flags = told(box)
            keyword = box.index.keyword_count == 1
            assert flags in ([FLAGGED | SEEN] * COUNT, [SEEN] * COUNT)
        said = "FSa" if flags[0] & FLAGGED else "S"
        assert keyword or said == "S"
        assert names(path) == [said] * COUNT
    assert step > COUNT


def rename_first(path: Path, letters: str) -> None:
    """Another program changes the name of the first message."""
    name = min(os.listdir(path / "cur"), key=lambda name: int(name.split("U=")[1].split(":")[0]))
    target = name.rpartition(":2,")[0] + ":2," + letters
    os.rename(path / "cur" / name, path / "cur" / target)


def test_what_others_change_meanwhile_is_kept_with_ours(path: Path) -> None:
    with account_at(path).open("INBOX") as box:
        flag_all(box)
        rename_first(path, "R")  # answered, and no longer seen
        box.level()
        assert told(box) == [FLAGGED] + [FLAGGED | SEEN] * (COUNT - 1)
    assert sorted(names(path)) == sorted(["FRa"] + ["FSa"] * (COUNT - 1))


def test_what_others_remove_meanwhile_is_gone(path: Path) -> None:
    with account_at(path).open("INBOX") as box:
        flag_all(box)
        os.unlink(path / "cur" / os.listdir(path / "cur")[0])
        box.level()
        assert told(box) == [FLAGGED | SEEN] * (COUNT - 1)
    assert names(path) == ["FSa"] * (COUNT - 1)


def compacted(box: Mailbox) -> None:
    with box.changing() as index:
        sync.compact(box, index)


def rebuilt(box: Mailbox) -> None:
    box.rebuild()


@pytest.mark.parametrize("anew", [compacted, rebuilt], ids=lambda anew: anew.__name__)
def test_an_index_that_is_made_anew_lets_the_names_follow_first(
    path: Path, anew: Callable[[Mailbox], None]
) -> None:
    with account_at(path).open("INBOX") as box:
        flag_all(box)
        anew(box)
        assert names(path) == ["FSa"] * COUNT
    with account_at(path).open("INBOX") as box:
        assert told(box) == [FLAGGED | SEEN] * COUNT


def test_messages_go_and_are_copied_before_their_names_follow(path: Path) -> None:
    account = account_at(path)
    with account.open("INBOX") as box, account.open("Archive") as archive:
        flag_all(box)
        box.copy(box.view(), [1, 2], archive)
        box.copy(box.view(), [3], archive, move=True)
        box.expunge([4])
        archive.refresh()
        assert told(archive) == [FLAGGED | SEEN] * 3
    with account.open("INBOX") as box:
        assert told(box) == [FLAGGED | SEEN] * (COUNT - 2)
    assert names(path) == ["FSa"] * (COUNT - 2)
    assert names(path / ".Archive") == ["FSa"] * 3


def test_many_that_are_claimed_leave_new_in_time(path: Path) -> None:
    with account_at(path).open("INBOX") as box:
        for number in range(MANY):
            (path / "new" / f"9.M{number}P1.host").write_bytes(b"Subject: other\n\n")
        box.refresh()
        assert len(box.claim_recent(box.view())) == MANY
        assert box.claim_recent(box.view()) == []
    assert os.listdir(path / "new") == []


def test_after_a_power_failure_the_names_tell(path: Path) -> None:
    """Of an index that was not synced any page may be older than the names are."""
    dies(lambda: flag_all(account_at(path).open("INBOX")))
    rename_first(path, "RS")

    def look() -> None:
        _files._BOOT = os.urandom(16)
        with account_at(path).open("INBOX") as box:
            box.refresh()
            assert told(box) == [SEEN] * COUNT
            assert not box.index.behind

    assert not stops.stopped_at(look, 1 << 40)
    assert sorted(names(path)) == sorted(["RS"] + ["S"] * (COUNT - 1))
