"""APPEND of parts: literals and pieces of one's own messages (RFC 4469, RFC 5550 §5.7.1)."""

from __future__ import annotations

import pytest

from pymaild.imap import urls
from pymaild.mail.settings import MailSettings
from tests.imap.conftest import MESSAGES, Client, ImapBench

WIRE = MESSAGES[1].replace(b"\n", b"\r\n")  # two parts, the second a message
HEADER = WIRE[: WIRE.index(b"\r\n\r\n") + 4]


@pytest.fixture
def client(mail: ImapBench) -> Client:
    return mail.login()


def validity(client: Client, mailbox: str = "INBOX") -> str:
    return client.told(client.ok(f"STATUS {mailbox} (UIDVALIDITY)"))[0].split()[-1].rstrip(")")


def text(data: bytes) -> bytes:
    return b"TEXT {%d+}\r\n%b" % (len(data), data)


def url(path: str) -> bytes:
    return b'URL "%b"' % path.encode()


def made(client: Client, *parts: bytes) -> bytes:
    """Append to Archive and return what is there then."""
    uid = client.ok(b"APPEND Archive CATENATE (" + b" ".join(parts) + b")").tagged.code[2]
    client.ok("EXAMINE Archive")
    found = client.ok(f"UID FETCH {uid} BODY.PEEK[]").fetched()
    client.ok("UNSELECT")
    (values,) = found.values()
    return bytes(values["BODY[]"])


def count(client: Client) -> str:
    return client.told(client.ok("STATUS Archive (MESSAGES)"))[0]


@pytest.mark.parametrize(
    ("path", "octets"),
    [
        ("/INBOX;UIDVALIDITY={v}/;UID=2", WIRE),
        ("/inbox/;uid=2", WIRE),
        ("/INBOX/;UID=2/;SECTION=HEADER", HEADER),
        ("/INBOX/;UID=2/;section=TEXT", WIRE[len(HEADER) :]),
        ("/INBOX/;UID=2/;SECTION=1", b"text part"),
        ("/INBOX/;UID=2/;SECTION=1.MIME", b"\r\n"),
        ("/INBOX/;UID=2/;SECTION=2.MIME", b"Content-Type: message/rfc822\r\n\r\n"),
        ("/INBOX/;UID=2/;SECTION=2.HEADER", b"Subject: inner\r\n\r\n"),
        ("/INBOX/;UID=2/;SECTION=2.TEXT", b"inner body"),
        ("/INBOX/;UID=2/;SECTION=2.1", b"inner body"),
        (
            "/INBOX/;UID=2/;SECTION=HEADER.FIELDS%20(SUBJECT%20FROM)",
            b"From: Carl <carl@example.org>\r\nSubject: two\r\n\r\n",
        ),
        ("/INBOX/;UID=2/;SECTION=2.HEADER.FIELDS.NOT (Subject)", b"\r\n"),
        ("/INBOX/;UID=2/;SECTION=1/;PARTIAL=5", b"part"),
        ("/INBOX/;UID=2/;SECTION=1/;PARTIAL=0.4", b"text"),
        ("/INBOX/;UID=2/;PARTIAL=6.5", WIRE[6:11]),
        ("/INBOX/;UID=2/;SECTION=1/;PARTIAL=5.4000000000", b"part"),
        ("/INBOX/;UID=2/;SECTION=HEADER.FIELDS (SUBJECT)/;PARTIAL=9.3", b"two"),
        ("/INBOX/;UID=2/;SECTION=1/;PARTIAL=4000.1", b""),
    ],
)
def test_what_a_url_names(client: Client, path: str, octets: bytes) -> None:
    """What FETCH BODY[...] gives stands in the new message (RFC 4469 §3)."""
    path = path.format(v=validity(client))
    assert made(client, text(b"A: b\r\n\r\n"), url(path), text(b"\r\nend\r\n")) == (
        b"A: b\r\n\r\n" + octets + b"\r\nend\r\n"
    )


@pytest.mark.parametrize(
    "path",
    [
        "/INBOX;UIDVALIDITY=1/;UID=2",
        "/INBOX/;UID=4",
        "/INBOX/;UID=0",
        "/INBOX/;UID=99999999999",
        "/INBOX/;UID=2/;SECTION=3",
        "/INBOX/;UID=2/;SECTION=1.HEADER",
        "/INBOX/;UID=2/;SECTION=MIME",
        "/INBOX/;UID=2/;SECTION=1HEADER",
        "/INBOX/;UID=2/;SECTION=.HEADER",
        "/INBOX/;UID=2/;SECTION=1.",
        "/INBOX/;UID=2/;SECTION=" + "1." * 150 + "1",
        "/INBOX/;UID=2/;SECTION=HEADER.FIELDS",
        "/INBOX/;UID=2/;SECTION=HEADER.FIELDS ()",
        "/INBOX/;UID=2/;SECTION=%4",
        "/INBOX/;UID=2/;PARTIAL=a",
        "/INBOX/;UID=2/;PARTIAL=1.0",
        "/INBOX/;UID=2/;PARTIAL=0.1/;SECTION=1",
        "/INBOX/;UID=2;EXPIRE=2027-01-01T00:00:00Z;URLAUTH=anonymous:INTERNAL:00",
        "/INBOX",
        "/INBOX?SUBJECT two",
        "/nowhere/;UID=1",
        "/%FF/;UID=1",
        "/..%2F..%2Fetc%00/;UID=1",
        "//INBOX/;UID=2",
        ";UID=2",
        "INBOX/;UID=2",
        "imap://alice@mail.example.org/INBOX/;UID=2",
        "http://example.org/",
        "/INBOX/;UID=2]\\r\\n* OK [ALERT",
        "",
        "(",
    ],
)
def test_bad_urls(client: Client, path: str) -> None:
    """RFC 4469 §4.1: the code names the URL that failed, in what a code can hold."""
    literal = b"URL {%d+}\r\n%b" % (len(path), path.encode())
    answer = client.no(b"APPEND Archive CATENATE (" + url("/INBOX/;UID=2") + b" " + literal + b")")
    assert answer.code == "BADURL"
    told = str(answer.tagged.code[1])
    assert told == urls.shown(path.encode())
    assert not set(told) & set(' "]\r\n')
    assert "MESSAGES 0" in count(client)
    client.ok("NOOP")


def test_a_url_of_any_octets_can_be_told(client: Client) -> None:
    every = bytes(octet for octet in range(1, 256))
    answer = client.no(b"APPEND Archive CATENATE (URL {%d+}\r\n%b" % (len(every), every * 1) + b")")
    assert answer.code == "BADURL"
    long = b"/" + b"x" * 5000
    answer = client.no(b"APPEND Archive CATENATE (URL {%d+}\r\n%b)" % (len(long), long))
    assert len(answer.tagged.raw) < 1200


def test_names_of_mailboxes_are_utf8(client: Client) -> None:
    client.ok(b"CREATE Entw&APw-rfe/Caf&AOk-")
    client.ok(b"APPEND Entw&APw-rfe/Caf&AOk- {11+}\r\nA: b\r\n\r\nx\r\n")
    assert made(client, url("/Entw%C3%BCrfe/Caf%C3%A9/;UID=1")) == b"A: b\r\n\r\nx\r\n"
    assert made(client, url("/Entw%c3%bcrfe%2FCaf%c3%a9/;UID=1/;SECTION=HEADER")) == b"A: b\r\n\r\n"


@pytest.mark.parametrize("selected", [False, True])
def test_the_selected_mailbox_stays_and_nothing_is_seen(mail: ImapBench, selected: bool) -> None:
    """RFC 4469 §3: \\Seen is not set, and the selected mailbox does not change."""
    client = mail.login()
    if selected:
        client.ok("SELECT INBOX")
    client.ok(b"APPEND INBOX CATENATE (" + url("/INBOX/;UID=1") + b")")
    assert (client.record.mailbox == "INBOX") is selected
    client.ok("SELECT INBOX")
    fetched = client.ok("FETCH 1:4 (FLAGS BODY.PEEK[])").fetched()
    assert not any("\\Seen" in values["FLAGS"] for values in fetched.values())
    assert fetched[4]["BODY[]"] == fetched[1]["BODY[]"]


def test_each_literal_is_asked_for_and_urls_are_looked_at_first(client: Client) -> None:
    client.send(b'a APPEND Archive (\\Seen) CATENATE (URL "/INBOX/;UID=1" TEXT {3}\r\n')
    assert client.read().tag == "+"
    client.send(b'abc URL "/INBOX/;UID=99" TEXT {3}\r\n')
    reply = client.read()
    assert (reply.tag, reply.name, str(reply.code[0])) == ("a", "NO", "BADURL")
    client.send(b"b APPEND Archive CATENATE (URL {13}\r\n")
    assert client.read().tag == "+"
    client.send(b"/INBOX/;UID=2 TEXT {3}\r\n")
    assert client.read().tag == "+"
    client.send(b"abc)\r\n")
    assert client.finish("b").status == "OK"
    assert "MESSAGES 1" in count(client)


def test_what_becomes_too_big_is_refused(mail: ImapBench) -> None:
    """RFC 4469 §4.2: the sum counts, and the literal that breaks the limit is not asked for."""
    mail.mail = MailSettings(fsync=False, message_size=2000)  # type: ignore[arg-type]
    client = mail.login()
    size = len(WIRE)
    whole = b" ".join([url("/INBOX/;UID=2")] * (2000 // size + 1))
    assert client.no(b"APPEND Archive CATENATE (" + whole + b")").code == "TOOBIG"
    fits = url("/INBOX/;UID=2") + b" " + text(b"x" * (2000 - size))
    client.ok(b"APPEND Archive CATENATE (" + fits + b")")
    client.send(b'a APPEND Archive CATENATE (URL "/INBOX/;UID=2" TEXT {%d}\r\n' % (2001 - size))
    reply = client.read()
    assert (reply.tag, str(reply.code[0])) == ("a", "TOOBIG")
    assert "MESSAGES 1" in count(client)


@pytest.mark.parametrize(
    "parts",
    [
        b"()",
        b"(TEXT)",
        b"(TEXT abc)",
        b"(TEXT ~{3+}\r\nabc)",
        b'(URL "/INBOX/;UID=1"',
        b"(URL)",
        b"(URL /INBOX/;UID=1 )",
        b"(FILE x)",
        b"(TEXT {3+}\r\nabc) x",
        b"(UTF8 {3+}\r\nabc)",
        b"(UTF8 (~{3+}\r\nabc ~{3+}\r\nabc))",
        b"(TEXT {3+}\r\nabcTEXT {3+}\r\nabc)",
    ],
)
def test_wrong_arguments(client: Client, parts: bytes) -> None:
    client.bad(b"APPEND Archive CATENATE " + parts)
    assert "MESSAGES 0" in count(client)
    client.ok("NOOP")


def test_nothing_at_all_is_no_message(client: Client) -> None:
    client.no(b"APPEND Archive CATENATE (TEXT {0+}\r\n)")
    assert made(client, text(b""), text(b"A: b\r\n\r\nx\r\n")) == b"A: b\r\n\r\nx\r\n"


def test_several_messages_at_once(client: Client) -> None:
    """With MULTIAPPEND the parts of each message stand in their own list."""
    answer = client.ok(
        b"APPEND Archive (\\Seen) CATENATE (" + url("/INBOX/;UID=1") + b") {11+}\r\n"
        b'A: b\r\n\r\nx\r\n "17-Jul-1996 02:44:25 -0700" CATENATE (' + url("/INBOX/;UID=3") + b")"
    )
    assert answer.tagged.code[2] == "1:3"


def test_in_pieces(client: Client) -> None:
    whole = (
        b"APPEND Archive CATENATE (" + text(b"A: b\r\n\r\n") + b" " + url("/INBOX/;UID=1") + b")"
    )
    client.trickle(b"a " + whole + b"\r\n")
    assert client.finish("a").status == "OK"


def test_a_thousand_urls(client: Client) -> None:
    """The mailbox is opened once; each URL is read in bounded pieces."""
    assert made(client, *[url("/INBOX/;UID=2/;SECTION=1")] * 1000) == b"text part" * 1000


def test_mailboxes_in_turn(client: Client) -> None:
    client.ok("SELECT INBOX")
    client.ok("COPY 1 Sent")
    parts = [url("/INBOX/;UID=2/;SECTION=1"), url("/Sent/;UID=1/;SECTION=1")] * 5
    client.ok("UNSELECT")
    assert made(client, *parts) == b"text partfirst body\r\n" * 5


def test_another_users_mailbox_is_none(mail: ImapBench) -> None:
    mail.put("bob", b"A: b\n\nsecret\n")
    client = mail.login()
    names = client.told(client.ok("NAMESPACE"))
    assert names
    for path in ("/bob/;UID=1", "/Other%20Users/bob/;UID=1", "/../bob/Maildir/;UID=1"):
        assert client.no(b"APPEND Archive CATENATE (" + url(path) + b")").code == "BADURL"
