"""Messages made to break servers: every question about them is answered, lawfully and in bounds."""

from __future__ import annotations

import poplib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.support import maildir
from tests.support.imap import Answer, Imap
from tests.support.instance import Instance

MEMORY = 96 << 20  # octets of its own that a worker may keep after the worst of them


def _many_parts() -> bytes:
    part = b"--b\nContent-Type: text/plain\n\npart\n"
    return (
        b"Content-Type: multipart/mixed; boundary=b\nSubject: parts\n\n"
        + part * 10_000
        + b"--b--\n"
    )


def _deep() -> bytes:
    levels = [
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(2000)
    ]
    return b"Subject: deep\n" + b"".join(levels) + b"\ninmost\n"


def _forwarded() -> bytes:
    return (
        b"Subject: forwarded\n"
        + b"Content-Type: message/rfc822\n\n" * 2000
        + b"Subject: in\n\nin\n"
    )


def _prefixes() -> bytes:
    """Each boundary is the beginning of the next: every line may end any of them."""
    heads = [
        b"Content-Type: multipart/mixed; boundary=%b\n\n--%b\n" % (b"a" * n, b"a" * n)
        for n in range(1, 70)
    ]
    return b"".join(heads) + b"--aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n" * 20_000


_WORDS = b"=?utf-8?b?4piD?= =?iso-8859-1?q?=e4?= =?x-none?q?a?= =?utf-8?q?=?= =?utf-8?b?!!!!?= "

#: Each is given as the octets of its file.
MAIL: dict[str, bytes] = {
    "parts": _many_parts(),
    "deep": _deep(),
    "forwarded": _forwarded(),
    "prefixes": _prefixes(),
    "long-header": b"Subject: " + b"x" * (1 << 20) + b"\nFrom: a@b\n\nbody\n",
    "many-headers": b"X-A: 1\n" * 100_000 + b"Subject: many\n\nbody\n",
    "addresses": b"To: " + b"a@b.example, " * 30_000 + b"\nSubject: addresses\n\nbody\n",
    "comments": b"From: " + b"(" * 20_000 + b" a@b" + b")" * 20_000 + b"\n\nbody\n",
    "quotes": b'To: "' + b"\\" * 9_999 + b'\n\t"' * 50 + b'\nSubject: \\ " {5}\n\nbody\n',
    "groups": b"To: " + b"g: a@b, " * 5_000 + b";" * 5_000 + b"\nCc: ;;:,,<>\n\nbody\n",
    "words": b"Subject: " + _WORDS * 2_000 + b"\nFrom: " + _WORDS + b"<a@b>\n\nbody\n",
    "parameters": b"Content-Type: text/plain"
    + b"".join(b"; name*%d*=utf-8''%%e4%%" % n for n in range(3_000))
    + b"\nContent-Disposition: attachment; filename*=x\n\nbody\n",
    "base64": b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n"
    + b"=!*AAA\n" * 10_000,
    "quoted-printable": b"Content-Transfer-Encoding: quoted-printable\n\n" + b"=\n=G=4\n=" * 20_000,
    "charset": b'Content-Type: text/plain; charset="\\"no\nsuch\\""\n\n\xff\xfe\x80broken\n',
    "utf-7": b"Content-Type: text/html; charset=utf-7\n\n+ADw-" + b"+" * 50_000 + b"\n",
    "utf-16": b"Content-Type: text/plain; charset=utf-16\n\n\xff\xfe\x00\xd8\x00\xd8a\n",
    "nul": b"Subject: nul\0nul\nFrom: \0@\0\nMessage-ID: <\0>\n\n\0" + b"a\0b\n" * 2000,
    "lone-cr": b"Subject: cr\rFrom: x@y\n\rbody\rline\n\r\n\r\r\n" * 50,
    "only-cr": b"\r" * 5000,
    "mixed-ends": b"Subject: ends\r\nFrom: a@b\n\r\none\r\ntwo\nthree\r",
    "empty": b"",
    "one-octet": b"a",
    "header-only": b"Subject: header only\nFrom: a@b\n",
    "body-only": b"\nbody only\n",
    "no-end": b"Subject: no end\n\nno end",
    "mbox": b"From nobody Mon Jan  1 00:00:00 2024\nSubject: mbox\n\nbody\n",
    "one-line": b"Subject: line\n\n" + b"a line " * 3_000_000,
    "binary": b"Subject: binary\n\n" + bytes(range(256)) * 4_000,
    "colons": b":\n: x\n :\nSubject\n\n:\n",
    "boundary": b'Content-Type: multipart/mixed; boundary="'
    + b"b" * 70_000
    + b'"\n\n--'
    + b"b" * 70_000,
    "no-boundary": b'Content-Type: multipart/mixed; boundary=""\n\n--\n\na\n----\n',
}
ITEMS = (
    "ENVELOPE",
    "BODYSTRUCTURE",
    "BODY",
    "BODY.PEEK[]",
    "BODY.PEEK[1]",
    "BODY.PEEK[1.MIME]",
    "BODY.PEEK[1.1.1.1.1.1]",
    "BODY.PEEK[HEADER]",
    "BODY.PEEK[TEXT]",
    "BODY.PEEK[1.HEADER]",
    "BODY.PEEK[9999]",
    "BODY.PEEK[HEADER.FIELDS (SUBJECT FROM X-A)]",
    "BODY.PEEK[HEADER.FIELDS.NOT (SUBJECT)]",
    "BODY.PEEK[]<0.100>",
    "BODY.PEEK[]<70000.70000>",
    "BODY.PEEK[TEXT]<1.1>",
    "BODY.PEEK[]<4294967294.10>",
    "RFC822.HEADER",
    "RFC822.SIZE",
)


def wire(stored: bytes) -> bytes:
    """What a client must be sent: CRLF ends, and 0x80 where NUL stands."""
    return re.sub(rb"(?<!\r)\n", b"\r\n", stored).replace(b"\0", b"\x80")


@dataclass
class Scene:
    """A user with one hostile message."""

    server: Instance
    user: str
    octets: bytes

    def client(self) -> Imap:
        client = self.server.client(self.user, timeout=60)
        client.ok("SELECT INBOX")
        return client


@pytest.fixture(params=MAIL)
def scene(shared: Instance, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """A message in new/, as an MTA leaves it there; afterwards no bug was met, nobody died."""
    user = shared.add_user(f"{request.node.originalname}-{request.param}")
    with shared.client(user) as client:
        client.ok("NOOP")
    maildir.drop(shared.maildir(user), MAIL[request.param])
    before = shared.control("status")["totals"]
    yield Scene(shared, user, MAIL[request.param])
    after = shared.control("status")["totals"]
    assert (after["bugs"], after["crashes"]) == (before["bugs"], before["crashes"])
    for pid in shared.workers():
        assert own_memory(pid) < MEMORY


def own_memory(pid: int) -> int:
    """Octets of memory that are a process's own and no file's."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0
    found = re.search(r"RssAnon:\s*(\d+) kB", status)
    return int(found[1]) << 10 if found else psutil.Process(pid).memory_info().rss


def test_every_item(scene: Scene) -> None:
    """Each alone, from no cache and from the cache; octets are those of the file."""
    whole = wire(scene.octets)
    with scene.client() as client:
        for _ in range(2):
            for item in ITEMS[:: 2 if len(whole) > 1 << 24 else 1]:
                check(client.ok(f"FETCH 1 ({item})"), item, whole)
        everything = client.ok(f"FETCH 1 ({' '.join(ITEMS)})").fetched()[1]
        assert same(everything["BODY[]"], whole)


def check(answer: Answer, item: str, whole: bytes) -> None:
    """One reply to FETCH of one item."""
    values = answer.fetched()[1]
    name = item.replace(".PEEK", "")
    if item == "BODY.PEEK[]":
        assert same(values["BODY[]"], whole)
    elif item == "RFC822.SIZE":
        assert values["RFC822.SIZE"] == str(len(whole))
    elif item == "BODY.PEEK[]<0.100>":
        assert same(values["BODY[]<0>"], whole[:100])
    elif item == "BODY.PEEK[]<70000.70000>":
        assert same(values["BODY[]<70000>"], whole[70_000:140_000])
    elif item == "BODY.PEEK[]<4294967294.10>":
        assert values["BODY[]<4294967294>"] == b""
    elif item in ("BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]"):
        assert whole.find(values[name]) >= 0
    elif item == "ENVELOPE":
        assert len(values["ENVELOPE"]) == 10
    elif item in ("BODY", "BODYSTRUCTURE"):
        assert structure(values[name]) <= 10_000


def same(got: bytes, wanted: bytes) -> bool:
    """Whether octets are equal; what differs is shown, and not all the rest."""
    if got == wanted:
        return True
    pairs = zip(got, wanted, strict=False)
    short = min(len(got), len(wanted))
    at = next((number for number, (a, b) in enumerate(pairs) if a != b), short)
    near = slice(max(at - 20, 0), at + 20)
    print(f"{len(got)} and {len(wanted)} octets differ at {at}: {got[near]!r} {wanted[near]!r}")
    return False


def structure(body: list[object], depth: int = 0) -> int:
    """Count the parts of a body structure; each must have its shape (RFC 9051 §7.5.2)."""
    assert depth < 200
    if isinstance(body[0], list):
        parts = [part for part in body if isinstance(part, list) and is_body(part)]
        return sum(structure(part, depth + 1) for part in parts)
    assert is_body(body)
    return 1


def is_body(part: list[object]) -> bool:
    """Whether this is a part, not a list of parameters."""
    if part and isinstance(part[0], list):
        return True
    return len(part) >= 7 and isinstance(part[0], bytes) and isinstance(part[1], bytes)


def test_header_and_text_make_the_whole(scene: Scene) -> None:
    """HEADER and TEXT together are BODY[], for any message."""
    with scene.client() as client:
        values = client.ok("FETCH 1 (BODY.PEEK[HEADER] BODY.PEEK[TEXT])").fetched()[1]
    assert same(values["BODY[HEADER]"] + values["BODY[TEXT]"], wire(scene.octets))


def test_search(scene: Scene) -> None:
    """Every key that looks into the message."""
    with scene.client() as client:
        for key in ("TEXT", "BODY", "SUBJECT", "FROM", "HEADER X-A"):
            assert client.ok(f'SEARCH {key} "no such text"').one("SEARCH").values == ["SEARCH"]
        for key in ("SENTBEFORE 1-Jan-1990", "SENTSINCE 1-Jan-1990", "LARGER 1", 'TEXT "body"'):
            client.ok(f"SEARCH {key}")


def test_pop3(scene: Scene) -> None:
    """RETR gives the octets that LIST counts, TOP their beginning."""
    poplib._MAXLINE = 1 << 26  # type: ignore[attr-defined]
    host, port = scene.server.pop3
    pop = poplib.POP3(host, int(port), timeout=60)
    try:
        pop.user(scene.user)
        pop.pass_(scene.server.users[scene.user])
        size = int(pop.list(1).split()[2])  # type: ignore[arg-type]
        assert size == len(wire(scene.octets))
        _, lines, _ = pop.retr(1)
        sent = b"\r\n".join(lines) + b"\r\n"
        whole = wire(scene.octets)
        sent = sent[: len(whole)] if len(sent) == len(whole) + 2 else sent
        assert same(sent.replace(b"\0", b"\x80"), whole)
        for count in (0, 1, 10_000):
            _, top, _ = pop.top(1, count)
            assert len(top) <= len(lines) + 1
        pop.quit()
    finally:
        pop.close()


def test_copied_and_appended(scene: Scene) -> None:
    """COPY keeps the octets; APPEND of what FETCH gave gives the same again."""
    whole = wire(scene.octets)
    with scene.client() as client:
        client.ok("COPY 1 Archive")
        if whole:
            client.appended("Archive", whole)
        client.ok("SELECT Archive")
        for values in client.ok("FETCH 1:* (BODY.PEEK[] RFC822.SIZE ENVELOPE)").fetched().values():
            assert same(values["BODY[]"], whole)
            assert values["RFC822.SIZE"] == str(len(whole))
