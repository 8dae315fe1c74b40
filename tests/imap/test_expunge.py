"""When EXPUNGE may be told (RFC 3501 §7.4.1), and the commands that remove or move."""

from __future__ import annotations

import pytest

from pymaild.imap.commands import COMMANDS
from tests.imap.conftest import Client, ImapBench
from tests.imap.test_grid import ARGUMENTS
from tests.support.rfc import rfc


@pytest.fixture
def pair(mail: ImapBench) -> tuple[Client, Client]:
    """A session, and another that has just expunged message 2."""
    client, other = mail.select(), mail.select()
    other.ok("STORE 2 +FLAGS (\\Deleted)")
    client.ok("NOOP")
    other.ok("EXPUNGE")
    return client, other


@rfc("9051", "7.5.1", 1)
@rfc("3501", "7.4.1", 1)
@pytest.mark.parametrize(
    "command", ["FETCH 1 FLAGS", "FETCH 3 BODY.PEEK[]", "STORE 3 +FLAGS \\Seen", "SEARCH ALL"]
)
def test_no_expunge_while_numbers_are_in_use(pair: tuple[Client, Client], command: str) -> None:
    client, _ = pair
    assert not client.ok(command).named("EXPUNGE")
    client.command("FETCH 2 FLAGS")
    assert client.told(client.ok("FETCH 3 UID")) == ["3 FETCH (UID 3)"]
    assert client.told(client.ok("NOOP")) == ["2 EXPUNGE", "2 RECENT"]
    assert client.told(client.ok("FETCH 2 UID")) == ["2 FETCH (UID 3)"]


@pytest.mark.parametrize(
    "command",
    [
        *("NOOP", "CHECK", "UID FETCH 1 FLAGS", "UID SEARCH ALL", "UID STORE 1 +FLAGS \\Seen"),
        *("COPY 1 Archive", "UID COPY 1 Archive", "STATUS Archive (MESSAGES)", "CAPABILITY"),
        *('LIST "" %', "EXPUNGE", "UID EXPUNGE 1", "CREATE x", "ID NIL", "NAMESPACE"),
    ],
)
def test_every_other_command_tells(pair: tuple[Client, Client], command: str) -> None:
    client, _ = pair
    assert "2 EXPUNGE" in client.told(client.ok(command))


def test_the_table_forbids_what_the_rfcs_forbid(mail: ImapBench) -> None:
    """RFC 3501 §7.4.1 has three commands, RFC 5256 §3 two more."""
    silent = {"FETCH", "STORE", "SEARCH", "SORT", "THREAD"}
    assert {row.name for row in COMMANDS.values() if not row.expunge} == silent
    assert silent <= set(ARGUMENTS)


def test_idle_tells_at_once(pair: tuple[Client, Client]) -> None:
    client, _ = pair
    tag = client.idle()
    assert client.until("EXPUNGE")[0].number == 2
    assert client.done(tag).status == "OK"


def test_new_mail_behind_an_expunge_that_may_not_be_told(
    mail: ImapBench, pair: tuple[Client, Client]
) -> None:
    client, _ = pair
    mail.put("alice", b"Subject: new\r\n\r\n")
    client.ok("FETCH 1 FLAGS")
    told = client.told(client.ok("NOOP"))
    uids = [reply.values[2][1] for reply in client.ok("FETCH 1:* (UID)").named("FETCH")]
    assert "2 EXPUNGE" in told
    assert uids == ["1", "3", "4"]


def test_expunge_removes_what_is_marked(mail: ImapBench) -> None:
    """RFC 3501 §6.4.3; each number is valid at its turn."""
    client = mail.select()
    client.ok("STORE 1,3 +FLAGS.SILENT (\\Deleted)")
    told = client.told(client.ok("EXPUNGE"))
    numbers, recent = told[:2], told[2:]
    assert numbers in (["1 EXPUNGE", "2 EXPUNGE"], ["3 EXPUNGE", "1 EXPUNGE"])
    assert recent == ["1 RECENT"]
    assert client.told(client.ok("FETCH 1 UID")) == ["1 FETCH (UID 2)"]
    assert client.told(client.ok("EXPUNGE")) == []


def test_recent_shrinks_with_the_mailbox(mail: ImapBench) -> None:
    """RFC 3501 §7.3.2: RECENT is told when the size of the mailbox changes it."""
    client, other = mail.select(), mail.select()
    client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    assert client.told(client.ok("EXPUNGE")) == ["1 EXPUNGE", "2 RECENT"]
    assert other.told(other.ok("NOOP")) == ["1 EXPUNGE"]


@rfc("9051", "6.1.3", 1, 2)
@rfc("3501", "6.1.3", 1, 2)
@rfc("9051", "3.4", 1)
@rfc("3501", "3.4", 1)
def test_logout_ends_with_bye_and_ok(pair: tuple[Client, Client]) -> None:
    """RFC 3501 §6.1.3: nothing comes between the two, what is left unsaid neither."""
    client, _ = pair
    assert [reply.name for reply in client.ok("LOGOUT").untagged] == ["BYE"]
    assert client.ended()


@rfc("9051", "7.5.1", 1)
@rfc("3501", "7.4.1", 1)
def test_no_expunge_before_a_command_is_complete(pair: tuple[Client, Client]) -> None:
    """RFC 3501 §7.4.1: a command is not in progress while its literal is negotiated."""
    client, _ = pair
    assert not client.command(b"APPEND nowhere {10}").untagged
    assert not client.command(b"APPEND INBOX (\\Seen {10}").untagged
    answer = client.no(b"APPEND nowhere {3+}\r\nabc")
    assert client.told(answer) == ["2 EXPUNGE", "2 RECENT"]


def test_uid_expunge_removes_only_what_is_named(mail: ImapBench) -> None:
    """RFC 4315 §2.1."""
    client = mail.select()
    client.ok("STORE 1:2 +FLAGS.SILENT (\\Deleted)")
    assert client.told(client.ok("UID EXPUNGE 2:3")) == ["2 EXPUNGE", "2 RECENT"]
    assert client.told(client.ok("UID SEARCH ALL")) == ["SEARCH 1 3"]


def test_close_expunges_in_silence(mail: ImapBench) -> None:
    """RFC 3501 §6.4.2."""
    client = mail.select()
    client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    assert client.told(client.ok("CLOSE")) == []
    assert "MESSAGES 2" in client.told(client.ok("STATUS INBOX (MESSAGES)"))[0]


@pytest.mark.parametrize("leaving", ["UNSELECT", "SELECT Archive", "EXAMINE Archive", "LOGOUT"])
def test_other_ways_to_leave_expunge_nothing(mail: ImapBench, leaving: str) -> None:
    """RFC 3691 §2, RFC 3501 §6.4.2."""
    client = mail.select()
    client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    client.ok(leaving)
    assert "MESSAGES 3" in mail_status(mail)


def mail_status(mail: ImapBench) -> str:
    client = mail.login()
    return client.told(client.ok("STATUS INBOX (MESSAGES)"))[0]


@rfc("4315", "3", 1)
@rfc("9051", "6.4.7", 1)
@rfc("9051", "2.3.3", 1)
@rfc("3501", "2.3.3", 2)
def test_copy_tells_the_uids(mail: ImapBench) -> None:
    """RFC 4315 §3; flags and date are kept (RFC 3501 §6.4.7)."""
    client = mail.select()
    client.ok("STORE 3 +FLAGS.SILENT (\\Flagged $Work)")
    before = client.told(client.ok("FETCH 3 (INTERNALDATE)"))[0].partition(" ")[2]
    answer = client.ok("COPY 1,3 Archive")
    assert answer.code == "COPYUID"
    assert [str(value) for value in answer.tagged.code[2:]] == ["1,3", "1:2"]
    client.ok("SELECT Archive")
    assert "FLAGS (\\Flagged $Work)" in client.told(client.ok("FETCH 2 FLAGS"))[0]
    assert client.told(client.ok("FETCH 2 (INTERNALDATE)"))[0].partition(" ")[2] == before


def test_copies_are_no_new_mail(mail: ImapBench) -> None:
    """RFC 3501 §6.4.7 recommends \\Recent, RFC 9051 §6.4.7 does not: nobody announces a copy."""
    client = mail.select()
    client.ok("COPY 1:2 Archive")
    client.ok("MOVE 3 Archive")
    answer = client.ok("SELECT Archive")
    assert (answer.one("EXISTS").number, answer.one("RECENT").number) == (3, 0)
    folder = mail.folder / "mail" / "alice" / "Maildir" / ".Archive"
    assert not list((folder / "new").iterdir())


def test_copy_into_the_selected_mailbox(mail: ImapBench) -> None:
    client = mail.select()
    answer = client.ok("COPY 1:3 INBOX")
    assert "6 EXISTS" in client.told(answer)


@rfc("9051", "6.4.8", 8)
@rfc("9051", "6.4.7", 4)
@rfc("3501", "6.4.7", 4)
@pytest.mark.parametrize("verb", ["COPY", "UID COPY", "MOVE", "UID MOVE"])
def test_target_that_does_not_exist(mail: ImapBench, verb: str) -> None:
    """RFC 3501 §6.4.7: TRYCREATE."""
    assert mail.select().no(f"{verb} 1 nowhere").code == "TRYCREATE"


@rfc("9051", "6.4.8", 9)
@rfc("6851", "4.3", 1)
def test_move(mail: ImapBench) -> None:
    """RFC 6851 §4.3: COPYUID comes before EXPUNGE."""
    client = mail.select()
    answer = client.ok("UID MOVE 1,3 Trash")
    assert [reply.name for reply in answer.untagged] == ["OK", "EXPUNGE", "EXPUNGE", "RECENT"]
    assert answer.untagged[0].code[0] == "COPYUID"
    assert client.told(client.ok("UID SEARCH ALL")) == ["SEARCH 2"]
    client.ok("SELECT Trash")
    assert client.told(client.ok("UID SEARCH ALL")) == ["SEARCH 1 2"]


@pytest.mark.parametrize("verb", ["COPY", "MOVE"])
def test_transfer_of_messages_that_are_gone(pair: tuple[Client, Client], verb: str) -> None:
    client, _ = pair
    answer = client.no(f"{verb} 2 Archive")
    assert answer.code == "EXPUNGEISSUED"
    assert client.told(answer) == ["2 EXPUNGE", "2 RECENT"]
