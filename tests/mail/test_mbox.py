"""Mailboxes over real mbox files: what a session can do, and what other programs do meanwhile."""

from __future__ import annotations

import fcntl
import mailbox as others
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pymaild.core.errors import Code, Refused
from pymaild.core.session import User
from pymaild.mail.account import Account
from pymaild.mail.check import faults
from pymaild.mail.flags import FLAGGED, SEEN, Flags
from pymaild.mail.mailbox import Mailbox
from pymaild.mail.selected import Selected
from pymaild.mail.settings import MailSettings
from pymaild.mail.stores.mbox_tree import OWN
from tests.support import stores

MAIL = b"From: a@example.org\r\nSubject: %d\r\n\r\nHello\r\n"
FOREIGN = b"From x@y.z Mon Nov 23 17:35:50 2026\nSubject: foreign %d\n%s\nText\n\n"


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    account = made(tmp_path)
    account.prepare()
    yield account
    account.close()


def made(path: Path) -> Account:
    user = User(name="u", mail=str(path / "mail"), inbox=str(path / "spool" / "u"))
    return Account(user, MailSettings(fsync=False, mbox_lock_timeout=0.2))


def append(box: Mailbox, number: int, *names: str) -> int:
    return box.commit([(box.write([MAIL % number]), box.flags(names), None)])[0]


def picture(box: Mailbox) -> list[tuple[int, int, list[str], bytes]]:
    """UID, system flags, keywords and octets of each message, as a new session sees them."""
    box.refresh()
    view, found = box.view(), []
    assert faults(box) == []
    for seq in range(1, len(view) + 1):
        flags, keywords = view.flags(seq), box.flag_names(Flags(0, view.keywords(seq)))
        source = box.message(view, seq).section((), "")
        assert source is not None
        found.append((view.uid(seq), flags, keywords, b"".join(source.pieces())))
    return found


def forget(box: Mailbox) -> None:
    """Have the index, log and cache away, as after a loss of the disk they are on."""
    for part in ("index", "log", "cache"):
        os.unlink(os.path.join(box.directory, f"pymaild.{part}"))


def inbox_of(account: Account) -> Path:
    return Path(account.user.inbox)


@pytest.mark.parametrize(
    ("path", "sender"),
    [
        (b"Return-Path: <list@example.org>\r\n", b"list@example.org"),
        (b'return-path:<"a b"@example.org>\r\n', b'"ab"@example.org'),
        (b"Return-Path: <>\r\n", b"MAILER-DAEMON"),
        (b"Return-Path: <never ends\r\n", b"MAILER-DAEMON"),
        (b"", b"MAILER-DAEMON"),
    ],
)
def test_the_from_line_names_the_sender(account: Account, path: bytes, sender: bytes) -> None:
    with account.open("INBOX") as box:
        box.commit([(box.write([path + MAIL % 1]), Flags(), 86400.0)])
    first = inbox_of(account).read_bytes().partition(b"\n")[0]
    assert first == b"From %b Fri Jan  2 00:00:00 1970 +0000" % sender


def test_what_is_stored_is_served_with_uids_and_flags(account: Account) -> None:
    with account.open("INBOX") as box:
        assert [append(box, 1, "\\Seen", "$Todo"), append(box, 2)] == [1, 2]
        box.store(box.view(), [2], "add", box.flags(["\\Flagged", "Later"]))
        before = picture(box)
        assert before == [(1, SEEN, ["$Todo"], MAIL % 1), (2, FLAGGED, ["Later"], MAIL % 2)]
        validity = box.uidvalidity
        forget(box)
    with account.open("INBOX") as box:
        assert picture(box) == before
        assert box.uidvalidity == validity
        assert box.status().uidnext > 2


def test_uids_are_not_used_again(account: Account) -> None:
    with account.open("INBOX") as box:
        for number in range(4):
            append(box, number)
        box.expunge([2, 4])
        assert [uid for uid, *_ in picture(box)] == [1, 3]
        forget(box)
    with account.open("INBOX") as box:
        assert [uid for uid, *_ in picture(box)] == [1, 3]
        assert append(box, 9) > 4


def test_an_empty_mbox_keeps_its_numbers(account: Account) -> None:
    with account.open("INBOX") as box:
        append(box, 1)
        box.expunge([1])
        validity = box.uidvalidity
        forget(box)
    with account.open("INBOX") as box:
        assert box.uidvalidity == validity
        assert append(box, 2) > 1


def test_mail_of_others_is_found_and_keeps_its_uid(account: Account) -> None:
    """The UID is in the file before anybody is told of it."""
    with account.open("INBOX") as box:
        append(box, 1)
        selected = Selected.open(account, "INBOX", read_only=False)
        with inbox_of(account).open("ab") as file:
            file.write(FOREIGN % (2, b""))
        changes = selected.changes(expunge=True)
        assert (changes.exists, changes.recent) == (2, 2)
        assert b"X-UID: 2\n" in inbox_of(account).read_bytes()
        selected.close()
        forget(box)
    with account.open("INBOX") as box:
        assert [uid for uid, *_ in picture(box)] == [1, 2]


def test_a_file_of_another_server_keeps_its_numbers(tmp_path: Path) -> None:
    spool = tmp_path / "spool" / "u"
    spool.parent.mkdir()
    fields = b"X-IMAPbase: 1234567 0000000099 $One\nX-UID: 17\nStatus: RO\nX-Keywords: $One\n"
    spool.write_bytes(FOREIGN % (1, fields) + FOREIGN % (2, b"X-UID: 42\nX-Status: F\n"))
    account = made(tmp_path)
    account.prepare()
    with account.open("INBOX") as box:
        assert box.uidvalidity == 1234567
        assert [(uid, flags, words) for uid, flags, words, _ in picture(box)] == [
            (17, SEEN, ["$One"]),
            (42, FLAGGED, []),
        ]
        assert append(box, 3) == 100


def test_a_uid_that_a_sender_has_written_does_not_count(account: Account) -> None:
    with account.open("INBOX") as box:
        append(box, 1)
        with inbox_of(account).open("ab") as file:
            file.write(FOREIGN % (2, b"X-UID: 4294967290\n"))
        assert [uid for uid, *_ in picture(box)] == [1, 2]


def test_changes_of_others_in_the_middle(account: Account) -> None:
    """Python's module rewrites the file: one goes, one is flagged, one loses what we wrote."""
    with account.open("INBOX") as box:
        for number in range(5):
            append(box, number)
        mail = others.mbox(str(inbox_of(account)))
        mail.lock()
        mail.remove(1)
        message = mail[2]
        message.set_flags("F")
        mail[2] = message
        bare = mail[3]
        for name in ("X-UID", "Status", "X-Status", "X-Keywords"):
            del bare[name]
        mail[3] = bare
        mail.close()
        told = [(uid, flags) for uid, flags, *_ in picture(box)]
        assert told == [(1, 0), (3, FLAGGED), (4, 0), (5, 0)]


def test_the_octets_of_a_uid_never_change(account: Account) -> None:
    """A message whose header another program has changed is another message."""
    with account.open("INBOX") as box:
        append(box, 1)
        append(box, 2)
        octets = inbox_of(account).read_bytes()
        inbox_of(account).write_bytes(octets.replace(b"Subject: 1", b"Subject: one"))
        assert [(uid, octets) for uid, _, _, octets in picture(box)] == [
            (2, MAIL % 2),
            (3, (MAIL % 1).replace(b"1", b"one")),
        ]


def test_twins_are_told_apart(account: Account) -> None:
    with account.open("INBOX") as box:
        for _ in range(3):
            append(box, 7)
        view = box.view()
        box.expunge([2])
        with pytest.raises(Refused) as refused:
            box.message(view, 2).data()
        assert refused.value.code == Code.EXPUNGEISSUED
        assert [uid for uid, *_ in picture(box)] == [1, 3]


def test_a_large_message_is_read_without_keeping_the_file_locked(account: Account) -> None:
    body = b"Subject: large\r\n\r\n" + b"x" * 998 * 2 + b"\r\n"
    body += b"line\r\n" * 100_000
    with account.open("INBOX") as box:
        box.commit([(box.write([body]), Flags(), None)])
        source = box.message(box.view(), 1).section((), "")
        assert source is not None
        pieces = source.pieces()
        first = next(pieces)
        with inbox_of(account).open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        box.expunge([1])
        assert first + b"".join(pieces) == body


def test_who_keeps_the_file_locked_is_waited_for_and_told_of(account: Account) -> None:
    with account.open("INBOX") as box:
        append(box, 1)
        lock = subprocess.Popen(
            ["python3", "-c", _LOCKING, str(inbox_of(account))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert lock.stdin is not None
        assert lock.stdout is not None
        assert lock.stdout.readline() == b"locked\n"
        with pytest.raises(Refused) as refused:
            append(box, 2)
        assert refused.value.code == Code.INUSE
        box.refresh()  # what is known can be read all the same
        assert len(box.view()) == 1
        lock.communicate(b"\n")
        assert append(box, 2) == 2


_LOCKING = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("move", [False, True], ids=["copy", "move"])
@pytest.mark.parametrize("into", ["maildir", "mbox"])
def test_messages_go_from_one_format_to_the_other(tmp_path: Path, into: str, move: bool) -> None:
    maildir = Account(User(name="m", mail=str(tmp_path / "Maildir")), MailSettings(fsync=False))
    mbox = made(tmp_path)
    accounts = (mbox, maildir) if into == "maildir" else (maildir, mbox)
    for one in accounts:
        one.prepare()
    with accounts[0].open("INBOX") as source, accounts[1].open("Archive") as target:
        for number in range(3):
            append(source, number, "\\Seen", "$Word")
        pairs = source.copy(source.view(), [1, 3], target, move)
        assert pairs == [(1, 1), (3, 2)]
        assert picture(target) == [(n + 1, SEEN, ["$Word"], MAIL % (2 * n)) for n in range(2)]
        assert len(picture(source)) == (1 if move else 3)


def test_a_message_is_replaced(account: Account) -> None:
    with account.open("INBOX") as box:
        append(box, 1)
        append(box, 2)
        assert box.replace(1, box, (box.write([MAIL % 3]), Flags(), None)) == 3
        assert [(uid, octets) for uid, _, _, octets in picture(box)] == [
            (2, MAIL % 2),
            (3, MAIL % 3),
        ]


# -- the tree --------------------------------------------------------------------------------------


def names(account: Account) -> list[tuple[str, bool, bool]]:
    return [(entry.name, entry.selectable, entry.inferiors) for entry in account.entries()]


def test_files_are_mailboxes_and_directories_stand_above_them(account: Account) -> None:
    for name in ("Drafts", "Sent", "Junk", "Trash", "Archive"):
        account.delete(name)
    account.create("Work/Bills")
    account.create("Bücher")
    assert names(account) == [
        ("INBOX", True, True),
        ("Bücher", True, False),
        ("Work", False, True),
        ("Work/Bills", True, False),
    ]
    assert (Path(account.user.mail) / "Work" / "Bills").is_file()
    assert (Path(account.user.mail) / "B&APw-cher").is_file()


def test_inbox_can_have_others_below_it_where_its_file_is_elsewhere(tmp_path: Path) -> None:
    account = made(tmp_path)
    account.prepare()
    account.create("INBOX/Sub")
    assert ("INBOX", True, True) in names(account)
    assert ("INBOX/Sub", True, False) in names(account)
    account.close()
    user = User(name="u", mail=str(tmp_path / "other"), inbox=str(tmp_path / "other" / "INBOX"))
    account = Account(user, MailSettings(fsync=False))
    account.prepare()
    assert ("INBOX", True, False) in names(account)
    with pytest.raises(Refused):
        account.create("INBOX/Sub")
    account.close()


@pytest.mark.parametrize("make", [Account.create, lambda a, n: a.rename("Sent", n)])
def test_a_file_has_none_below_it(account: Account, make: Callable[[Account, str], None]) -> None:
    with pytest.raises(Refused) as refused:
        make(account, "Drafts/Sub")
    assert refused.value.code == Code.CANNOT
    assert account.exists("Sent")


def test_a_renamed_mailbox_keeps_uids_and_flags(account: Account) -> None:
    with account.open("Sent") as box:
        append(box, 1, "\\Flagged")
        before, validity, identity = picture(box), box.uidvalidity, box.mailboxid()
    account.rename("Sent", "Old/Sent")
    assert not account.exists("Sent")
    with account.open("Old/Sent") as box:
        assert (picture(box), box.uidvalidity, box.mailboxid()) == (before, validity, identity)


def test_a_mailbox_that_is_made_again_is_another(account: Account) -> None:
    with account.open("Sent") as box:
        append(box, 1)
        validity = box.uidvalidity
    account.delete("Sent")
    account.create("Sent")
    with account.open("Sent") as box:
        assert box.uidvalidity > validity
        assert picture(box) == []


def test_what_is_no_mbox_is_none(account: Account) -> None:
    folders = Path(account.user.mail)
    (folders / "notes.txt").write_text("Dear diary")
    (folders / "old").write_bytes(FOREIGN % (1, b""))
    os.mkfifo(folders / "pipe")
    found = {name for name, *_ in names(account)}
    assert "old" in found
    assert not found & {"notes.txt", "pipe"}


def test_an_inbox_that_another_program_removed_is_there_again(account: Account) -> None:
    """As mailx does with one that it has emptied."""
    with account.open("INBOX") as box:
        append(box, 1)
        inbox_of(account).unlink()
        assert picture(box) == []
        assert append(box, 2) == 2


# -- other programs --------------------------------------------------------------------------------


@pytest.mark.skipif(not os.path.exists("/usr/bin/dotlockfile"), reason="there is no dotlockfile")
def test_appends_under_the_locks_of_others_while_we_change(account: Account) -> None:
    """Nothing is lost and nothing is there twice, whoever comes first."""
    script = "for n in $(seq 40); do dotlockfile -l -r 50 $1.lock && "
    script += "printf 'From x Mon Nov 23 17:35:50 2026\\nSubject: mta %d\\n\\nText\\n\\n' $n >> $1"
    script += " && dotlockfile -u $1.lock; done"
    with account.open("INBOX") as box:
        box.mail.stamp()
        delivery = subprocess.Popen(["sh", "-c", script, "sh", str(inbox_of(account))])
        kept = []
        for number in range(30):
            uid = append(box, number, "\\Seen")
            if number % 3:
                kept.append(MAIL % number)
            else:
                box.expunge([uid])
        assert delivery.wait(60) == 0
        found = picture(box)
        octets = [data for *_, data in found]
        assert sorted(data for data in octets if b"mta" not in data) == sorted(kept)
        mta = [b"Subject: mta %d\r\n\r\nText\r\n" % number for number in range(1, 41)]
        assert [data for data in octets if b"mta" in data] == mta


def test_users_are_of_the_format_that_is_chosen(tmp_path: Path) -> None:
    assert stores.chosen() in stores.FORMATS
    assert Account(User(mail=str(tmp_path)), MailSettings()).root == str(tmp_path)
    assert made(tmp_path).root == str(tmp_path / "mail" / OWN)
