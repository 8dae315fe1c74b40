"""Parts with their encoding undone, and messages with NUL in them (RFC 3516, RFC 9051 §6.4.5)."""

from __future__ import annotations

import base64
import quopri
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymaild.core.errors import Refused
from pymaild.mail import binary
from pymaild.mail.binary import Decoded
from pymaild.mail.message import Source
from pymaild.mail.recode import storable
from pymaild.mime._crlf import crlf_size, to_crlf
from pymaild.mime.encodings import decoder
from pymaild.mime.parts import scan
from tests.imap.conftest import Client, ImapBench
from tests.support.rfc import rfc

BLOB = bytes(range(256)) * 40
TEXT = "Grüße\nan alle\n".encode()


def part(kind: str, encoding: str, body: bytes) -> bytes:
    return f"--b\nContent-Type: {kind}\nContent-Transfer-Encoding: {encoding}\n\n".encode() + body


MESSAGE = (
    b'Content-Type: multipart/mixed; boundary="b"\nSubject: =?utf-8?q?J=C3=B6rg?=\n\npreamble\n'
    + part("application/octet-stream", "base64", base64.encodebytes(BLOB))
    + part("text/plain; charset=utf-8", "quoted-printable", quopri.encodestring(TEXT))
    + part("text/plain; charset=utf-8", "8bit", TEXT)
    + part("text/plain; charset=utf-8", "base64", base64.encodebytes(TEXT))
    + part("image/png", "x-uuencode", b"begin 644 a\n")
    + part("application/octet-stream", "binary", b"stored\0by others\n")
    + b"--b\nContent-Type: message/rfc822\n\nSubject: inner\nContent-Transfer-Encoding: base64\n\n"
    + base64.encodebytes(b"inner body\r\n")
    + b"\n--b--\n"
)
DECODED = {
    "1": BLOB,
    "2": to_crlf(TEXT).removesuffix(b"\r\n"),
    "3": to_crlf(TEXT).removesuffix(b"\r\n"),
    "4": to_crlf(TEXT),
    "6": b"stored\0by others",
    "7.1": b"inner body\r\n",
}


@pytest.fixture
def client(imap: ImapBench) -> Client:
    imap.put("alice", MESSAGE)
    return imap.select()


def fetched(client: Client, item: str) -> Any:
    """The value of one item of message 1, whatever partial it names."""
    values = client.ok(f"FETCH 1 ({item})").fetched()[1]
    values.pop("FLAGS", None)
    (value,) = values.values()
    return value


def raw(client: Client, item: str) -> bytes:
    return client.ok(f"FETCH 1 ({item})").one("FETCH").raw


@rfc("3516", "4.1", 1)
def test_announced(client: Client) -> None:
    assert "BINARY" in client.told(client.ok("CAPABILITY"))[0].split()


@rfc("9051", "7.5.2", 4)
@rfc("3516", "4.3", 3)
@rfc("3516", "6", 1)
@pytest.mark.parametrize("section", DECODED)
def test_each_encoding_is_undone(client: Client, section: str) -> None:
    octets = DECODED[section]
    assert fetched(client, f"BINARY.PEEK[{section}]") == octets
    assert fetched(client, f"BINARY.SIZE[{section}]") == str(len(octets))
    for offset, count in ((0, 5), (3, 7), (len(octets) - 2, 10), (len(octets), 1), (99_999, 9)):
        found = fetched(client, f"BINARY.PEEK[{section}]<{offset}.{count}>")
        assert found == octets[offset : offset + count]


@rfc("9051", "7.5.2", 1)
@rfc("3516", "4.3", 1)
def test_literal8_only_where_a_nul_is(client: Client) -> None:
    assert b"BINARY[1] ~{10240}\r\n" in raw(client, "BINARY.PEEK[1]")
    assert b"BINARY[1]<0> ~{5}\r\n" in raw(client, "BINARY.PEEK[1]<0.5>")
    assert b"BINARY[1]<1> {5}\r\n" in raw(client, "BINARY.PEEK[1]<1.5>")
    assert b"BINARY[2] {16}\r\n" in raw(client, "BINARY.PEEK[2]")
    assert b"BINARY[6] ~{16}\r\n" in raw(client, "BINARY.PEEK[6]")


@rfc("9051", "7.5.2", 3, 5)
@rfc("3516", "4.3", 2, 4)
@pytest.mark.parametrize(
    "item", ["BINARY[5]", "BINARY.PEEK[5]", "BINARY.SIZE[5]", "BINARY[5]<0.1>"]
)
def test_an_unknown_encoding(client: Client, item: str) -> None:
    answer = client.no(f"FETCH 1 (UID {item})")
    assert answer.code == "UNKNOWN-CTE"
    assert client.ok("FETCH 1 (BODY.PEEK[5])").fetched()[1]["BODY[5]"] == b"begin 644 a"


@rfc("3516", "5", 1)
@pytest.mark.parametrize("section", ["", "7"])
def test_what_holds_parts_is_not_encoded(client: Client, section: str) -> None:
    """The message as a whole, its header untouched; 0x80 stands for NUL in BODY alone."""
    found = fetched(client, f"BINARY.PEEK[{section}]")
    body = fetched(client, f"BODY.PEEK[{section}]")
    assert found.replace(b"\0", b"\x80") == body
    assert fetched(client, f"BINARY.SIZE[{section}]") == str(len(body))


@pytest.mark.parametrize("section", ["8", "1.1", "7.2", "99999999"])
def test_no_such_part(client: Client, section: str) -> None:
    assert fetched(client, f"BINARY.PEEK[{section}]") is None
    assert fetched(client, f"BINARY.SIZE[{section}]") == "0"


def test_seen_is_set_but_by_peek_and_size(client: Client) -> None:
    client.ok("FETCH 1 (BINARY.PEEK[1] BINARY.SIZE[1])")
    assert client.told(client.ok("FETCH 1 FLAGS")) == ["1 FETCH (FLAGS (\\Recent))"]
    assert "\\Seen" in client.ok("FETCH 1 BINARY[3]").fetched()[1]["FLAGS"]


@pytest.mark.parametrize(
    "item",
    [
        "BINARY",
        "BINARY[",
        "BINARY[1",
        "BINARY[0]",
        "BINARY[1.]",
        "BINARY[1.MIME]",
        "BINARY[TEXT]",
        "BINARY[1]<0>",
        "BINARY[1]<0.0>",
        "BINARY.SIZE[1]<0.1>",
        "BINARY.PEEK.SIZE[1]",
        "BINARY.SIZE",
        "BINARYX[1]",
        "BINARY[" + "1." * 120 + "1]",
    ],
)
def test_malformed_items(client: Client, item: str) -> None:
    client.bad(f"FETCH 1 ({item})")


def test_a_large_part_is_sent_in_pieces(imap: ImapBench) -> None:
    blob = BLOB * 300
    imap.put("alice", part("image/png", "base64", base64.encodebytes(blob))[4:])
    client = imap.select()
    assert fetched(client, "BINARY.PEEK[1]") == blob
    assert fetched(client, "BINARY.PEEK[1]<1000000.1000000>") == blob[1_000_000:2_000_000]
    assert fetched(client, "BINARY.SIZE[1]") == str(len(blob))


@pytest.mark.parametrize(
    ("encoding", "body", "wanted"),
    [
        ("base64", b"QUJD\nREVG\n", b"ABCDEF"),
        ("base64", b"QUI=\nfooter of a list\n", b"AB"),
        ("base64", b"=!*QUJD", b"ABC"),
        ("base64", b"QUJDR", b"ABC"),
        ("base64", b"Q", b""),
        ("base64", b"", b""),
        ("quoted-printable", b"a=\nb  \nc=3Dd\t\n=G1=", b"ab\nc=d\n=G1"),
        ("quoted-printable", b"a =\n b", b"a  b"),
        ("quoted-printable", b"a \r\nb", b"a\r\nb"),
        ("7bit", b"a=\n", b"a=\n"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_decoders_in_pieces(encoding: str, body: bytes, wanted: bytes, size: int) -> None:
    undo = decoder(encoding.encode())
    assert undo is not None
    pieces = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
    found = b"".join(undo.feed(piece, False) for piece in pieces[:-1])
    found += undo.feed(pieces[-1], True)
    if encoding == "quoted-printable":  # blanks of a line that is cut in two cannot be told
        assert found.replace(b" ", b"").replace(b"\t", b"") == wanted.replace(b" ", b"")
    else:
        assert found == wanted


@given(st.sampled_from([b"base64", b"quoted-printable", b"8bit"]), st.binary(max_size=300))
def test_size_is_that_of_the_octets(encoding: bytes, body: bytes) -> None:
    """BINARY.SIZE, BINARY and its parts agree for any body."""
    source = Source(memoryview(body), 0, len(body), crlf_size(body), nul=b"\0")
    for is_text in (False, True):
        decoded = Decoded(source, encoding, is_text)
        whole = b"".join(decoded.pieces())
        assert decoded.size == len(whole)
        assert b"".join(decoded.pieces(3, 10)) == whole[3:13]
        assert not is_text or to_crlf(whole) == whole


# -- APPEND ----------------------------------------------------------------------------------


def literal8(data: bytes) -> bytes:
    return b"~{%d+}\r\n%b" % (len(data), data)


def appended(client: Client, message: bytes, items: str) -> dict[str, Any]:
    uid = client.ok(b"APPEND INBOX " + literal8(message)).tagged.code[2]
    (values,) = client.ok(f"UID FETCH {uid} ({items})").fetched().values()
    return values


def wire(message: bytes) -> bytes:
    return message.replace(b"\n", b"\r\n")


@rfc("9051", "7.5.2", 8)
@rfc("9051", "4.3.1", 3)
@rfc("3501", "7.4.2", 4)
@rfc("3501", "4.3.1", 2)
@rfc("3516", "4.4", 1)
@rfc("3516", "6", 2, 3)
@pytest.mark.parametrize("declared", ["binary", "8bit", "7bit", "", "BINARY"])
def test_a_binary_part_becomes_base64(imap: ImapBench, declared: str) -> None:
    """Nothing is lost, and what BODY gives is what BODYSTRUCTURE says."""
    field = f"Content-Transfer-Encoding: {declared}\n" if declared else ""
    head = wire(
        f"Content-Type: multipart/mixed; boundary=b\n{field}\npre\n--b\n\ntext\n"
        f"--b\nContent-Type: image/png\n{field}Content-ID: <x>\n\n".encode()
    )
    client = imap.select()
    values = appended(
        client,
        head + BLOB + b"\r\n--b--\r\n",
        "BINARY[2] BODY[2] BODYSTRUCTURE BODY[1] BODY[2.MIME]",
    )
    assert values["BINARY[2]"] == BLOB
    assert base64.b64decode(values["BODY[2]"]) == BLOB
    assert max(map(len, values["BODY[2]"].split(b"\r\n"))) == 76
    shape = values["BODYSTRUCTURE"][1]
    assert (shape[5], shape[6]) == (b"base64", str(len(values["BODY[2]"])))
    assert values["BODY[1]"] == b"text"
    assert values["BODY[2.MIME]"].lower().count(b"content-transfer-encoding") == 1
    assert b"Content-ID: <x>\r\n" in values["BODY[2.MIME]"]


def test_a_message_that_is_one_binary_part(imap: ImapBench) -> None:
    head = wire(b"Content-Type: image/png\nContent-Transfer-Encoding:\n binary\nSubject: x\n\n")
    values = appended(imap.select(), head + BLOB, "BINARY[1] BODY[HEADER]")
    assert values["BINARY[1]"] == BLOB
    assert values["BODY[HEADER]"] == (
        b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\nSubject: x\r\n\r\n"
    )


def test_inside_of_a_message_in_a_message(imap: ImapBench) -> None:
    head = wire(
        b"Content-Type: message/rfc822\nContent-Transfer-Encoding: binary\n\n"
        b"Content-Type: image/png\nContent-Transfer-Encoding: binary\n\n"
    )
    values = appended(imap.select(), head + BLOB, "BINARY[1.1] BODYSTRUCTURE")
    assert values["BINARY[1.1]"] == BLOB
    assert values["BODYSTRUCTURE"][5] == b"8bit"


@pytest.mark.parametrize(
    "message",
    [
        b"Subject: x\n\nplain\n",
        b"Subject: x\nContent-Transfer-Encoding: binary\n\nlines\nand lines\n",
        b"Subject: x\nContent-Transfer-Encoding: 8bit\n\nGr\xc3\xbc\xc3\x9fe\n",
        MESSAGE.replace(b"\0", b" "),
    ],
)
def test_what_can_be_stored_is_stored_as_it_came(imap: ImapBench, message: bytes) -> None:
    """RFC 3516 §6: no encoding is changed without need."""
    assert appended(imap.select(), wire(message), "BODY[]")["BODY[]"] == wire(message)


@pytest.mark.parametrize("body", [b"bare\nfeed\r\n", b"lone\rreturn\r\n", b"at the end\r"])
def test_line_ends_of_binary_are_content(imap: ImapBench, body: bytes) -> None:
    head = b"Content-Type: image/x\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    assert appended(imap.select(), head + body, "BINARY[1]")["BINARY[1]"] == body


@rfc("3516", "4.4", 2)
@pytest.mark.parametrize(
    "message",
    [
        b"Subject: a\0b\r\n\r\nbody\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\npre\0amble\r\n--b\r\n\r\nx\r\n--b--\r\n",
        b"Content-Transfer-Encoding: base64\r\n\r\nQU\0JD\r\n",
        b"\0",
    ],
)
def test_a_nul_that_cannot_be_encoded(imap: ImapBench, message: bytes) -> None:
    client = imap.select()
    assert client.no(b"APPEND INBOX " + literal8(message)).code == "UNKNOWN-CTE"
    assert client.told(client.ok("STATUS INBOX (MESSAGES)")) == ['STATUS "INBOX" (MESSAGES 0)']


def test_with_other_messages_and_as_a_replacement(imap: ImapBench) -> None:
    client = imap.select()
    head = b"Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    plain = b"{11+}\r\nA: b\r\n\r\nx\r\n"
    client.ok(b"APPEND INBOX " + plain + b" (\\Seen) " + literal8(head + BLOB) + b" " + plain)
    assert client.ok("FETCH 2 BINARY[1]").fetched()[2]["BINARY[1]"] == BLOB
    client.ok(b"REPLACE 1 INBOX " + literal8(head + b"\0"))
    assert client.ok("FETCH 3 BINARY[1]").fetched()[3]["BINARY[1]"] == b"\0"


def test_a_large_one_and_one_that_is_too_large(imap: ImapBench) -> None:
    head = b"Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    client = imap.select()
    assert appended(client, head + BLOB * 100, "BINARY[1]")["BINARY[1]"] == BLOB * 100
    assert client.no(b"APPEND INBOX ~{999999999}").code == "TOOBIG"
    assert client.no(b"APPEND INBOX ~{0}").status == "NO"


def test_a_client_that_goes_in_the_middle(imap: ImapBench) -> None:
    client = imap.login()
    client.send(b"a APPEND INBOX ~{1000}\r\n")
    assert client.read().tag == "+"
    client.send(b"half of it")
    client.socket.shutdown(2)
    client.wait()
    assert list(imap.spool.iterdir()) == []


@given(st.binary(max_size=200), st.sampled_from([b"binary", b"8bit", b"base64", b"x"]))
def test_what_becomes_of_any_message(octets: bytes, declared: bytes) -> None:
    """Whatever comes in: it is refused, or no NUL is left and no binary part has changed."""
    head = b"Content-Type: image/png\r\nContent-Transfer-Encoding: " + declared + b"\r\n\r\n"
    message = head + octets
    try:
        made = b"".join(storable(message))
    except Refused:
        assert b"\0" in octets
        assert declared in (b"base64", b"x")
        return
    assert b"\0" not in made
    if declared == b"binary":
        root = scan(made)
        name, is_text = binary.encoding(made, root)
        body = made[root.body_start : root.body_end]
        source = Source(memoryview(body), 0, len(body), len(body), nul=b"\0")
        assert b"".join(Decoded(source, name, is_text).pieces()) == octets


# -- UTF-8 headers ---------------------------------------------------------------------------

UTF8 = "Subject: Grüße\r\nFrom: jörg@example.org\r\n\r\nbody\r\n".encode()


@rfc("6855", "4", 2)
@pytest.mark.parametrize(
    "message",
    [
        UTF8,
        b"A: b\r\n" * 30_000 + UTF8,
        b"\xff\r\n\r\n",
        b"Subject: \xc3\xa9",
        b"A: b\n\xff: c\n\n",
    ],
)
def test_an_8bit_header_needs_enable(imap: ImapBench, message: bytes) -> None:
    imap.switch(append_8bit_headers=False)
    client = imap.login()
    plain = b"APPEND INBOX {%d+}\r\n%b" % (len(message), message)
    catenated = b"APPEND INBOX CATENATE (TEXT {%d+}\r\n%b)" % (len(message), message)
    wrapped = b"APPEND INBOX UTF8 (" + literal8(message) + b")"
    for command in (plain, wrapped, catenated):
        assert client.no(command).code == "CANNOT"
    client.ok("ENABLE UTF8=ACCEPT")
    for command in (plain, wrapped, catenated):
        client.ok(command)


def test_an_8bit_body_needs_nothing(imap: ImapBench) -> None:
    client = imap.login()
    for head in (b"Subject: x\r\n\r\n", b"\r\n", b"Subject: x\n\n"):
        client.appended("INBOX", head + b"Gr\xc3\xbc\xc3\x9fe \xff\r\n")


@pytest.mark.parametrize("name", ["IMAP4rev2", "UTF8=ACCEPT"])
def test_utf8_headers_are_told_back(imap: ImapBench, name: str) -> None:
    client = imap.login()
    client.ok(f"ENABLE {name}")
    client.ok(b"APPEND INBOX (\\Seen) UTF8 (" + literal8(UTF8) + b")")
    client.ok("SELECT INBOX")
    assert client.ok("FETCH 1 BODY.PEEK[]").fetched()[1]["BODY[]"] == UTF8
    client.ok(
        b"APPEND INBOX CATENATE (UTF8 (" + literal8(UTF8) + b') URL "/INBOX/;UID=1/;SECTION=TEXT")'
    )
    assert client.ok("FETCH 2 BODY.PEEK[]").fetched()[2]["BODY[]"] == UTF8 + b"body\r\n"


def test_where_old_mail_has_to_come_in(imap: ImapBench) -> None:
    imap.switch(append_8bit_headers=True)
    imap.login().appended("INBOX", UTF8)


@pytest.mark.parametrize(
    "data",
    [b"UTF8 {3+}\r\nabc", b"UTF8 ({3+}\r\nabc)", b"UTF8 (~{3+}\r\nabc", b"UTF8 ()", b"UTF8 (x)"],
)
def test_malformed_utf8_data(imap: ImapBench, data: bytes) -> None:
    client = imap.login()
    client.bad(b"APPEND INBOX " + data)
    client.ok("NOOP")


def test_nul_in_a_part_of_a_message(imap: ImapBench) -> None:
    client = imap.login()
    answer = client.no(b"APPEND INBOX CATENATE (UTF8 (" + literal8(b"A: b\0") + b"))")
    assert answer.code == "UNKNOWN-CTE"
