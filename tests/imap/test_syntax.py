"""The syntax of commands as RFC 3501 §9 and RFC 9051 §9 have it: what is taken, what is BAD."""

from __future__ import annotations

import pytest

from tests.imap.conftest import ImapBench
from tests.support.rfc import rfc

COMMANDS = [
    *('list "" inbox', "status INBOX (messages Unseen)", "examine inbox", "fetch 1 (flags uid)"),
    *("store 1 +flags.silent (\\sEEN)", "uid fetch 1 body.peek[header.fields (subject)]<0.9>"),
    *("search return (all) or seen not unkeyword x", "uid store 1 flags ()", "fetch 1 full"),
    *("copy 1 Archive", "enable condstore", "id nil", "namespace", "search since 1-jan-2020"),
    *("uid move 1 Archive", "uid expunge 1:*", "close", "noop", "capability"),
]


@rfc("3501", "9", 3)
@rfc("9051", "9", 3)
@rfc("5161", "4", 1)
@rfc("6851", "5", 1)
@rfc("3691", "4", 1)
@pytest.mark.parametrize("command", [*COMMANDS, "unselect"])
def test_letters_of_either_case_are_the_same(mail: ImapBench, command: str) -> None:
    """Names of commands, items, flags, keys and dates."""
    for form in (command, swapped(command)):
        client = mail.select()
        client.ok(form)


def swapped(command: str) -> str:
    """The command in capitals, but for the names of mailboxes."""
    return " ".join(
        word if word in ("Archive", "INBOX") else word.upper() for word in command.split(" ")
    )


WRONG = [
    *(b"NOOP ", b"NOOP x", b" NOOP", b"FETCH  1 FLAGS", b"FETCH 1  FLAGS", b"FETCH 1 FLAGS "),
    *(b"FETCH 1,2, FLAGS", b"FETCH 01 FLAGS", b"FETCH 1:2:3 FLAGS", b"STORE 1 + FLAGS ()"),
    *(b'STATUS "INBOX (MESSAGES)', b"STATUS INBOX(MESSAGES)", b"STATUS INBOX ( MESSAGES)"),
    *(b'LIST ""  *', b"SELECT", b"SELECT INBOX Archive", b"UID", b"UID NOOP", b"UIDFETCH 1 UID"),
    *(b"COPY 1", b"COPY Archive", b"SEARCH", b"SEARCH ALL ALL)", b"APPEND INBOX", b"LOGIN a b"),
]


@rfc("3501", "2.2.2", 1, 2)
@rfc("9051", "2.2.2", 1, 2)
@rfc("3501", "9", 2)
@rfc("9051", "9", 2)
@pytest.mark.parametrize("command", WRONG)
def test_missing_or_superfluous_spaces_and_arguments_are_bad(
    mail: ImapBench, command: bytes
) -> None:
    client = mail.select()
    client.bad(command)
    client.ok("NOOP")


@rfc("3501", "9", 4)
@rfc("9051", "9", 4)
@pytest.mark.parametrize(
    "command",
    [
        *(b"NOOP\0", b"\0NOOP", b'STATUS "IN\0BOX" (MESSAGES)', b"SEARCH SUBJECT {1+}\r\n\0"),
        *(b"STATUS {3+}\r\na\0b (MESSAGES)", b"STORE 1 +FLAGS (a\0b)"),
    ],
)
def test_nul_is_taken_nowhere(mail: ImapBench, command: bytes) -> None:
    client = mail.select()
    assert client.command(command).status in ("BAD", "NO")
    client.ok("NOOP")


@rfc("3501", "9", 4)
@rfc("9051", "9", 4)
@rfc("3501", "7.4.2", 4)
@rfc("3501", "4.3.1", 2)
def test_nul_is_sent_nowhere(mail: ImapBench) -> None:
    """RFC 9051 §4.3: 0x80 stands for it in a message that holds one all the same."""
    mail.put("alice", b"Subject: a\0b\r\n\r\nc\0d\r\n")
    client = mail.select()
    answer = client.ok("FETCH 4 (ENVELOPE BODY.PEEK[] BODY.PEEK[TEXT] RFC822.HEADER)")
    assert b"\0" not in answer.one("FETCH").raw
    assert answer.fetched()[4]["BODY[TEXT]"] == b"c\x80d\r\n"


@rfc("9051", "2.2.1", 1)
def test_a_tag_may_be_used_again(mail: ImapBench) -> None:
    client = mail.select()
    client.send(b"same NOOP\r\nsame FETCH 1 (UID)\r\nsame NOOP\r\n")
    answers = [client.finish("same") for _ in range(3)]
    assert [answer.status for answer in answers] == ["OK"] * 3
    assert len(answers[1].named("FETCH")) == 1


@rfc("9051", "4.3", 2)
def test_literals_of_the_server_ask_for_nothing(mail: ImapBench) -> None:
    """Whatever a client has said it takes, replies hold no literal with "+"."""
    mail.put("alice", b'Subject: "\xff"\r\nFrom: \xe4 <a@b>\r\n\r\nbody\r\n')
    client = mail.login()
    client.ok("ENABLE IMAP4rev2 UTF8=ACCEPT")
    client.ok("SELECT INBOX")
    answer = client.ok("FETCH 1:* (ENVELOPE BODY BODY.PEEK[] BINARY.PEEK[1] RFC822.HEADER)")
    replies = b"".join(reply.raw for reply in answer.untagged)
    assert b"}\r\n" in replies
    assert b"+}\r\n" not in replies


@rfc("3501", "5.2", 2)
@rfc("9051", "5.2", 1)
@pytest.mark.parametrize(
    "command", ["NOOP", "FETCH 1 FLAGS", "STORE 1 +FLAGS (\\Seen)", "SEARCH ALL", 'LIST "" %']
)
def test_new_mail_is_told_whatever_is_asked(mail: ImapBench, command: str) -> None:
    client = mail.select()
    mail.put("alice", b"Subject: new\r\n\r\n")
    assert client.ok(command).one("EXISTS").number == 4
