"""The grid: every command that touches a mailbox, with exactly the rights it needs and with one
less (RFC 4314 §4, RFC 6851 §4.2, RFC 8508 §4.1, RFC 5464 §3.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pymaild.imap.commands import COMMANDS
from tests.imap.conftest import Client, ImapBench
from tests.support.rfc import rfc

WORK = "Users/alice/Work"
ALL = frozenset("lrswipkxtea")


@dataclass(frozen=True)
class Row:
    """``needed``: letters, all of them; ``selected``: what is selected before; it needs "r"."""

    command: str
    needed: str
    selected: str = ""


APPENDED = "{9+}\r\nA: b\r\n\r\nc"

#: Commands on alice's mailbox Work, by bob. What lets him into INBOX of alice is said below.
ROWS = (
    Row(f"SELECT {WORK}", "r"),
    Row(f"EXAMINE {WORK}", "r"),
    Row(f"STATUS {WORK} (MESSAGES)", "r"),
    Row(f"SUBSCRIBE {WORK}", "l"),
    Row(f"CREATE {WORK}/sub", "k"),
    Row(f"DELETE {WORK}", "x"),
    Row(f"RENAME {WORK} Users/alice/Job", "x"),
    Row(f"RENAME Users/alice/Else {WORK}/Else", "k"),
    Row(f"SETACL {WORK} anyone l", "a"),
    Row(f"DELETEACL {WORK} anyone", "a"),
    Row(f"GETACL {WORK}", "a"),
    Row(f"LISTRIGHTS {WORK} anyone", "a"),
    Row(f"APPEND {WORK} {APPENDED}", "i"),
    Row(f"GETMETADATA {WORK} /private/comment", "lr"),
    Row(f'SETMETADATA {WORK} (/private/comment "x")', "lr"),
    Row(f'SETMETADATA {WORK} (/shared/comment "x")', "lw"),
    Row(f"COPY 1 {WORK}", "i", "INBOX"),
    Row(f"UID COPY 1 {WORK}", "i", "INBOX"),
    Row(f"MOVE 1 {WORK}", "i", "INBOX"),
    Row(f"UID MOVE 1 {WORK}", "i", "INBOX"),
    Row(f"REPLACE 1 {WORK} {APPENDED}", "i", "INBOX"),
    Row(f"UID REPLACE 1 {WORK} {APPENDED}", "i", "INBOX"),
    Row("STORE 1 +FLAGS \\Seen", "s", WORK),
    Row("UID STORE 1 +FLAGS \\Deleted", "t", WORK),
    Row("STORE 1 +FLAGS \\Flagged", "w", WORK),
    Row("UID STORE 1 -FLAGS $Known", "w", WORK),
    Row("STORE 1 FLAGS (\\Answered)", "w", WORK),
    Row("EXPUNGE", "e", WORK),
    Row("UID EXPUNGE 1", "e", WORK),
    Row("MOVE 1 INBOX", "te", WORK),
    Row("UID MOVE 1 INBOX", "te", WORK),
    Row(f"REPLACE 1 INBOX {APPENDED}", "te", WORK),
    Row(f"UID REPLACE 1 INBOX {APPENDED}", "te", WORK),
)

#: With "r" alone, once the mailbox is selected.
READING = (
    *("NOOP", "CHECK", "CLOSE", "UNSELECT", "SEARCH ALL", "UID SEARCH ALL", "FETCH 1 BODY[]"),
    *("UID FETCH 1 FLAGS", "COPY 1 INBOX", "UID COPY 1 INBOX", "LSUB", 'LIST "" *', "IDLE"),
)

#: Commands that name or use no mailbox of others, or say nothing but what is one's own.
APART = {
    *("CAPABILITY", "NOOP", "LOGOUT", "ID", "STARTTLS", "AUTHENTICATE", "LOGIN", "ENABLE"),
    *("UNAUTHENTICATE", "UNSUBSCRIBE", "NAMESPACE", "NOTIFY", "CANCELUPDATE", "XLIST"),
    *("GETQUOTA", "SETQUOTA", "COMPRESS", "LANGUAGE", "COMPARATOR"),
}

#: Tested elsewhere: any right will do (MYRIGHTS), what is told depends on them (GETQUOTAROOT),
#: mailboxes without "r" are left out (ESEARCH), or it is as SEARCH (the others).
ELSEWHERE = {
    *("MYRIGHTS", "GETQUOTAROOT", "ESEARCH", "SORT", "UID SORT", "THREAD", "UID THREAD"),
    "UIDBATCHES",
}


@pytest.fixture
def work(imap: ImapBench) -> ImapBench:
    """Alice has mailboxes Work and Else, each with a message; bob has one in INBOX."""
    alice = imap.login("alice")
    for name in ("Work", "Else"):
        alice.ok(f"CREATE {name}")
        alice.ok(f"APPEND {name} ($Known \\Deleted) {APPENDED}")
    alice.ok("SETACL Else bob lrswipkxtea")
    alice.ok("SETACL INBOX bob k")
    imap.put("bob", b"Subject: own\r\n\r\nbody\r\n")
    return imap


def as_bob(bench: ImapBench, rights: str, row: Row) -> Client:
    """Bob's session, where he has these rights."""
    bench.login("alice").ok(f'SETACL Work bob "{rights}"')
    bob = bench.login("bob")
    if row.selected:
        bob.ok(f"SELECT {row.selected}")
    return bob


def picture(bench: ImapBench) -> list[str]:
    """All that alice has."""
    alice = bench.login("alice")
    told = alice.told(alice.ok('LIST "" * RETURN (SUBSCRIBED)'))
    for name in ("Work", "Else"):
        if alice.command(f"SELECT {name}").status == "OK":
            told += alice.told(alice.ok("FETCH 1:* (UID FLAGS)"))
            told += alice.told(alice.ok(f"GETACL {name}"))
            told += alice.told(alice.ok(f"GETMETADATA {name} /shared/comment"))
    return told


def test_the_grid_knows_every_command() -> None:
    words = {row.command.split()[0] for row in ROWS} | {text.split()[0] for text in READING}
    by_uid = {row.name for row in COMMANDS.values() if row.name.startswith("UID ")}
    known = words | APART | ELSEWHERE | by_uid
    assert {row.name for row in COMMANDS.values()} <= known


@rfc("4314", "4", 1)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.command.split("{")[0])
def test_the_rights_that_are_needed_suffice(work: ImapBench, row: Row) -> None:
    reading = "r" if row.selected == WORK else ""
    as_bob(work, "".join(sorted({"l", *row.needed, *reading})), row).ok(row.command)


@rfc("4314", "4", 1)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.command.split("{")[0])
def test_without_one_of_them_nothing_happens(work: ImapBench, row: Row) -> None:
    for missing in row.needed:
        rest = ALL - {missing}
        if row.command.startswith(("GETMETADATA", "SETMETADATA")) and missing != "l":
            rest = ALL - set("rswip")
        bob = as_bob(work, "".join(sorted(rest)), row)
        before = picture(work)
        if missing == "l":
            assert bob.no(row.command).code == "NONEXISTENT"
        else:
            assert bob.no(row.command).code in ("NOPERM", "TOOWIDE")
        assert picture(work) == before


@pytest.mark.parametrize("command", READING)
def test_reading_needs_one_right(work: ImapBench, command: str) -> None:
    bob = as_bob(work, "lr", Row(command, "", WORK))
    ending = "\r\nDONE" if command == "IDLE" else ""
    bob.ok(f"{command}{' ' + chr(34) * 2 + ' *' if command == 'LSUB' else ''}{ending}")


@rfc("4314", "6", 1)
@pytest.mark.parametrize(
    "row",
    [
        *(row for row in ROWS if WORK in row.command),
        Row(f"MYRIGHTS {WORK}", ""),
        Row(f"GETQUOTAROOT {WORK}", ""),
        Row(f"UNSUBSCRIBE {WORK}", ""),
        Row(f"CREATE {WORK}", ""),
        Row(f"RENAME INBOX {WORK}", ""),
        Row(f"RENAME Archive {WORK}", ""),
    ],
    ids=lambda row: row.command.split("{")[0],
)
def test_what_may_not_be_seen_is_as_if_it_were_not_there(work: ImapBench, row: Row) -> None:
    """Neither a mailbox nor a user can be found by trying names."""
    for other in ("INBOX", "Else"):
        work.login("alice").ok(f"DELETEACL {other} bob")
    bob = as_bob(work, "", row)
    replies = set()
    for name in (WORK, "Users/alice/Nothing", "Users/nobody/Work"):
        answer = bob.command(row.command.replace(WORK, name))
        replies.add((answer.status, answer.code, answer.tagged.text))
        bob.ok("NOOP")
    assert len(replies) == 1, replies
    assert bob.told(bob.ok('LIST "" "Users*"')) == []


@pytest.mark.parametrize(
    "command",
    [
        "DELETE Users/alice/{}",
        "RENAME Users/alice/{} Users/alice/other",
        "SUBSCRIBE Users/alice/{}",
        "SELECT Users/alice/{}",
        "MYRIGHTS Users/alice/{}",
        "CREATE Users/alice/{}/below",
        'LIST "" Users/alice/{} RETURN (STATUS (MESSAGES) MYRIGHTS METADATA (/shared/comment))',
    ],
)
def test_hidden_above_what_is_visible_is_a_name_alone(mail: ImapBench, command: str) -> None:
    """There is no mailbox called Bare, but one below it, as below Hidden."""
    alice, bob = mail.login("alice"), mail.login("bob")
    alice.ok("CREATE Hidden")
    for name in ("Hidden", "Bare"):
        alice.ok(f"CREATE {name}/open")
        alice.ok(f"SETACL {name}/open bob lr")
    said = []
    for name in ("Hidden", "Bare"):
        answer = bob.command(command.format(name))
        lines = [reply.raw.partition(b" ")[2] for reply in (*answer.untagged, answer.tagged)]
        said.append([line.replace(name.encode(), b"?") for line in lines])
    assert said[0] == said[1]
