"""Quotas (RFC 9208): told, set, and obeyed by every command that brings mail in."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pymaild.mail.account import Account
from pymaild.mail.mailbox import Mailbox
from pymaild.storage import usage as usage_file
from tests.imap.conftest import Client, ImapBench
from tests.support.rfc import rfc

SIZE = 1000  # octets of a message's file; 1017 on the wire, which is what is announced
KIB = 1024
MESSAGE = b"A: b\r\n\r\n" + b"x" * 61 + (b"\r\n" + b"y" * 69) * 13 + b"\r\n" + b"z" * 21 + b"\r\n"


def limited(bench: ImapBench, **limits: int) -> None:
    """Give every user limits by the settings: storage in octets, messages, mailboxes."""
    bench.mail = replace(bench.mail, **{f"quota_{name}": n for name, n in limits.items()})


def root(client: Client, name: str = "#user/alice") -> str:
    """What GETQUOTA tells of a root, without its name."""
    told = client.told(client.ok(f"GETQUOTA {name}"))
    (line,) = [line for line in told if line.startswith("QUOTA ")]
    return line.removeprefix(f'QUOTA "{name}" ')


def append(client: Client, mailbox: str = "INBOX", count: int = 1) -> None:
    for _ in range(count):
        client.ok(f"APPEND {mailbox} {{{len(MESSAGE)}+}}\r\n{MESSAGE.decode()}")


def full(client: Client, command: str) -> None:
    """A command that must be refused because there is no room."""
    assert client.no(command).code == "OVERQUOTA"


def account(bench: ImapBench, name: str = "alice") -> Account:
    return Account(bench.user(name), bench.mail)


# -- what is told --------------------------------------------------------------------------------


@rfc("9208", "1", 2, 3)
@rfc("9208", "3.1.1", 2)
@rfc("9208", "3.1.2", 5)
@rfc("9208", "5", 1, 2)
@rfc("9208", "5.1", 3)
@rfc("9208", "5.2", 3)
@rfc("9208", "5.3", 2)
def test_resources_are_announced(imap: ImapBench) -> None:
    client = imap.login()
    words = client.told(client.ok("CAPABILITY"))[0].split()
    kinds = {f"QUOTA=RES-{name}" for name in ("STORAGE", "MESSAGE", "MAILBOX")}
    assert {word for word in words if word.startswith("QUOTA")} == {"QUOTA", "QUOTASET", *kinds}


@rfc("9208", "3.1.2", 2, 4)
@rfc("9208", "3.2", 2)
@rfc("9208", "4.1.1", 1)
@rfc("9208", "5.2", 1)
@rfc("9208", "5.3", 1)
def test_what_is_used_and_what_may_be_is_told(imap: ImapBench) -> None:
    limited(imap, storage=1 << 20, messages=10, mailboxes=20)
    client = imap.login()
    assert root(client) == "(STORAGE 0 1024 MESSAGE 0 10 MAILBOX 6 20)"
    append(client, count=2)
    append(client, "Sent")
    assert root(client) == "(STORAGE 3 1024 MESSAGE 3 10 MAILBOX 6 20)"
    client.ok("CREATE a/b")
    assert root(client) == "(STORAGE 3 1024 MESSAGE 3 10 MAILBOX 7 20)"


def test_a_root_without_limits_is_told_as_such(imap: ImapBench) -> None:
    """RFC 9208 §4.2.1: an empty list."""
    assert root(imap.login()) == "()"


@rfc("9208", "4.1.2", 1)
def test_a_mailbox_has_the_root_of_its_owner(imap: ImapBench) -> None:
    limited(imap, messages=10)
    client = imap.login()
    for name in ("INBOX", "Sent", "not/yet/there"):
        assert client.told(client.ok(f"GETQUOTAROOT {name}")) == [
            f'QUOTAROOT "{name}" "#user/alice"',
            'QUOTA "#user/alice" (MESSAGE 0 10)',
        ]


@pytest.mark.parametrize("modes", ["UTF8=ACCEPT", "IMAP4rev2", "X-NONE"])
def test_a_name_that_no_mailbox_can_have_is_refused(imap: ImapBench, modes: str) -> None:
    """It would stand in the reply: a line end in it would begin another one."""
    client = imap.login()
    client.ok(f"ENABLE {modes}")
    assert client.no(b"GETQUOTAROOT {4+}\r\na\r\nb").code == "CANNOT"


def test_others_see_how_full_it_is_where_they_may_read(imap: ImapBench) -> None:
    """RFC 9208 §6: the number of mailboxes needs no right, what lies in them needs "r"."""
    limited(imap, messages=10, mailboxes=20)
    imap.login().ok("SETACL INBOX bob lr")
    imap.login().ok("SETACL Sent bob l")
    bob = imap.login("bob")
    for name, told in (("", "MESSAGE 0 10 MAILBOX 6 20"), ("/Sent", "MAILBOX 6 20")):
        assert bob.told(bob.ok(f"GETQUOTAROOT Users/alice{name}")) == [
            f'QUOTAROOT "Users/alice{name}" "#user/alice"',
            f'QUOTA "#user/alice" ({told})',
        ]
    assert bob.no("GETQUOTA #user/alice").code == "NONEXISTENT"
    assert bob.no("GETQUOTA #user/nobody").code == "NONEXISTENT"


@rfc("9208", "4.1.4", 1)
@rfc("9208", "5.1", 2)
@rfc("9208", "5.2", 2)
@rfc("9208", "7", 2, 3, 4, 5)
def test_what_an_expunge_would_free_is_told(imap: ImapBench) -> None:
    client = imap.login()
    append(client, count=3)
    ask = "STATUS INBOX (DELETED DELETED-STORAGE)"
    assert client.told(client.ok(ask)) == ['STATUS "INBOX" (DELETED 0 DELETED-STORAGE 0)']
    client.ok("SELECT INBOX")
    client.ok("STORE 1:2 +FLAGS.SILENT (\\Deleted)")
    told = f'STATUS "INBOX" (DELETED 2 DELETED-STORAGE {2 * SIZE})'
    assert client.told(client.ok(ask)) == [told]
    box = account(imap).open("INBOX")
    box.rebuild()
    box.close()
    assert told in client.told(client.ok(ask))
    client.ok("EXPUNGE")
    assert client.told(client.ok(ask)) == ['STATUS "INBOX" (DELETED 0 DELETED-STORAGE 0)']


@rfc("9208", "7", 1)
def test_names_match_in_any_case(imap: ImapBench) -> None:
    imap.mail = replace(imap.mail, admins=("alice",))
    client = imap.login()
    client.ok("setQuota #user/alice (Storage 10 messAge 5)")
    assert root(client) == "(STORAGE 0 10 MESSAGE 0 5)"
    client.ok("getquotaRoot inbox")
    client.ok("status INBOX (deleted-Storage)")


# -- what is set ---------------------------------------------------------------------------------


def test_administrators_set_limits(imap: ImapBench) -> None:
    limited(imap, storage=1 << 20)
    imap.mail = replace(imap.mail, admins=("bob",))
    bob, alice = imap.login("bob"), imap.login()
    answer = bob.ok("SETQUOTA #user/alice (MESSAGE 5)")
    assert bob.told(answer) == ['QUOTA "#user/alice" (MESSAGE 0 5)']
    assert root(alice) == "(MESSAGE 0 5)"  # those that are not named are gone
    bob.ok("SETQUOTA #user/alice ()")
    assert root(imap.login()) == "()"
    bob.ok("SETQUOTA #user/alice (STORAGE 9223372036854775807 MAILBOX 0)")
    assert root(bob) == "(STORAGE 0 9223372036854775807 MAILBOX 6 0)"
    full(alice, "CREATE x")


def test_nobody_else_sets_limits(imap: ImapBench) -> None:
    client = imap.login()
    assert client.no("SETQUOTA #user/alice (STORAGE 10)").code == "NOPERM"
    assert client.no("SETQUOTA #user/nobody (STORAGE 10)").code == "NOPERM"
    assert root(client) == "()"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("#user/alice (STORAGE)", "BAD"),
        ("#user/alice (STORAGE -1)", "BAD"),
        ("#user/alice (STORAGE 9223372036854775808)", "BAD"),
        ("#user/alice (STORAGE 1 STORAGE 2)", "BAD"),
        ("#user/alice STORAGE 1", "BAD"),
        ("#user/alice (FROBS 1)", "CANNOT"),
        ("#user/nobody (STORAGE 1)", "NONEXISTENT"),
        ("#shared (STORAGE 1)", "NONEXISTENT"),
        ("other (STORAGE 1)", "NONEXISTENT"),
    ],
)
def test_limits_that_cannot_be_set(imap: ImapBench, arguments: str, code: str) -> None:
    imap.mail = replace(imap.mail, admins=("alice",))
    client = imap.login()
    answer = client.command(f"SETQUOTA {arguments}")
    assert (answer.code or answer.status) == code
    assert root(client) == "()"


def test_shared_mailboxes_have_a_root_of_their_own(imap: ImapBench, tmp_path: Path) -> None:
    limited(imap, messages=1)
    shared: Any = str(tmp_path / "shared")
    imap.mail = replace(imap.mail, shared_directory=shared, admins=("bob",))
    bob, alice = imap.login("bob"), imap.login()
    bob.ok("CREATE Shared/General")
    bob.ok("SETACL Shared/General anyone lrip")
    append(alice, "Shared/General", 2)
    bob.ok("SETQUOTA #shared (MESSAGE 3)")
    assert alice.told(alice.ok("GETQUOTAROOT Shared/General")) == [
        'QUOTAROOT "Shared/General" "#shared"',
        'QUOTA "#shared" (MESSAGE 2 3)',
    ]
    append(alice, "Shared/General")
    full(alice, "APPEND Shared/General {9+}\r\nA: b\r\n\r\nc")


def test_limits_of_one_user_stand_in_the_passwd_file(imap: ImapBench) -> None:
    limited(imap, storage=1 << 20, messages=7)
    imap.auth.users.write_text(
        "alice:{PLAIN}secret::::::quota=storage=2G:messages=0:mailboxes=9\n"
        "bob:{PLAIN}secret::::::userdb_quota_rule=*:storage=10M\n"
    )
    assert root(imap.login()) == "(STORAGE 0 2097152 MAILBOX 6 9)"
    assert root(imap.login("bob"), "#user/bob") == "(STORAGE 0 10240 MESSAGE 0 7)"


# -- what is refused -----------------------------------------------------------------------------


@pytest.fixture
def small(imap: ImapBench) -> Client:
    """Alice may have three messages, and has two in INBOX and one in Sent."""
    limited(imap, messages=3)
    client = imap.login()
    append(client, count=2)
    append(client, "Sent")
    client.ok("SELECT INBOX")
    return client


@rfc("9208", "4.3.1", 1)
@pytest.mark.parametrize(
    "command",
    [
        "APPEND INBOX {9+}\r\nA: b\r\n\r\nc",
        "COPY 1 Sent",
        "UID COPY 1:2 INBOX",
    ],
)
def test_more_messages_than_may_be_are_refused(small: Client, command: str) -> None:
    before = small.told(small.ok("STATUS Sent (MESSAGES UIDNEXT)"))
    full(small, command)
    assert root(small) == "(MESSAGE 3 3)"
    assert small.told(small.ok("STATUS Sent (MESSAGES UIDNEXT)")) == before


def test_what_takes_no_more_room_is_done(small: Client) -> None:
    """RFC 6851 §4.1: a move within a root always fits; so does an exchange for no more."""
    small.ok("MOVE 1 Sent")
    small.ok("REPLACE 1 INBOX {9+}\r\nA: b\r\n\r\nc")
    small.ok("RENAME INBOX Old")
    assert root(small) == "(MESSAGE 3 3)"


def test_a_message_is_refused_before_it_is_sent(imap: ImapBench) -> None:
    limited(imap, storage=4 * KIB)
    client = imap.login()
    append(client, count=3)
    client.send(b"a APPEND INBOX {2000}\r\n")
    assert client.read().raw.startswith(b"a NO [OVERQUOTA] ")
    append(client)
    client.send(b"b APPEND INBOX {100}\r\n")
    assert client.read().raw.startswith(b"b NO [OVERQUOTA] ")


def test_several_messages_count_together(imap: ImapBench) -> None:
    limited(imap, storage=4 * KIB)
    client = imap.login()
    two = f"{{{len(MESSAGE)}+}}\r\n{MESSAGE.decode()}"
    client.ok(f"APPEND INBOX {two} {two} {two}")
    full(client, f"APPEND INBOX {two} {two}")
    assert root(client) == "(STORAGE 3 4)"
    client.ok("SELECT INBOX")
    full(client, "COPY 1:2 Sent")
    client.ok("COPY 1 Sent")
    assert root(client) == "(STORAGE 4 4)"
    # CATENATE makes more of what it is told than it is sent.
    full(client, 'APPEND INBOX CATENATE (URL "/INBOX/;UID=1" URL "/INBOX/;UID=2")')


def test_an_exchange_for_more_than_fits_is_refused(imap: ImapBench) -> None:
    limited(imap, storage=2 * KIB)
    client = imap.login()
    append(client, count=2)
    client.ok("SELECT INBOX")
    big = "A: b\r\n\r\n" + "x" * 1500
    full(client, f"REPLACE 1 INBOX {{{len(big)}+}}\r\n{big}")
    assert root(client) == "(STORAGE 2 2)"


def test_a_move_to_another_user_needs_room_there(imap: ImapBench) -> None:
    limited(imap, messages=1)
    alice, bob = imap.login(), imap.login("bob")
    alice.ok("SETACL INBOX bob lrswite")
    append(alice)
    append(bob)
    bob.ok("SELECT INBOX")
    full(bob, "MOVE 1 Users/alice")
    full(bob, "COPY 1 Users/alice")
    full(bob, "REPLACE 1 Users/alice {9+}\r\nA: b\r\n\r\nc")
    assert root(alice) == "(MESSAGE 1 1)"
    alice.ok("SELECT INBOX")
    alice.ok("STORE 1 +FLAGS \\Deleted")
    alice.ok("EXPUNGE")
    bob.ok("MOVE 1 Users/alice")
    assert (root(alice), root(bob, "#user/bob")) == ("(MESSAGE 1 1)", "(MESSAGE 0 1)")


def test_more_mailboxes_than_may_be_are_refused(imap: ImapBench) -> None:
    limited(imap, mailboxes=7)
    client = imap.login()
    client.ok("CREATE one")
    full(client, "CREATE two")
    client.ok("RENAME one two")
    full(client, "RENAME INBOX three")
    client.ok("DELETE two")
    client.ok("CREATE three")


@rfc("9208", "4.3.1", 2)
def test_a_full_mailbox_is_no_news(small: Client) -> None:
    """OVERQUOTA stands in the reply to a command that brings mail in, and nowhere else."""
    small.ok("UNSELECT")
    for command in ("NOOP", 'LIST "" *', "STATUS INBOX (MESSAGES)", "SELECT INBOX", "NOOP"):
        answer = small.ok(command)
        assert not any("OVERQUOTA" in line for line in small.told(answer))


# -- what is counted -----------------------------------------------------------------------------


def totals(bench: ImapBench) -> tuple[int, int]:
    """What the account says is there, and what is there."""
    held = account(bench)
    counted = held.quota.usage()["MESSAGE"]
    held.close()
    files = (bench.folder / "mail" / "alice" / "Maildir").rglob("*,U=*")
    return counted, len([path for path in files if path.parent.name in ("cur", "new")])


def test_the_count_follows_all_that_happens(imap: ImapBench) -> None:
    limited(imap, messages=1000)
    client = imap.login()
    assert root(client) == "(MESSAGE 0 1000)"
    steps = (
        *(f"CREATE box{n}" for n in range(80)),  # more rows than the file has room for at first
        *(f"APPEND box{n} {{9+}}\r\nA: b\r\n\r\nc" for n in range(80)),
        *("SELECT box1", "COPY 1 box2", "MOVE 1 box3", "RENAME box3 other/box3", "DELETE box4"),
        *("SELECT other/box3", "STORE 1 +FLAGS \\Deleted", "EXPUNGE", "RENAME INBOX old"),
        *("APPEND INBOX {9+}\r\nA: b\r\n\r\nc", "DELETE box5", "CREATE box4"),
    )
    for number, step in enumerate(steps):
        client.ok(step)
        if number > 150:
            counted, there = totals(imap)
            assert counted == there, step


def test_mail_that_others_put_there_counts_when_it_is_found(imap: ImapBench) -> None:
    limited(imap, messages=1000)
    client = imap.login()
    append(client)
    new = imap.folder / "mail" / "alice" / "Maildir" / "new"
    (new / "1.other.host").write_bytes(b"A: b\n\nc\n")
    client.ok("STATUS INBOX (MESSAGES)")
    assert root(client) == "(MESSAGE 2 1000)"


@pytest.mark.parametrize("damage", ["removed", "empty", "short", "garbage", "unfinished"])
def test_a_lost_count_is_made_again(small: Client, imap: ImapBench, damage: str) -> None:
    path = imap.folder / "mail" / "alice" / "Maildir" / usage_file.NAME
    octets = path.read_bytes()
    replacements = {
        "empty": b"",
        "short": octets[:100],
        "garbage": b"\xff" * len(octets),
        "unfinished": octets[:24] + bytes(8) + octets[32:],
    }
    path.unlink()
    if damage in replacements:
        path.write_bytes(replacements[damage])
    assert root(small) == "(MESSAGE 3 3)"
    assert root(imap.login()) == "(MESSAGE 3 3)"
    full(small, "COPY 1 Sent")


def test_a_count_from_before_the_machine_was_started_is_made_again(
    small: Client, imap: ImapBench
) -> None:
    path = imap.folder / "mail" / "alice" / "Maildir" / usage_file.NAME
    with path.open("r+b") as file:
        file.seek(8)
        file.write(b"another boot id!")
        file.seek(64 + 16 + 8)
        file.write((99).to_bytes(8, "little"))
    assert root(small) == "(MESSAGE 3 3)"


def test_a_count_that_a_dead_process_left_is_mended(small: Client, imap: ImapBench) -> None:
    """It died between its change of the mailbox and its change of the count."""
    held = account(imap)
    pid = os.fork()
    if pid == 0:
        try:
            with held.open("INBOX") as box:
                draft = box.write([b"A: b\r\n\r\nc"])
                _die_while_changing(box, draft)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert root(small) == "(MESSAGE 4 3)"
    assert totals(imap) == (4, 4)


def _die_while_changing(box: Mailbox, draft: Any) -> None:
    from pymaild.mail.flags import Flags
    from pymaild.mail.placing import placing

    arriving = [(draft, Flags(), None)]
    with box.changing() as index, placing(box, index, index.uidnext, arriving, draft.name):
        index.commit()
        os._exit(7)


def test_two_sessions_count_the_same_mail(imap: ImapBench) -> None:
    limited(imap, messages=6)
    first, second = imap.login(), imap.login()
    for client, mailbox in ((first, "INBOX"), (second, "INBOX"), (first, "Sent")):
        append(client, mailbox, 2)
    assert root(first) == root(second) == "(MESSAGE 6 6)"
    full(second, "APPEND Sent {9+}\r\nA: b\r\n\r\nc")
