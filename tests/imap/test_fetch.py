"""FETCH and STORE (RFC 3501 §6.4.5, §6.4.6, §7.4.2)."""

from __future__ import annotations

import os

import pytest

from pymaild.core.errors import Code, StorageFailure
from pymaild.core.session import Ending
from pymaild.mail.mailbox import Mailbox
from pymaild.mail.message import Source
from tests.imap.conftest import MESSAGES, ImapBench
from tests.support.rfc import rfc

HEADER, _, TEXT = MESSAGES[0].partition(b"\r\n\r\n")
HEADER += b"\r\n\r\n"


def fetch(mail: ImapBench, items: str, seq: int = 1) -> bytes:
    """What FETCH of a message tells, without its frame."""
    client = mail.select()
    raw = client.ok(f"FETCH {seq} {items}").one("FETCH").raw
    frame = b"* %d FETCH (" % seq
    assert raw.startswith(frame)
    assert raw.endswith(b")\r\n")
    return raw[len(frame) : -3]


def literal(octets: bytes) -> bytes:
    return b"{%d}\r\n%b" % (len(octets), octets)


SECTIONS = [
    (1, "BODY.PEEK[]", b"BODY[] " + literal(MESSAGES[0])),
    (1, "BODY.PEEK[HEADER]", b"BODY[HEADER] " + literal(HEADER)),
    (1, "BODY.PEEK[TEXT]", b"BODY[TEXT] " + literal(TEXT)),
    (1, "BODY.PEEK[1]", b"BODY[1] " + literal(TEXT)),
    (1, "BODY.PEEK[1.1]", b"BODY[1.1] NIL"),
    (1, "BODY.PEEK[2]", b"BODY[2] NIL"),
    (1, "BODY.PEEK[99.99.99]", b"BODY[99.99.99] NIL"),
    (1, "BODY.PEEK[1.HEADER]", b"BODY[1.HEADER] NIL"),
    (1, "body.peek[text]<0.5>", b"BODY[TEXT]<0> " + literal(TEXT[:5])),
    (1, "BODY.PEEK[TEXT]<6.1000>", b"BODY[TEXT]<6> " + literal(TEXT[6:])),
    (1, "BODY.PEEK[]<4294967295.1>", b"BODY[]<4294967295> " + literal(b"")),
    (1, "BODY.PEEK[HEADER.FIELDS (subject)]",
     b"BODY[HEADER.FIELDS (subject)] " + literal(b"Subject: one\r\n\r\n")),
    (1, "BODY.PEEK[HEADER.FIELDS (X-None)]", b"BODY[HEADER.FIELDS (X-None)] " + literal(b"\r\n")),
    (1, 'BODY.PEEK[HEADER.FIELDS ("Subject")]<9.3>',
     b"BODY[HEADER.FIELDS (Subject)]<9> " + literal(b"one")),
    (1, "BODY.PEEK[HEADER.FIELDS.NOT (FROM TO DATE)]",
     b"BODY[HEADER.FIELDS.NOT (FROM TO DATE)] " + literal(b"Subject: one\r\n\r\n")),
    (2, "BODY.PEEK[1]", b"BODY[1] " + literal(b"text part")),
    (2, "BODY.PEEK[1.MIME]", b"BODY[1.MIME] " + literal(b"\r\n")),
    (2, "BODY.PEEK[2.MIME]", b"BODY[2.MIME] " + literal(b"Content-Type: message/rfc822\r\n\r\n")),
    (2, "BODY.PEEK[2.HEADER]", b"BODY[2.HEADER] " + literal(b"Subject: inner\r\n\r\n")),
    (2, "BODY.PEEK[2.TEXT]", b"BODY[2.TEXT] " + literal(b"inner body")),
    (2, "BODY.PEEK[2.1]", b"BODY[2.1] " + literal(b"inner body")),
    (2, "BODY.PEEK[2.HEADER.FIELDS (SUBJECT)]",
     b"BODY[2.HEADER.FIELDS (SUBJECT)] " + literal(b"Subject: inner\r\n\r\n")),
    (2, "BODY.PEEK[1.HEADER.FIELDS (SUBJECT)]", b"BODY[1.HEADER.FIELDS (SUBJECT)] NIL"),
    (1, "RFC822.HEADER", b"RFC822.HEADER " + literal(HEADER)),
    (1, "RFC822.SIZE", b"RFC822.SIZE %d" % len(MESSAGES[0])),
    (2, "RFC822.SIZE", b"RFC822.SIZE %d" % len(MESSAGES[1].replace(b"\n", b"\r\n"))),
]  # fmt: skip


@rfc("9051", "2.3.4", 1)
@rfc("9051", "7.5.2", 7)
@rfc("3501", "7.4.2", 2)
@rfc("9051", "6.4.5.1", 1, 2)
@rfc("3501", "6.4.5", 2, 3)
@pytest.mark.parametrize(("seq", "items", "told"), SECTIONS)
def test_section(mail: ImapBench, seq: int, items: str, told: bytes) -> None:
    assert fetch(mail, items, seq) == told
    assert "\\Seen" not in fetch(mail, "FLAGS", seq).decode()


@rfc("9051", "7.5.2", 2)
def test_stored_line_ends_do_not_show(mail: ImapBench) -> None:
    whole = fetch(mail, "BODY.PEEK[]", 2)
    assert whole == b"BODY[] " + literal(MESSAGES[1].replace(b"\n", b"\r\n"))
    for offset in range(0, 300, 7):
        part = fetch(mail, f"BODY.PEEK[]<{offset}.9>", 2)
        octets = MESSAGES[1].replace(b"\n", b"\r\n")[offset : offset + 9]
        assert part == b"BODY[]<%d> " % offset + literal(octets)


@rfc("9051", "2.2.2", 1, 2)
@rfc("3501", "2.2.2", 1, 2)
@rfc("9051", "6.4.5.1", 2)
@rfc("3501", "6.4.5", 3)
@pytest.mark.parametrize(
    "item",
    [
        *("BODY[", "BODY[]x", "BODY[0]", "BODY[1.]", "BODY[.1]", "BODY[1.0]", "BODY[MIME]"),
        *("BODY[]<0.0>", "BODY[]<1>", "BODY[]<-1.5>", "BODY[TEXT.1]", "BODY[1TEXT]", "BODY.PEEK"),
        *("BODY[HEADER.FIELDS]", "BODY[HEADER.FIELDS ()]", "BODY[HEADER.FIELDS (a)", "BODY[FOO]"),
        *("BODY[HEADER.FIELDS (a) ]", "BODY[HEADER.FIELDS (a:)]", "BODY[HEADER.FIELDS (a)]x"),
        *("(ALL)", "(FULL)", "(FLAGS )", "FLAGS FLAGS", "()", "FROB", "RFC822.FROB"),
        *("BODYSTRUCTURE[]", "BODY[" + "1." * 300 + "1]"),
    ],
)
def test_malformed_item_is_bad(mail: ImapBench, item: str) -> None:
    client = mail.select()
    client.bad(f"FETCH 1 {item}")
    client.bad(f"UID FETCH 1 {item}")


def labels(mail: ImapBench, command: str) -> list[str]:
    client = mail.select()
    return [str(label) for label in client.ok(command).one("FETCH").values[2][::2]]


@rfc("9051", "6.4.9", 2)
@rfc("3501", "6.4.8", 1)
def test_items_come_in_the_order_asked_with_uid_first(mail: ImapBench) -> None:
    items = "(RFC822.SIZE BODY.PEEK[1] FLAGS ENVELOPE UID FLAGS)"
    wanted = ["UID", "RFC822.SIZE", "BODY[1]", "FLAGS", "ENVELOPE"]
    assert labels(mail, f"FETCH 1 {items}") == wanted
    assert labels(mail, f"UID FETCH 1 {items.replace('UID ', '')}") == wanted
    assert labels(mail, "UID FETCH 2 RFC822.SIZE") == ["UID", "RFC822.SIZE"]


@pytest.mark.parametrize(
    ("macro", "items"),
    [
        ("FAST", ["FLAGS", "INTERNALDATE", "RFC822.SIZE"]),
        ("ALL", ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"]),
        ("full", ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"]),
    ],
)
def test_macro(mail: ImapBench, macro: str, items: list[str]) -> None:
    """RFC 3501 §6.4.5."""
    assert labels(mail, f"FETCH 1 {macro}") == items


@rfc("9051", "6.4.5", 2)
@rfc("3501", "6.4.5", 4)
@pytest.mark.parametrize(
    "item",
    ["BODY[]", "BODY[TEXT]", "BODY[1]<0.1>", "RFC822", "RFC822.TEXT", "BODY[HEADER.FIELDS (FROM)]"],
)
def test_reading_marks_as_seen_and_tells_it(mail: ImapBench, item: str) -> None:
    """RFC 3501 §6.4.5: the flags belong to the response when they change."""
    client = mail.select()
    assert "FLAGS (\\Seen \\Recent))" in client.told(client.ok(f"FETCH 1 {item}"))[0]
    assert "FLAGS" not in client.told(client.ok(f"FETCH 1 {item}"))[0]
    told = client.told(client.ok(f"FETCH 2 (FLAGS {item})"))[0]
    assert told.startswith("2 FETCH (FLAGS (\\Seen \\Recent) ")
    assert told.count("FLAGS (") == 1
    assert client.told(client.ok("NOOP")) == []


@rfc("3501", "6.3.2", 2)
def test_reading_in_examine_marks_nothing(mail: ImapBench) -> None:
    """RFC 3501 §6.3.2."""
    client = mail.login()
    assert client.ok("EXAMINE INBOX").code == "READ-ONLY"
    client.ok("FETCH 1:3 BODY[]")
    for command in ("STORE 1 +FLAGS \\Seen", "EXPUNGE", "UID EXPUNGE 1", "MOVE 1 Archive"):
        client.no(command)
    client.ok("COPY 1 Archive")
    client.ok("CLOSE")
    assert "UNSEEN 3" in client.told(client.ok("STATUS INBOX (UNSEEN)"))[0]


def test_mail_can_be_read_where_nothing_can_be_written(
    mail: ImapBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def store(*_: object) -> None:
        raise StorageFailure(Code.OVERQUOTA, "No space left for mail", "ENOSPC")

    monkeypatch.setattr(Mailbox, "store", store)
    client = mail.select()
    assert "first body" in client.told(client.ok("FETCH 1 BODY[TEXT]"))[0]


def test_large_bodies(imap: ImapBench) -> None:
    """Some come straight from the file, some are converted on the way."""
    line = b"0123456789" * 7
    crlf = b"Subject: big\r\n\r\n" + (line + b"\r\n") * 30_000
    imap.put("alice", crlf, crlf.replace(b"\r\n", b"\n"))
    client = imap.select()
    for seq in (1, 2):
        answer = client.ok(f"FETCH {seq} (BODY.PEEK[] RFC822.SIZE BODY.PEEK[TEXT]<70.200000>)")
        values = answer.one("FETCH").values[2]
        assert values[1] == crlf
        assert values[3] == str(len(crlf))
        assert values[5] == crlf[86:][:200_000]


@pytest.mark.parametrize(
    "command",
    [
        *("FETCH 4 FLAGS", "FETCH 1:4 FLAGS", "STORE 4 FLAGS ()", "COPY 2,7 Archive"),
        *("FETCH 4:* UID", "MOVE 4 Archive"),
    ],
)
def test_numbers_of_no_message_are_bad(mail: ImapBench, command: str) -> None:
    """RFC 3501 §9, seq-number."""
    mail.select().bad(command)


def test_star_of_an_empty_mailbox_is_bad(imap: ImapBench) -> None:
    client = imap.select()
    client.bad("FETCH * FLAGS")
    client.bad("FETCH 1:* FLAGS")
    assert client.told(client.ok("UID FETCH 1:* FLAGS")) == []


def test_uids_of_no_message_are_passed_over(mail: ImapBench) -> None:
    """RFC 3501 §6.4.8; "*" is the last message even where the other bound is higher."""
    client = mail.select()
    assert client.told(client.ok("UID FETCH 7,9 FLAGS")) == []
    assert client.told(client.ok("UID FETCH 100:* (UID)")) == ["3 FETCH (UID 3)"]
    assert client.told(client.ok("FETCH 3,1,3,2:1 (UID)")) == [
        f"{n} FETCH (UID {n})" for n in (1, 2, 3)
    ]
    client.ok("UID COPY 77 Archive")
    client.ok("UID MOVE 77 Archive")
    client.ok("UID STORE 77 FLAGS ()")


def unlink_message(mail: ImapBench, number: int) -> None:
    folder = mail.folder / "mail" / "alice" / "Maildir"
    files = sorted([*folder.glob("cur/*"), *folder.glob("new/*")], key=lambda f: f.stat().st_ino)
    body = {0: b"first", 1: b"inner", 2: b"third"}[number]
    (found,) = [path for path in files if body in path.read_bytes()]
    os.unlink(found)


def test_a_message_whose_file_went_away(mail: ImapBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other messages are told; RFC 5530 §3, EXPUNGEISSUED."""
    client = mail.select()
    monkeypatch.setattr(Mailbox, "refresh", lambda self: None)
    unlink_message(mail, 1)
    answer = client.no("FETCH 1:3 (BODY.PEEK[TEXT])")
    assert answer.code == "EXPUNGEISSUED"
    assert [reply.number for reply in answer.named("FETCH")] == [1, 3]
    answer = client.ok("UID FETCH 1:3 (BODY.PEEK[TEXT])")
    assert [reply.number for reply in answer.named("FETCH")] == [1, 3]


def test_a_message_that_cannot_be_read_does_not_end_fetch(
    mail: ImapBench, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are told; the reply is NO, with the cause in the log only."""
    client = mail.select()
    path = sorted((mail.folder / "mail" / "alice" / "Maildir" / "cur").iterdir())[1]
    path.unlink()
    loop = mail.folder / "loop"
    loop.symlink_to(loop)
    path.symlink_to(loop)
    for command in ("FETCH 1:3 (BODY.PEEK[])", "UID FETCH 1:3 (BODY[TEXT])"):
        answer = client.no(command)
        assert answer.code == "UNAVAILABLE"
        assert "Maildir" not in answer.tagged.text
        assert [reply.number for reply in answer.named("FETCH")] == [1, 3]
    assert path.name.partition(":")[0] in caplog.text
    assert len(client.ok("FETCH 1:3 (ENVELOPE)").named("FETCH")) == 3


def test_a_body_that_breaks_off_ends_the_connection(
    imap: ImapBench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Octets were promised: nothing that follows could be told apart from them."""
    imap.put("alice", b"Subject: big\n\n" + b"line\n" * 60_000)
    client = imap.select()
    monkeypatch.setattr(Source, "pieces", lambda self, *_: iter([b"short"]))
    client.send(b"a FETCH 1 BODY.PEEK[]\r\n")
    assert client.ended()
    assert client.wait() is Ending.CLOSED
    assert "shorter" in caplog.text


# -- STORE -------------------------------------------------------------------------------------

STORES = [
    ("FLAGS (\\Seen \\Draft)", "(\\Seen \\Draft)"),
    ("FLAGS \\Seen \\Draft", "(\\Seen \\Draft)"),
    ("+FLAGS (\\answered)", "(\\Answered \\Flagged)"),
    ("-FLAGS \\FLAGGED", "()"),
    ("FLAGS ()", "()"),
    ("+FLAGS ()", "(\\Flagged)"),
    ("+FLAGS ($Forwarded)", "(\\Flagged $Forwarded)"),
    ("-FLAGS ($Never)", "(\\Flagged)"),
]


@rfc("9051", "6.4.9", 2)
@rfc("3501", "6.4.8", 1)
@rfc("9051", "6.4.6", 1)
@rfc("3501", "6.4.6", 1)
@pytest.mark.parametrize(("action", "flags"), STORES)
def test_store(mail: ImapBench, action: str, flags: str) -> None:
    """RFC 3501 §6.4.6."""
    client = mail.login()
    client.appended("Archive", b"a: b\r\n\r\n", "(\\Flagged)")
    client.ok("SELECT Archive")
    answer = client.ok(f"STORE 1 {action}")
    assert client.told(answer)[-1] == f"1 FETCH (FLAGS {flags})"
    answer = client.ok(f"UID STORE 1 {action}")
    assert client.told(answer)[-1] == f"1 FETCH (UID 1 FLAGS {flags})"
    first, second = action.split(" ", 1)
    assert client.told(client.ok(f"STORE 1 {first}.SILENT {second}")) == []


@pytest.mark.parametrize(
    "action",
    [
        *("FROB ()", "+FLAGS", "FLAGS (\\*)", "FLAGS.LOUD ()", "* FLAGS ()", "+ FLAGS ()"),
        *("FLAGS (\\Seen", "FLAGS \\Seen)", "FLAGS (())"),
    ],
)
def test_malformed_store_is_bad(mail: ImapBench, action: str) -> None:
    mail.select().bad(f"STORE 1 {action}")


def test_new_keywords_are_announced_before_they_are_used(mail: ImapBench) -> None:
    client = mail.select()
    answer = client.ok("STORE 1 +FLAGS ($New)")
    assert [reply.name for reply in answer.untagged] == ["FLAGS", "OK", "FETCH"]
    assert "$New" in client.told(answer)[0]


def test_own_changes_are_not_told_twice(mail: ImapBench) -> None:
    client = mail.select()
    client.ok("STORE 1:3 +FLAGS.SILENT (\\Seen)")
    assert client.told(client.ok("NOOP")) == []


@rfc("9051", "5.2", 2)
@rfc("3501", "5.2", 3)
@rfc("9051", "6.4.6", 2)
@rfc("3501", "6.4.6", 2)
def test_silent_store_tells_what_others_changed(mail: ImapBench) -> None:
    """RFC 3501 §6.4.6, note: after it the client knows the flags all the same."""
    client, other = mail.select(), mail.select()
    other.ok("STORE 1:2 +FLAGS (\\Flagged)")
    told = client.told(client.ok("STORE 1 +FLAGS.SILENT (\\Seen)"))
    assert "1 FETCH (UID 1 FLAGS (\\Flagged \\Seen \\Recent))" in told
    assert "2 FETCH (UID 2 FLAGS (\\Flagged \\Recent))" in told
    assert client.told(client.ok("STORE 1:3 +FLAGS.SILENT (\\Answered)")) == []
    assert client.told(client.ok("UID STORE 1 -FLAGS.SILENT (\\Answered)")) == []
    assert client.told(client.ok("NOOP")) == []


def test_store_of_a_message_expunged_by_others(mail: ImapBench) -> None:
    """RFC 5530 §3, EXPUNGEISSUED; the number stays until EXPUNGE may be told."""
    client, other = mail.select(), mail.select()
    other.ok("STORE 2 +FLAGS (\\Deleted)")
    client.ok("NOOP")
    other.ok("EXPUNGE")
    answer = client.no("STORE 1:3 +FLAGS (\\Flagged)")
    assert answer.code == "EXPUNGEISSUED"
    assert [reply.number for reply in answer.named("FETCH")] == [1, 3]
    assert client.told(client.ok("NOOP")) == ["2 EXPUNGE", "2 RECENT"]
