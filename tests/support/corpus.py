"""Sample mail: the shared corpus beside the checkout when it is there, else messages made here."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from functools import cache
from pathlib import Path

from .place import ROOT

SHARED = ROOT.parent / "shared" / "corpus"
_FROM = re.compile(rb"^From [^\r\n]*\r?\n", re.MULTILINE)


@cache
def list_mail(limit: int = 0) -> tuple[bytes, ...]:
    """Messages of a public mailing list, LF line ends; ``limit`` 0 gives all of them."""
    source = SHARED / "dovecot-list.mbox.gz"
    if not source.exists():
        return made(limit or 300)
    text = gzip.decompress(source.read_bytes()).replace(b"\r\n", b"\n")
    starts = list(_FROM.finditer(text))
    ends = [m.start() for m in starts[1:]] + [len(text)]
    chosen = list(zip(starts, ends, strict=True))[: limit or None]
    return tuple(_unquote(text[m.end() : end]) for m, end in chosen)


def _unquote(message: bytes) -> bytes:
    """Undo what an mbox adds: the empty line before the next message, and ">From "."""
    end = -1 if message.endswith(b"\n\n") else None
    return message[:end].replace(b"\n>From ", b"\nFrom ")


@cache
def mime_mail() -> tuple[bytes, ...]:
    """Messages with every sort of nesting, encoding and charset, and our own odd ones."""
    source = SHARED / "mime-samples.tar.gz"
    samples: list[bytes] = []
    if source.exists():
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(source.read_bytes()))) as archive:
            members = sorted(m.name for m in archive.getmembers() if m.isfile())
            samples = [_read(archive, name) for name in members]
    return (*samples, *made(20), *ODD)


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    assert member is not None
    return member.read().replace(b"\r\n", b"\n")


@cache
def made(count: int) -> tuple[bytes, ...]:
    """Messages made from a fixed pattern: plain, alternative, attached, forwarded."""
    return tuple(_make(number).as_bytes() for number in range(count))


def _make(number: int) -> EmailMessage:
    message = EmailMessage()
    message["From"] = f'"Sender {number % 7}" <sender{number % 7}@example.org>'
    message["To"] = "Rosa Grün <rosa@example.net>, list@example.com"
    message["Subject"] = (
        f"Message {number}: grüße aus der Probe" if number % 3 else f"Plain {number}"
    )
    message["Date"] = format_datetime(datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=number))
    message["Message-ID"] = f"<made.{number}@example.org>"
    message.set_content("Line one of the text.\nThe second, with ümlaut.\n" * (1 + number % 40))
    if number % 4 == 1:
        message.add_alternative(f"<p>Number {number}</p>\n", subtype="html")
    if number % 4 == 2:
        message.add_attachment(
            bytes(range(256)) * 4, "application", "octet-stream", filename="a b.bin"
        )
    if number % 4 == 3 and number > 8:  # five messages within each other at most
        message.add_attachment(_make(number - 8 if number < 40 else number % 40))
    if message.is_multipart():
        message.set_boundary(f"=-made-{number}-=")
    return message


def simple(number: int, size: int = 0) -> bytes:
    """A small message with CRLF line ends whose Subject and Message-ID carry ``number``."""
    head = (
        f"From: a@example.org\r\nTo: b@example.net\r\nSubject: simple {number}\r\n"
        f"Date: Mon, 1 Jan 2024 10:00:00 +0000\r\nMessage-ID: <simple.{number}@example.org>\r\n\r\n"
    ).encode()
    line = b"A line of text that fills the message up to its size, no more.\r\n"
    return head + line * max(1, (size - len(head)) // len(line))


#: Shapes that have broken servers before.
ODD: tuple[bytes, ...] = (
    b"",
    b"\n",
    b"Subject: header only\n",
    b"Subject: no empty line\nnot a header line\nFrom: late@example.org\n\nbody\n",
    b"Subject: folded\n\tover\n  lines \nFrom: a@b\n\nbody without line end",
    b"From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>, (comment) plain@example.org\n"
    b"To: group: one@example.org, two@example.org;, undisclosed-recipients:;\n"
    b"Cc: <@route.example:routed@example.org>\nSubject: addresses\n\nx\n",
    b"Content-Type: multipart/mixed; boundary=none\nSubject: no such boundary\n\ntext\n",
    b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n",
    b"Content-Type: multipart/mixed; boundary=b\n\npreamble\n--b--\nepilogue\n",
    b"Content-Type: message/rfc822\n\nSubject: inner\n\ninner body\n",
    b"Content-Type: message/rfc822\n\n",
    b"Content-Type: text/plain; charset\nContent-Disposition: attachment; filename*0=a; "
    b"filename*1=b\nSubject: parameters\n\nx\n",
    b'Content-Type: text/plain; name="quo\\"ted \\\\ name"\nSubject: "q" \\ back\n\nx\n',
    b"Subject: caf\xe9 raw octets\nFrom: \xc3\xa9@example.org\n\n\xff\xfe\n",
    b"Subject: " + b"long " * 3000 + b"\n\nx\n",
)


def crlf(message: bytes) -> bytes:
    """The message with CRLF line ends, as IMAP counts and sends it."""
    return re.sub(rb"(?<!\r)\n", b"\r\n", message)


def save(folder: Path, messages: tuple[bytes, ...], first: int = 1) -> list[str]:
    """Write messages into ``folder``/cur as a delivery agent names them; returns base names."""
    names = []
    for number, message in enumerate(messages, first):
        name = f"{1700000000 + number}.M{number}P1.host,S={len(message)}"
        (folder / "cur" / f"{name}:2,").write_bytes(message)
        names.append(name)
    return names
