"""FETCH PREVIEW (RFC 8970): what it says is tested in tests/mime/test_preview.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymaild.mail import cache
from tests.imap.conftest import Client, ImapBench
from tests.support.rfc import rfc

MAIL = (
    b"Subject: a\n\nHello,\n\n> quoted\n\nthis is it.\n",
    "Content-Type: text/html; charset=utf-8\n\n<p>Grüße &amp; K<b>üsse</b>".encode(),
    b"Content-Type: image/png\nContent-Transfer-Encoding: base64\n\nAAAA\n",
    b"Content-Type: text/plain; charset=utf-8\n\n" + "ä\u20ac😀 ".encode() * 2000,
    b'Subject: x\n\nA "quoted" \\ backslash {5}\n',
)
SHOWN = [
    b"Hello, this is it.",
    "Grüße & Küsse".encode(),
    b"",
    ("ä\u20ac😀 " * 50).rstrip().encode(),
    b'A "quoted" \\ backslash {5}',
]


@pytest.fixture
def client(imap: ImapBench) -> Client:
    imap.put("alice", *MAIL)
    return imap.select()


def previews(client: Client, items: str) -> list[bytes | None]:
    fetched = client.ok(f"FETCH 1:5 {items}").fetched()
    return [fetched[seq]["PREVIEW"] for seq in range(1, 6)]


def forget_cache(bench: ImapBench) -> None:
    for name in ("pymaild.index", "pymaild.log", "pymaild.cache"):
        for path in Path(bench.folder, "mail", "alice").rglob(name):
            path.unlink()


@rfc("8970", "3.2", 1, 3, 5)
@rfc("8970", "3.3", 2, 4)
def test_the_same_each_time_never_nil_empty_where_there_is_no_text(
    imap: ImapBench, client: Client
) -> None:
    assert "PREVIEW" in client.told(client.ok("CAPABILITY"))[0].split()
    assert previews(client, "PREVIEW") == SHOWN
    assert previews(client, "(UID PREVIEW FLAGS)") == SHOWN
    forget_cache(imap)
    assert previews(imap.select(), "(preview)") == SHOWN


@rfc("8970", "4.1", 1, 2)
def test_lazy_gives_what_is_there(imap: ImapBench, client: Client) -> None:
    """NIL for what has to be made first; asked for without LAZY it is made, and kept."""
    assert previews(client, "(PREVIEW (LAZY))") == SHOWN
    forget_cache(imap)
    client = imap.select()
    assert previews(client, "(PREVIEW (LAZY))") == [None] * 5
    assert previews(client, "PREVIEW (lazy)") == [None] * 5
    client.ok("FETCH 2 PREVIEW")
    assert previews(client, "(UID PREVIEW (LAZY LAZY))") == [None, SHOWN[1], None, None, None]
    assert previews(client, "(ENVELOPE PREVIEW (LAZY))") == SHOWN


def test_seen_is_not_set(client: Client) -> None:
    client.ok("FETCH 1:5 (PREVIEW)")
    assert client.ok("SEARCH SEEN").one("SEARCH").values == ["SEARCH"]


@pytest.mark.parametrize(
    "items",
    ["PREVIEW ()", "PREVIEW (EAGER)", "(PREVIEW (EAGER))", "PREVIEW LAZY", "(PREVIEW(LAZY))"],
)
def test_malformed(client: Client, items: str) -> None:
    client.bad(f"FETCH 1 {items}")


def test_a_list_behind_it_may_be_of_fetch_itself(client: Client) -> None:
    """RFC 7162 §3.1.4.1: the modifiers of FETCH stand in the same place."""
    assert not client.ok("FETCH 1:5 PREVIEW (CHANGEDSINCE 99999)").named("FETCH")
    answer = client.ok("FETCH 1:5 (PREVIEW (LAZY)) (CHANGEDSINCE 1)")
    assert len(answer.named("FETCH")) == 5


def test_in_utf8_mode(imap: ImapBench, client: Client) -> None:
    client.ok("ENABLE IMAP4rev2")
    assert previews(client, "(PREVIEW)") == SHOWN


def test_it_is_made_once(imap: ImapBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """At delivery; FETCH copies it from the cache."""
    made: list[int] = []
    real = cache.build

    def build(data, tree):  # type: ignore[no-untyped-def]
        made.append(len(data))
        return real(data, tree)

    monkeypatch.setattr("pymaild.mail.message.cache.build", build)
    imap.put("alice", *MAIL)
    assert len(made) == 5
    client = imap.select()
    for _ in range(3):
        client.ok("FETCH 1:5 (PREVIEW EMAILID THREADID SAVEDATE)")
    assert len(made) == 5


@rfc("8970", "8", 2)
def test_what_is_kept_is_as_closed_as_the_mail(imap: ImapBench, client: Client) -> None:
    """The cache lies beside the mail, and only its owner reads it."""
    folder = Path(imap.folder, "mail", "alice", "Maildir")
    assert SHOWN[1] in (folder / "pymaild.cache").read_bytes()
    for path in (folder / "pymaild.cache", *folder.glob("new/*"), *folder.glob("cur/*")):
        assert path.stat().st_mode & 0o077 == 0
