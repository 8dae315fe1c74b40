"""UTF-8 in names and strings: UTF8=ACCEPT (RFC 6855) and IMAP4rev2 (RFC 9051 §5.1)."""

from __future__ import annotations

import pytest

from tests.imap.conftest import ImapBench

MODES = ("UTF8=ACCEPT", "IMAP4rev2")


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


def test_quoted_utf8_is_a_name_in_every_mode(imap: ImapBench) -> None:
    """RFC 6855 §3: it is converted for those who have not switched."""
    client = imap.login()
    client.ok('CREATE "Entwürfe"')
    client.ok('RENAME "Entwürfe" "Größe"')
    assert b'"Gr&APYA3w-e"' in client.ok('LIST "" Gr*').untagged[0].raw


def test_names_have_no_line_separators(imap: ImapBench) -> None:
    client = imap.login()
    client.ok("ENABLE UTF8=ACCEPT")
    for letter in "\u2028\u2029\u0085\u009f":
        assert client.no(f'CREATE "a{letter}b"').code == "CANNOT"
