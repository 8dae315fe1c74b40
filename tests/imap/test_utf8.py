"""UTF-8 in names and strings: UTF8=ACCEPT (RFC 6855) and IMAP4rev2 (RFC 9051 §5.1)."""

from __future__ import annotations

import pytest

from tests.imap.conftest import ImapBench
from tests.support.rfc import rfc

MODES = ("UTF8=ACCEPT", "IMAP4rev2")


@rfc("9051", "A.1", 6)
@rfc("3501", "5.1.3", 6)
@rfc("9051", "A", 2)
@rfc("6855", "3", 3)
@pytest.mark.parametrize("mode", MODES)
def test_names_are_utf8_once_enabled(imap: ImapBench, mode: str) -> None:
    client = imap.login()
    client.ok('CREATE "Entw&APw-rfe"')
    assert client.told(client.ok('LIST "" Ent*')) == [
        '(LIST (\\HasNoChildren) "/" "Entw&APw-rfe"'[1:]
    ]
    client.ok(f"ENABLE {mode}")
    line = client.ok('LIST "" Ent*').untagged[0].raw
    assert line.endswith('"Entwürfe"\r\n'.encode())
    status = client.command('STATUS "Entwürfe" (MESSAGES)').untagged[0].raw
    assert status == '* STATUS "Entwürfe" (MESSAGES 0)\r\n'.encode()


@pytest.mark.parametrize("mode", MODES)
def test_an_ampersand_is_itself_once_enabled(imap: ImapBench, mode: str) -> None:
    """Thunderbird sends a bare "&" then (2026-11)."""
    client = imap.login()
    client.ok(f"ENABLE {mode}")
    client.ok('CREATE "R & D"')
    client.ok('CREATE "&APw-"')
    lines = [reply.raw for reply in client.ok('LIST "" "*&*"').untagged]
    assert [line.split(b'"/" ')[1] for line in lines] == [b'"&APw-"\r\n', b'"R & D"\r\n']
    old = imap.login()
    lines = [reply.raw for reply in old.ok('LIST "" "*&*"').untagged]
    assert [line.split(b'"/" ')[1] for line in lines] == [b'"&-APw-"\r\n', b'"R &- D"\r\n']


@rfc("6855", "3", 2)
@pytest.mark.parametrize("mode", MODES)
def test_a_quoted_string_that_is_no_utf8_is_bad(mail: ImapBench, mode: str) -> None:
    client = mail.login()
    client.ok(f"ENABLE {mode}")
    client.ok("SELECT INBOX")
    client.send(b'x SEARCH SUBJECT "\xff"\r\n')
    assert client.read().name == "BAD"
    client.send(b'y STATUS "\xc3" (MESSAGES)\r\n')
    assert client.read().name == "BAD"
    client.ok("NOOP")


def test_a_record_keeps_what_is_enabled(imap: ImapBench) -> None:
    imap.account("alice").create("Entwürfe")
    client = imap.login()
    client.ok("ENABLE UTF8=ACCEPT")
    again = imap.connect(client.record)
    assert "Entwürfe".encode() in again.ok('LIST "" Ent*').untagged[0].raw


@rfc("9051", "A", 2, 3)
@rfc("9051", "4.3.1", 2)
@rfc("6855", "3", 4)
def test_quoted_utf8_is_a_name_in_every_mode(imap: ImapBench) -> None:
    """RFC 6855 §3: it is converted for those who have not switched."""
    client = imap.login()
    client.ok('CREATE "Entwürfe"')
    client.ok('RENAME "Entwürfe" "Größe"')
    assert b'"Gr&APYA3w-e"' in client.ok('LIST "" Gr*').untagged[0].raw


@rfc("9051", "6.3.4", 1)
@rfc("9051", "5.1", 2)
@rfc("6855", "3", 5)
def test_names_have_no_line_separators(imap: ImapBench) -> None:
    client = imap.login()
    client.ok("ENABLE UTF8=ACCEPT")
    for letter in "\u2028\u2029\u0085\u009f\x01\x7f":
        assert client.no(f'CREATE "a{letter}b"').code == "CANNOT"
    client.ok('CREATE "Bu\u0308ro"')
    assert '"Büro"'.encode() in client.ok('LIST "" B*').untagged[0].raw


@rfc("6855", "3", 7)
def test_search_with_a_charset_is_bad(mail: ImapBench) -> None:
    client = mail.select()
    client.ok("SEARCH CHARSET UTF-8 SUBJECT one")
    client.ok("ENABLE UTF8=ACCEPT")
    client.bad("SEARCH CHARSET UTF-8 SUBJECT one")
    assert client.ok('SEARCH FROM "Jörg"').untagged[0].raw == b"* SEARCH 3\r\n"


@rfc("6855", "4", 2)
def test_a_header_in_utf8_is_refused_before_enable(imap: ImapBench) -> None:
    imap.switch(append_8bit_headers=False)
    message = "Subject: Größe\r\n\r\nbody\r\n".encode()
    client = imap.login()
    client.send(b"x APPEND INBOX {%d+}\r\n%b\r\n" % (len(message), message))
    assert client.read().name == "NO"
    client.ok("ENABLE UTF8=ACCEPT")
    client.send(b"y APPEND INBOX UTF8 (~{%d+}\r\n%b)\r\n" % (len(message), message))
    assert client.read().name == "OK"
    client.ok("SELECT INBOX")
    assert client.ok("FETCH 1 BODY.PEEK[]").untagged[0].raw.endswith(message + b")\r\n")


def test_clients_that_never_ask_may_append_such_a_header(imap: ImapBench) -> None:
    """The switch append_8bit_headers: old mail is copied from server to server (2026-11)."""
    message = "Subject: Größe\r\n\r\nbody\r\n".encode()
    client = imap.login()
    client.send(b"x APPEND INBOX {%d+}\r\n%b\r\n" % (len(message), message))
    assert client.read().name == "OK"
