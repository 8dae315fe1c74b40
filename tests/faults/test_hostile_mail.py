"""Messages made to break servers: every question about them is answered, lawfully and in bounds."""

from __future__ import annotations

import poplib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def _cyclic(*boundaries: bytes) -> bytes:
    """Each multipart holds one with the boundary that comes next, and so on for ever."""
    kind = b"Content-Type: multipart/mixed; boundary=%b\n\n"
    turn = [b"--%b\n" % b + kind % boundaries[n - 1] for n, b in enumerate(boundaries)]
    return b"Subject: cyclic\n" + kind % boundaries[0] + b"".join(turn) * (3000 // len(turn))


def _nested() -> bytes:
    """200 levels, each closed as it should be."""
    heads = [b"Content-Type: multipart/mixed; boundary=n%d\n\n--n%d\n" % (n, n) for n in range(200)]
    ends = [b"\n--n%d--" % n for n in reversed(range(200))]
    return b"Subject: nested\n" + b"".join(heads) + b"\ninmost\n" + b"".join(ends) + b"\n"


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
    "cyclic": _cyclic(b"b"),
    "cyclic-in-turns": _cyclic(b"a", b"b", b"ab"),
    "nested": _nested(),
    "ancestry": b"Message-ID: <a@b>\nIn-Reply-To: <a@b>\nReferences: "
    + b"<a@b> <b@a>\n\t" * 30_000
    + b"\nSubject: Re: Re[9]: (fwd) "
    + b"Re: [x] " * 20_000
    + b"\n\nbody\n",
    "cut-base64": b"Content-Transfer-Encoding: base64\n\n" + b"QUJD" * 20_000 + b"QUJDR",
    "cut-utf-8": b"Content-Type: text/plain; charset=utf-8\n"
    b"Content-Transfer-Encoding: quoted-printable\n\n" + b"=E2=82" * 20_000 + b"=C",
    "cut-word": b"Subject: =?utf-8?b?4piD\nFrom: =?utf-8?q?=E2=82?= <a@b>\n\nbody\n",
    "escapes": b"Content-Type: text/plain; charset=iso-2022-jp\n\n" + b"\x1b$B" * 30_000,
    "tilde": b"Content-Type: text/html; charset=hz-gb-2312\n\n" + b"~{<" * 30_000,
    "unknown-encoding": b"Content-Transfer-Encoding: x-none\n\nbody\n",
    "divisions": b"Content-Type: text/html\n\n" + b"<div>" * 400_000 + b"text",
    "comments-in-html": b"Content-Type: text/html\n\n" + b"<!--" * 400_000,
    "entities": b"Content-Type: text/html\n\n" + b"&#" + b"9" * 1_000_000 + b";" + b"&" * 100_000,
    "quotations": b"Subject: quotations\n\n" + b">" * 1_000_000 + b"\n> x" * 100_000,
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
    "BINARY.PEEK[]",
    "BINARY.PEEK[1]",
    "BINARY.PEEK[1]<10.100>",
    "BINARY.PEEK[1.1.1.1.1]",
    "BINARY.SIZE[1]",
    "PREVIEW (LAZY)",
    "PREVIEW",
    "EMAILID",
    "THREADID",
    "SAVEDATE",
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
                check(client.command(f"FETCH 1 ({item})"), item, whole)
        decodable = [item for item in ITEMS if not item.startswith("BINARY")]
        everything = client.ok(f"FETCH 1 ({' '.join(decodable)})").fetched()[1]
        assert same(everything["BODY[]"], whole)


def check(answer: Answer, item: str, whole: bytes) -> None:
    """One reply to FETCH of one item; only an unknown encoding may be refused."""
    if item.startswith("BINARY") and answer.code == "UNKNOWN-CTE":
        return
    assert answer.status == "OK"
    if item in WANTED:
        (value,) = answer.fetched()[1].values()
        assert WANTED[item](value, whole)


#: What the value of an item must be, for any message whose wire form is ``whole``.
WANTED: dict[str, Callable[[Any, bytes], bool]] = {
    "BODY.PEEK[]": lambda value, whole: same(value, whole),
    "RFC822.SIZE": lambda value, whole: value == str(len(whole)),
    "BODY.PEEK[]<0.100>": lambda value, whole: same(value, whole[:100]),
    "BODY.PEEK[]<70000.70000>": lambda value, whole: same(value, whole[70_000:140_000]),
    "BODY.PEEK[]<4294967294.10>": lambda value, whole: value == b"",
    "BODY.PEEK[HEADER]": lambda value, whole: value in whole,
    "BODY.PEEK[TEXT]": lambda value, whole: value in whole,
    "ENVELOPE": lambda value, whole: len(value) == 10,
    "BODY": lambda value, whole: structure(value) <= 10_000,
    "BODYSTRUCTURE": lambda value, whole: structure(value) <= 10_000,
    "BINARY.PEEK[]": lambda value, whole: same(value.replace(b"\0", b"\x80"), whole),
    "PREVIEW": lambda value, whole: len(value.decode()) <= 200,
    "EMAILID": lambda value, whole: len(value[0]) == 44,
    "THREADID": lambda value, whole: len(value[0]) == 44,
}


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


def test_decoded_parts(scene: Scene) -> None:
    """The size that is told is that of what is sent, and parts of it are parts of it."""
    with scene.client() as client:
        answer = client.command("FETCH 1 (BINARY.SIZE[1] BINARY.PEEK[1] BINARY.PEEK[1]<7.1000>)")
        if answer.code == "UNKNOWN-CTE":
            return
        values = answer.fetched()[1]
        body = values["BINARY[1]"] or b""
        assert int(values["BINARY.SIZE[1]"]) == len(body)
        assert same(values["BINARY[1]<7>"] or b"", body[7:1007])


def test_order(scene: Scene) -> None:
    """SORT and THREAD by whatever the header says."""
    with scene.client() as client:
        able = client.ok("CAPABILITY").one("CAPABILITY").values
        if "SORT" in able:
            keys = "SUBJECT FROM TO CC DATE SIZE ARRIVAL"
            keys += " DISPLAYFROM DISPLAYTO" if "SORT=DISPLAY" in able else ""
            assert client.ok(f"SORT ({keys}) UTF-8 ALL").one("SORT").values == ["SORT", "1"]
        for name in (word[7:] for word in able if word.startswith("THREAD=")):
            assert client.ok(f"THREAD {name} UTF-8 ALL").one("THREAD").values == ["THREAD", ["1"]]


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
