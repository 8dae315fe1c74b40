"""Folders of Dovecot, Courier and mbsync keep UIDs, UIDVALIDITY, keywords, subscriptions."""

from __future__ import annotations

import os
from pathlib import Path

from pymaild.core.session import User
from pymaild.mail.account import Account
from pymaild.mail.export import export_dovecot
from pymaild.mail.flags import Flags
from pymaild.mail.settings import MailSettings
from pymaild.storage import takeover

NAMES = ["100.M1P1.host,S=20,W=22", "101.M2P1.host,S=20,W=22", "102.M3P1.host"]


def maildir(path: Path, infos: list[str]) -> Account:
    for name in ("new", "cur", "tmp"):
        (path / name).mkdir(parents=True)
    for name, info in zip(NAMES, infos, strict=True):
        (path / "cur" / (name + info)).write_bytes(b"Subject: x\n\nbody of\n")
    return Account(User(name="u", mail=str(path)), MailSettings())


def told(account: Account) -> list[tuple[int, list[str]]]:
    account.prepare()
    with account.open("INBOX") as box:
        box.refresh()
        view = box.view()
        return [
            (view.uid(seq), box.flag_names(Flags(view.flags(seq), view.keywords(seq))))
            for seq in range(1, len(view) + 1)
        ]


def twice(account: Account) -> list[tuple[int, list[str]]]:
    """What is told, and told again when the index is gone."""
    first = told(account)
    os.unlink(os.path.join(account.root, "pymaild.index"))
    assert told(account) == first
    return first


def test_dovecot(tmp_path: Path) -> None:
    account = maildir(tmp_path, [":2,S", ":2,Fab", ":2,"])
    (tmp_path / "dovecot-uidlist").write_text(
        f"3 V1234567 N90 G0123456789abcdef\n17 W22 :{NAMES[0]}:2,S\n40 :{NAMES[1]}\n88 :long.gone\n"
    )
    (tmp_path / "dovecot-keywords").write_text("0 $Forwarded\n1 NonJunk\n")
    (tmp_path / "subscriptions").write_text("V\t2\n\nINBOX\nWork\tProjects\n")
    assert twice(account) == [
        (17, ["\\Seen"]),
        (40, ["\\Flagged", "$Forwarded", "NonJunk"]),
        (90, []),
    ]
    with account.open("INBOX") as box:
        assert box.uidvalidity == 1234567
    assert account.subscriptions() == ["INBOX", "Work/Projects"]
    assert [entry.name for entry in account.entries()] == ["INBOX"]


def test_courier(tmp_path: Path) -> None:
    account = maildir(tmp_path, [":2,S", ":2,F", ":2,"])
    (tmp_path / "courierimapuiddb").write_text(f"1 7654321 51\n5 {NAMES[0]}\n50 {NAMES[1]}\n")
    words = tmp_path / "courierimapkeywords"
    words.mkdir()
    (words / ":list").write_text(f"$Label1\n$Label2\n\n{NAMES[1]}:1 0\n")
    (words / NAMES[0]).write_text("$Label2\n")
    (tmp_path / "courierimapsubscribed").write_text("INBOX.Work.Old\n")
    assert twice(account) == [
        (5, ["\\Seen", "$Label2"]),
        (50, ["\\Flagged", "$Label1", "$Label2"]),
        (51, []),
    ]
    with account.open("INBOX") as box:
        assert box.uidvalidity == 7654321
    assert account.subscriptions() == ["Work/Old"]


def test_mbsync(tmp_path: Path) -> None:
    account = maildir(tmp_path, [",U=4:2,S", ",U=9:2,", ":2,"])
    (tmp_path / ".uidvalidity").write_text("555\n9\n")
    assert twice(account) == [(4, ["\\Seen"]), (9, []), (10, [])]
    with account.open("INBOX") as box:
        assert box.uidvalidity == 555


def test_and_back_to_dovecot(tmp_path: Path) -> None:
    account = maildir(tmp_path, [":2,S", ":2,", ":2,"])
    account.prepare()
    with account.open("INBOX") as box:
        box.store(box.view(), [2], "add", box.flags(["$Todo"]))
        validity, following = box.uidvalidity, box.status().uidnext
    export_dovecot(account)
    found = takeover.adopt(str(tmp_path))
    assert found is not None
    assert (found.uidvalidity, found.uidnext, found.keywords) == (validity, following, ["$Todo"])
    there = {name.partition(":")[0].encode() for name in os.listdir(tmp_path / "cur")}
    assert set(found.uids) == there
    assert sorted(found.uids.values()) == [1, 2, 3]
    assert takeover.subscriptions(str(tmp_path)) == account.subscriptions()


def test_a_broken_list_of_another_server_is_no_reason_to_fail(tmp_path: Path) -> None:
    account = maildir(tmp_path, [":2,S", ":2,", ":2,"])
    (tmp_path / "dovecot-uidlist").write_bytes(b"3 Vx N\n\xff\xfe\n1 :\n")
    assert [uid for uid, _ in told(account)] == [1, 2, 3]
