"""A literal of either sort stands wherever a string can (RFC 3501 §9; RFC 7888 §3)."""

from __future__ import annotations

import re

import pytest

from tests.imap.conftest import MESSAGES, Client, ImapBench
from tests.support.imap import Answer
from tests.support.rfc import rfc

#: Commands of the selected state; each "%" is a string, whose values follow.
COMMANDS: list[tuple[str, list[bytes]]] = [
    ("SELECT %", [b"INBOX"]),
    ("EXAMINE %", [b"Sent"]),
    ("STATUS % (MESSAGES)", [b"Archive"]),
    ("CREATE %", [b'a "quoted\\ name"']),
    ("DELETE %", [b"Junk"]),
    ("RENAME % %", [b"Trash", b"Bin"]),
    ("SUBSCRIBE %", [b"Sent"]),
    ("UNSUBSCRIBE %", [b"Sent"]),
    ("LIST % %", [b"", b"*"]),
    ('LIST (SPECIAL-USE) % (% "x")', [b"", b"S%nt"]),
    ("LSUB % %", [b"", b"%"]),
    ("COPY 1 %", [b"Archive"]),
    ("UID COPY 1 %", [b"Archive"]),
    ("MOVE 1 %", [b"Archive"]),
    ("UID MOVE 1 %", [b"Archive"]),
    ("ID (% % % NIL)", [b"name", b"x\r\ny", b"os"]),
    ("SEARCH CHARSET % SUBJECT %", [b"utf-8", "\u00fc".encode()]),
    ("SEARCH HEADER % % NOT (FROM % OR TO % CC %)", [b"Subject", b"one", b"x", b"y", b"z"]),
    ("UID SEARCH BCC % BODY % TEXT % SUBJECT %", [b"", b"first", b"a\r\nb", b""]),
    ("FETCH 1 (UID BODY.PEEK[HEADER.FIELDS (% %)] FLAGS)", [b"Subject", b"To"]),
]


def quoted(value: bytes) -> bytes:
    return b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def sent(client: Client, tag: bytes, text: str, values: list[bytes], plus: bytes) -> Answer:
    """Send a command whose strings are literals, waiting where they synchronize."""
    first, *rest = text.encode().split(b"%")
    client.send(tag + b" " + first)
    for value, piece in zip(values, rest, strict=True):
        client.send(b"{%d%b}\r\n" % (len(value), plus))
        if not plus:
            reply = client.read()
            assert reply.tag == "+", reply.raw
        client.send(value + piece)
    client.send(b"\r\n")
    return client.finish(tag.decode())


LITERAL = re.compile(rb"\{\d+[^}]*\}\r\n")


def in_quotes(client: Client, text: str, values: list[bytes]) -> Answer:
    """Send a command whose strings are quoted."""
    first, *rest = text.encode().split(b"%")
    pieces = [quoted(value) + piece for value, piece in zip(values, rest, strict=True)]
    return client.command(first + b"".join(pieces))


@rfc("9051", "9", 2)
@pytest.mark.parametrize(("text", "values"), COMMANDS, ids=[text for text, _ in COMMANDS])
def test_literal_or_quoted(mail: ImapBench, text: str, values: list[bytes]) -> None:
    """The three forms of a string mean the same; only literals hold line ends."""
    mail.add_user("carl")
    mail.put("bob", *MESSAGES)
    mail.put("carl", *MESSAGES)
    answers = [
        sent(mail.select("alice"), b"x", text, values, b""),
        sent(mail.select("bob"), b"x", text, values, b"+"),
    ]
    if not any(b"\n" in value for value in values):
        answers.append(in_quotes(mail.select("carl"), text, values))
    assert {answer.status for answer in answers} == {"OK"}
    names = [[reply.name for reply in answer.untagged] for answer in answers]
    assert names == names[:1] * len(names)


@pytest.mark.parametrize("plus", [b"", b"+"])
def test_login(imap: ImapBench, plus: bytes) -> None:
    client = imap.connect()
    assert sent(client, b"x", "LOGIN % %", [b"alice", b"secret"], plus).status == "OK"


@rfc("7888", "3", 1)
def test_the_server_sends_synchronizing_literals_alone(mail: ImapBench) -> None:
    """RFC 7888 §3: whatever it has to send in one, and however the client sent it."""
    client = mail.select()
    client.ok(b'SETMETADATA "" (/private/comment {3+}\r\na\nb)')
    told = [
        *client.ok("FETCH 1:3 (BODY[] RFC822.HEADER BODY[TEXT]<0.4> ENVELOPE)").untagged,
        *client.ok('GETMETADATA "" /private/comment').untagged,
    ]
    announced = [found for reply in told for found in LITERAL.findall(reply.raw)]
    assert len(announced) > 6
    assert b"+" not in b"".join(announced)


@rfc("7888", "3", 2)
@pytest.mark.parametrize("plus", [b"", b"+"])
@pytest.mark.parametrize(
    "text", ["NOOP %", "FETCH % FLAGS", "STORE 1 FLAGS (%)", "SEARCH %", "% 1"]
)
def test_literal_where_no_string_stands(mail: ImapBench, text: str, plus: bytes) -> None:
    """RFC 3501 §9: numbers, flags and names of commands are no strings."""
    client = mail.select()
    first, rest = text.encode().split(b"%")
    client.send(b"x " + first + b"{1%b}\r\n" % plus)
    if plus or client.read().tag == "+":
        client.send(b"1" + rest + b"\r\n")
        assert client.read().name == "BAD"
    client.ok("NOOP")
