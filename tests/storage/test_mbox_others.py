"""Other programs read what we write into an mbox, and we read what they make of it."""

from __future__ import annotations

import hashlib
import mailbox
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymaild.storage.mbox import Edit, Mbox, State
from tests.storage.mboxes import append, made, mail, mbox_at, messages, numbering, octets, served
from tests.support.corpus import SHARED, list_mail
from tests.support.dovecot import Dovecot, dovecot, needs_dovecot
from tests.support.place import give

BODY = b"Subject: %d\nMessage-ID: <%d@example.org>\n\nFrom the start\n\nbody %d\n\n"
KEPT = [BODY % (number, number, number) for number in range(1, 6)]


def filled(path: Path) -> Mbox:
    """Five messages of ours, flags on some of them."""
    box = mbox_at(path)
    box.create()
    append(box, 1, *KEPT)
    flags = {1: 1, 2: 1 | 4, 3: 2 | 16}
    with box.writing():
        edits = [
            Edit(m.offset, State(m.uid, flags[m.uid], (b"$Todo",) * (m.uid == 2), True))
            for m in box.scan()
            if m.uid in flags
        ]
        box.rewrite(edits, numbering(5, b"$Todo"))
    return box


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def test_python(tmp_path: Path) -> None:
    box = filled(tmp_path)
    before = [entry for entry in served(box) if entry[0] not in (2, 5)]
    other = mailbox.mbox(box.path, create=False)
    other.lock()
    found = [(message["Subject"], message.get_flags()) for message in other]
    assert found == [("1", "RO"), ("2", "ROF"), ("3", "OAT"), ("4", ""), ("5", "")]
    other.remove(1)
    message = other[4]
    message.set_flags("ROD")
    other[4] = message
    other.flush()
    other.unlock()
    other.close()
    uids = [message.uid for message in messages(box)]
    assert uids == [1, 3, 4, 5]
    assert messages(box)[-1].flags == 1 | 8
    assert served(box)[:-1] == before


@needs("formail")
def test_formail(tmp_path: Path) -> None:
    box = filled(tmp_path)
    found = subprocess.run(
        ["formail", "-s", "formail", "-zxSubject:"],
        input=octets(tmp_path),
        capture_output=True,
        check=True,
    )
    assert found.stdout.split() == [b"1", b"2", b"3", b"4", b"5"]
    data = subprocess.run(
        ["formail", "-s"], input=octets(tmp_path), capture_output=True, check=True
    ).stdout
    Path(box.path).write_bytes(data)
    assert [uid for uid, _ in served(box)] == [1, 2, 3, 4, 5]


MUTT = """
set folder={home} mbox_type=mbox quit=yes delete=yes confirmappend=no move=no sleep_time=0
set beep=no wait_key=no help=no
push "<tag-pattern>~A<enter><tag-prefix><set-flag>!<delete-pattern>~s4<enter><sync-mailbox><quit>"
"""


@needs("mutt")
@needs("script")
def test_mutt(tmp_path: Path) -> None:
    """It flags all messages and removes one; numbers and octets of the others stay."""
    box = filled(tmp_path)
    before = served(box)
    (tmp_path / "rc").write_text(MUTT.format(home=tmp_path))
    command = f"mutt -n -F {tmp_path}/rc -f {box.path}"
    environment = os.environ | {"TERM": "xterm", "HOME": str(tmp_path)}
    subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    assert [(m.uid, m.flags & 4) for m in messages(box)] == [(1, 4), (2, 4), (3, 4), (5, 4)]
    assert served(box) == [entry for entry in before if entry[0] != 4]
    assert messages(box)[0].base == (numbering(0).uidvalidity, 5, (b"$Todo",))
    append(box, 6, KEPT[0])
    assert [m.uid for m in messages(box)] == [1, 2, 3, 5, 6]


@pytest.fixture
def server() -> Iterator[Dovecot]:
    """Dovecot with alice's mail in ~/box."""
    more = "mail_location = mbox:~/mail:INBOX=~/mail/box\n"
    with dovecot({"alice": "secret"}, more=more) as running:
        (running.base / "mail/alice/mail").mkdir()
        yield running


def told(server: Dovecot) -> tuple[int, int, dict[int, tuple[frozenset[str], str]]]:
    """UIDVALIDITY, UIDNEXT, and flags and a digest of each message, by UID."""
    with server.client("alice") as client:
        lines = b"\n".join(line.raw for line in client.ok("SELECT INBOX").untagged).decode()
        numbers = [
            int(re.search(rf"{name} (\d+)", lines)[1]) for name in ("UIDVALIDITY", "UIDNEXT")
        ]  # type: ignore[index]
        found = {}
        for line in client.ok("FETCH 1:* (UID FLAGS BODY.PEEK[])").untagged:
            data = line.raw
            uid = int(re.search(rb"UID (\d+)", data)[1])  # type: ignore[index]
            flags = re.search(rb"FLAGS \(([^)]*)\)", data)[1].decode().split()  # type: ignore[index]
            size = int(re.search(rb"\{(\d+)\}", data)[1])  # type: ignore[index]
            body = data[data.index(b"}\r\n") + 3 :][:size]
            digest = hashlib.sha1(body.replace(b"\r\n", b"\n")).hexdigest()
            found[uid] = frozenset(flags) - {"\\Recent"}, digest
    return numbers[0], numbers[1], found


def ours(box: Mbox) -> dict[int, str]:
    return {
        uid: hashlib.sha1(data.replace(b"\r\n", b"\n")).hexdigest() for uid, data in served(box)
    }


@needs_dovecot
def test_dovecot_reads_ours_and_we_read_its(server: Dovecot, tmp_path: Path) -> None:
    """The same UIDs, flags and octets on both sides, in turns."""
    home = server.base / "mail/alice/mail"
    box = Mbox(str(home / "box"), str(tmp_path))
    filled(tmp_path / "made")
    shutil.copy(tmp_path / "made/box", home / "box")
    give(server.base)
    server.start()
    uidvalidity, uidnext, found = told(server)
    assert (uidvalidity, uidnext) == (numbering(0).uidvalidity, 6)
    assert {uid: digest for uid, (_, digest) in found.items()} == ours(box)
    assert [found[uid][0] for uid in (1, 2, 3)] == [
        {"\\Seen"},
        {"\\Seen", "\\Flagged", "$Todo"},
        {"\\Answered", "\\Draft"},
    ]
    with server.client("alice") as client:
        client.ok("SELECT INBOX")
        client.ok("STORE 4 +FLAGS (\\Seen $Later)")
        client.ok("STORE 1 +FLAGS (\\Deleted)")
        client.ok("EXPUNGE")
        client.append("INBOX", KEPT[4])
    assert [m.uid for m in messages(box)] == [2, 3, 4, 5, 6]
    assert ours(box) == {uid: digest for uid, (_, digest) in told(server)[2].items()}
    assert messages(box)[2].keywords == (b"$Later",)
    assert messages(box)[0].base is not None
    append(box, 7, KEPT[0])
    with box.writing():
        offsets = {message.uid: message.offset for message in box.scan()}
        edits = [Edit(offsets[2], None), Edit(offsets[3], State(3, 8, (b"$Later", b"New"), True))]
        box.rewrite(edits, numbering(7, b"$Todo", b"$Later", b"New"))
    uidvalidity, uidnext, found = told(server)
    assert (uidvalidity, uidnext, sorted(found)) == (numbering(0).uidvalidity, 8, [3, 4, 5, 6, 7])
    assert found[3][0] == {"\\Deleted", "$Later", "New"}
    assert {uid: digest for uid, (_, digest) in found.items()} == ours(box)


def test_real_mail(tmp_path: Path) -> None:
    """Appended, numbered, flagged, half of it removed: what is left is what it was."""
    mails = list_mail()
    box = mbox_at(tmp_path, durable=False)
    box.create()
    for start in range(0, len(mails), 500):
        append(box, start + 1, *mails[start : start + 500])
    before = dict(served(box))
    assert len(before) == len(mails)
    for uid, data in enumerate(mails, 1):
        plain = not re.search(rb"(?mi)^(From |Status:|X-Status:|X-UID|Lines:|Content-Len)", data)
        if plain and b"\r" not in data and b"\n\n" in data and data.endswith(b"\n"):
            assert before[uid] == data
    with box.writing():
        edits = [
            Edit(m.offset, State(m.uid, 1, (b"$Todo",), True) if m.uid % 2 else None)
            for m in box.scan()
        ]
        moves = box.rewrite(edits, numbering(len(mails), b"$Todo"))
        kept = [moves(edit.offset) for edit in edits if edit.state]
        assert [message.offset for message in box.scan()] == kept
    assert dict(served(box)) == {uid: data for uid, data in before.items() if uid % 2}
    assert os.stat(box.path).st_size < sum(map(len, mails))


@pytest.mark.skipif(not SHARED.exists(), reason="the corpus is not there")
def test_a_foreign_mbox_is_numbered_and_stays_what_it_is(tmp_path: Path) -> None:
    """Headers of another program's, of CR LF, grow all over a file."""
    import gzip

    box = made(tmp_path, gzip.decompress((SHARED / "dovecot-list.mbox.gz").read_bytes()))
    before = [data for _, data in served(box)]
    with box.writing():
        edits = [
            Edit(m.offset, State(10**9 + uid, m.flags, (b"$A-long-keyword",) * 3, m.old))
            for uid, m in enumerate(box.scan())
        ]
        box.rewrite(edits, numbering(2 * 10**9))
    after = served(box)
    assert [data for _, data in after] == before
    assert [uid for uid, _ in after] == [10**9 + place for place in range(len(before))]


def test_mail_of_an_mta_behind_ours(tmp_path: Path) -> None:
    box = filled(tmp_path)
    with open(box.path, "ab") as file:
        file.write(mail(6))
    assert [m.uid for m in messages(box)] == [1, 2, 3, 4, 5, 0]
    with box.reading():
        last = list(box.scan())[-2]
        assert [m.uid for m in box.scan(last.next)] == [0]
