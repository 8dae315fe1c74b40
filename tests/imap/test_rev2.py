"""IMAP4rev2 beside IMAP4rev1 (RFC 9051): what ENABLE IMAP4rev2 changes, and what it does not."""

from __future__ import annotations

import pytest

from tests.imap.conftest import MESSAGES, Client, ImapBench
from tests.support.rfc import rfc


@pytest.fixture
def client(mail: ImapBench) -> Client:
    made = mail.login()
    assert made.told(made.ok("ENABLE imap4rev2")) == ["ENABLED IMAP4rev2"]
    return made


@rfc("9051", "9", 12)
@rfc("9051", "7.2.2", 1)
@rfc("9051", "6.1.1", 2)
def test_both_versions_are_announced(imap: ImapBench) -> None:
    told = imap.login().ok("CAPABILITY").untagged[0].raw.split()
    assert {b"IMAP4rev1", b"IMAP4rev2"} <= set(told)


@rfc("9051", "6.3.2", 1, 2, 3, 4)
def test_select_names_the_mailbox_and_counts_nothing_recent(client: Client) -> None:
    told = client.told(client.ok("SELECT inbox"))
    assert 'LIST (\\HasNoChildren \\Subscribed) "/" "INBOX"' in told
    assert not any("RECENT" in line or "[UNSEEN" in line for line in told)
    for item in ("FLAGS (", "3 EXISTS", "OK [PERMANENTFLAGS (", "OK [UIDNEXT 4]"):
        assert any(line.startswith(item) for line in told), item
    assert any(line.startswith("OK [UIDVALIDITY ") for line in told)


@rfc("9051", "7.2.2", 5)
def test_rev1_is_told_as_ever(mail: ImapBench) -> None:
    told = mail.login()
    lines = told.told(told.ok("SELECT INBOX"))
    assert "3 RECENT" in lines
    assert "OK [UNSEEN 1] First unseen" in lines
    assert not any(line.startswith("LIST") for line in lines)
    assert told.told(told.ok("SEARCH ALL")) == ["SEARCH 1 2 3"]


@rfc("9051", "6.3.9.7", 1)
@rfc("9051", "5.1", 3)
@rfc("9051", "6.3.2", 5)
def test_a_name_in_another_form_is_told_as_the_old_one(client: Client, mail: ImapBench) -> None:
    """RFC 9051 §6.3.2: decomposed letters are the same mailbox."""
    mail.account("alice").create("Büro")
    told = client.ok('SELECT "Bu\u0308ro"').untagged
    (line,) = [reply.raw.decode() for reply in told if reply.raw.startswith(b"* LIST")]
    assert line.endswith('"Büro" ("OLDNAME" ("Bu\u0308ro"))\r\n')


@rfc("9051", "6.4.9", 1)
@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("SEARCH SUBJECT one", "ALL 1"),
        ("UID SEARCH SUBJECT one", "UID ALL 1"),
        ("SEARCH RETURN (COUNT) ALL", "COUNT 3"),
        ("SEARCH SUBJECT nothing", ""),
    ],
)
def test_results_are_told_by_esearch(client: Client, command: str, told: str) -> None:
    client.ok("SELECT INBOX")
    answer = client.ok(command)
    (line,) = client.told(answer)
    assert line == f'ESEARCH (TAG "{answer.tagged.tag}") {told}'.rstrip()


def test_nothing_is_recent(client: Client, mail: ImapBench) -> None:
    client.ok("SELECT INBOX")
    assert client.told(client.ok("FETCH 1 (FLAGS)")) == ["1 FETCH (FLAGS ())"]
    assert client.told(client.ok("FETCH 1 (FLAGS BODY.PEEK[TEXT])"))[0].startswith(
        "1 FETCH (FLAGS () BODY[TEXT]"
    )
    mail.put("alice", MESSAGES[0])
    assert client.told(client.ok("NOOP")) == ["4 EXISTS"]


def test_what_rev2_left_out_still_works(client: Client) -> None:
    """The two versions are one server: old commands in new sessions do no harm."""
    client.ok("SELECT INBOX")
    client.ok("CHECK")
    client.ok('LSUB "" *')
    assert client.told(client.ok("STATUS Archive (RECENT)")) == ['STATUS "Archive" (RECENT 0)']
    client.ok("FETCH 1 RFC822.HEADER")


def test_a_session_that_goes_on_elsewhere_stays_rev2(client: Client, mail: ImapBench) -> None:
    client.ok("SELECT INBOX")
    client.leave("later")
    client.wait()
    again = mail.connect(client.record)
    assert again.told(again.ok("SEARCH 1"))[0].startswith("ESEARCH")
