"""APPEND (RFC 3501 §6.3.11): what is refused is refused before it is sent."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pymaild.core.errors import Code, StorageFailure
from pymaild.mail.mailbox import Mailbox
from pymaild.mail.settings import MailSettings
from tests.imap.conftest import ImapBench
from tests.support.rfc import rfc

MESSAGE = b"Subject: x\r\n\r\nbody\r\n"


@rfc("9051", "2.3.3", 2)
@rfc("3501", "2.3.3", 3)
@rfc("9051", "6.3.12", 3, 4)
@rfc("3501", "6.3.11", 4, 5)
def test_message_flags_and_date(imap: ImapBench) -> None:
    client = imap.login()
    date = '"17-Jul-1996 02:44:25 -0700"'
    uid = client.appended("INBOX", MESSAGE, f"(\\Seen $Work) {date}")
    client.ok("SELECT INBOX")
    told = client.told(client.ok("FETCH 1 (UID FLAGS INTERNALDATE BODY.PEEK[])"))
    assert told == [
        f"1 FETCH (UID {uid} FLAGS (\\Seen $Work) "
        f'INTERNALDATE "17-Jul-1996 09:44:25 +0000" BODY[] {{20}}\r\n{MESSAGE.decode()})'
    ]


@rfc("9051", "6.3.12", 9, 10)
@rfc("3501", "6.3.11", 9, 10)
def test_the_selected_mailbox_tells_of_it_at_once(imap: ImapBench) -> None:
    client = imap.select()
    answer = client.append("INBOX", MESSAGE)
    assert [reply.name for reply in answer.untagged] == ["EXISTS", "RECENT"]


@rfc("9051", "6.3.12", 6, 7)
@rfc("3501", "6.3.11", 7, 8)
@rfc("7889", "4", 1)
def test_no_continuation_for_what_is_refused(imap: ImapBench) -> None:
    imap.mail = MailSettings(fsync=False, message_size=2000)  # type: ignore[arg-type]
    client = imap.login()
    for command, code in (
        (b"APPEND nowhere {10}", "TRYCREATE"),
        (b"APPEND INBOX {2001}", "TOOBIG"),
        (b"APPEND INBOX {0}", ""),
    ):
        answer = client.command(command)
        assert (answer.status, answer.code) == ("NO", code)
        assert not answer.untagged
    for command in (
        b"APPEND INBOX (\\Seen {10}",
        b"APPEND INBOX \\Seen {10}",
        b"APPEND INBOX (\\Seen)  {10}",
        b"APPEND INBOX (\\Seen) yesterday {10}",
        b"APPEND INBOX(\\Seen) {10}",
    ):
        answer = client.command(command)
        assert answer.status == "BAD", command
        assert not answer.untagged
    client.ok("NOOP")


@rfc("7888", "3", 3)
def test_a_refused_message_that_comes_anyway_is_thrown_away(imap: ImapBench) -> None:
    """RFC 7888 §4, and the session is kept."""
    imap.mail = MailSettings(fsync=False, message_size=2000)  # type: ignore[arg-type]
    client = imap.login()
    body = b"a NOOP\r\n" * 50_000
    answers = client.pipeline(
        [b"APPEND INBOX {%d+}\r\n" % len(body) + body, b"APPEND gone {3+}\r\nabc", b"NOOP"]
    )
    assert [answer.code for answer in answers] == ["TOOBIG", "TRYCREATE", ""]
    assert answers[-1].status == "OK"


@rfc("9051", "5.5", 1)
@rfc("3501", "5.5", 1)
def test_mailbox_name_as_a_literal(imap: ImapBench) -> None:
    client = imap.login()
    client.send(b"a APPEND {5}\r\n")
    assert client.read().tag == "+"
    client.send(b"INBOX (\\Seen) {4}\r\n")
    assert client.read().tag == "+"
    client.send(b"a: b\r\n")
    assert client.finish("a").code == "APPENDUID"


def test_literal_in_pieces(imap: ImapBench) -> None:
    client = imap.login()
    client.send(b"a APPEND INBOX {%d}\r\n" % len(MESSAGE))
    assert client.read().tag == "+"
    client.trickle(MESSAGE + b"\r\nb NOOP\r\n")
    assert client.finish("a").status == "OK"
    assert client.finish("b").status == "OK"


@rfc("9051", "6.3.12", 5)
@rfc("3501", "6.3.11", 6)
@pytest.mark.parametrize("rest", [b" junk", b"x", b"{3+}\r\nabc", b" (", b" \x00"])
def test_junk_behind_the_message_stores_nothing(imap: ImapBench, rest: bytes) -> None:
    client = imap.login()
    client.bad(b"APPEND INBOX {%d+}\r\n" % len(MESSAGE) + MESSAGE + rest)
    assert "MESSAGES 0" in client.told(client.ok("STATUS INBOX (MESSAGES)"))[0]


def test_disk_full_in_the_middle_keeps_the_session(
    imap: ImapBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the message is read and thrown away, the answer is NO."""

    def write(self: Mailbox, pieces: Iterable[bytes]) -> None:
        next(iter(pieces))
        raise StorageFailure(Code.OVERQUOTA, "No space left for mail", "ENOSPC")

    client = imap.login()
    monkeypatch.setattr(Mailbox, "write", write)
    body = b"x" * 500_000
    for plus in (b"", b"+"):
        client.send(b"a APPEND INBOX {%d%b}\r\n" % (len(body), plus))
        if not plus:
            assert client.read().tag == "+"
        client.send(body + b"\r\nb NOOP\r\n")
        assert client.finish("a").code == "OVERQUOTA"
        assert client.finish("b").status == "OK"


def test_a_client_that_goes_in_the_middle_leaves_nothing_behind(imap: ImapBench) -> None:
    client = imap.login()
    client.send(b"a APPEND INBOX {1000}\r\n")
    assert client.read().tag == "+"
    client.send(b"half of it")
    client.socket.shutdown(2)
    client.wait()
    files = [path for path in (imap.folder / "mail" / "alice").rglob("*") if path.is_file()]
    assert not [path for path in files if path.parent.name in ("tmp", "new", "cur")]


def test_a_keyword_too_many_is_refused_before_the_message(imap: ImapBench) -> None:
    client = imap.login()
    flags = " ".join(f"$k{number}" for number in range(27))
    answer = client.command(f"APPEND INBOX ({flags}) {{10}}")
    assert (answer.status, answer.code) == ("NO", "LIMIT")
