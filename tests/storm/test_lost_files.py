"""The index is a cache: lost, cut or scrambled at any moment, UIDs and flags stay."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import corpus, maildir
from tests.support.imap import Imap
from tests.support.instance import Instance
from tests.support.place import give

State = dict[str, object]


def index_files(folder: Path) -> list[Path]:
    """Files of the index in a mailbox."""
    found = [path for path in folder.rglob("*index*") if path.is_file()]
    assert found, sorted(folder.rglob("*"))
    return found


def removed(path: Path) -> None:
    """The file is gone."""
    path.unlink()


def emptied(path: Path) -> None:
    """The file has no octets."""
    path.write_bytes(b"")


def scrambled(path: Path) -> None:
    """Octets in the middle are others."""
    data = bytearray(path.read_bytes())
    drawn = random.Random(len(data))
    for _ in range(min(40, len(data))):
        data[drawn.randrange(len(data))] ^= 0x5A
    path.write_bytes(data)


def cut(path: Path) -> None:
    """The second half is gone, and the file is another one."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[: len(data) // 2])
    give(path)


def state(client: Imap, mailbox: str = "INBOX") -> State:
    """All a client keeps: UIDVALIDITY, and by UID flags, date, size and subject.

    UIDNEXT may grow when the index is lost, as UIDs are reserved ahead; it never shrinks.
    """
    codes = client.ok(f"SELECT {mailbox}").codes()
    items = "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)"
    rows = client.ok(f"FETCH 1:* {items}").fetched().values()
    assert all(int(values["UID"]) < int(codes["UIDNEXT"][0]) for values in rows)
    seen: State = {"validity": codes["UIDVALIDITY"]}
    for values in rows:
        flags = frozenset(map(str, values["FLAGS"])) - {"\\Recent"}
        kept = (flags, values["INTERNALDATE"], values["RFC822.SIZE"], values["ENVELOPE"])
        seen[values["UID"]] = kept
    return seen


def fill(client: Imap) -> None:
    """Mail with flags, keywords and gaps."""
    for number in range(12):
        flags = ("", "(\\Seen)", "(\\Seen Work)", "($Junk \\Flagged)")[number % 4]
        client.appended("INBOX", corpus.simple(number), flags)
    client.ok("SELECT INBOX")
    client.ok("STORE 3,12 +FLAGS.SILENT (\\Deleted)")
    client.ok("EXPUNGE")


@pytest.mark.parametrize("damage", [removed, emptied, scrambled, cut])
def test_between_sessions(shared: Instance, damage: Callable[[Path], None]) -> None:
    """The next session finds everything as it was."""
    user = shared.add_user(f"lost-{damage.__name__}")
    with shared.client(user) as client:
        fill(client)
        before = state(client)
    for path in index_files(shared.maildir(user)):
        damage(path)
    with shared.client(user) as client:
        assert state(client) == before


def test_under_a_session(shared: Instance) -> None:
    """Files removed while a mailbox is selected: the session and others go on."""
    user = shared.add_user("lost-under")
    with shared.client(user) as client:
        fill(client)
        before = state(client)
        for path in index_files(shared.maildir(user)):
            path.unlink()
        client.ok("STORE 1 +FLAGS (\\Answered)")
        uid = client.appended("INBOX", corpus.simple(50))
        with shared.client(user) as other:
            after = state(other)
        assert state(client) == after
    assert after["validity"] == before["validity"]
    assert str(uid) in after
    assert "\\Answered" in after["1"][0]  # type: ignore[index]
    rest = {key: value for key, value in before.items() if key != "1"}
    assert {key: after[key] for key in rest} == rest


def test_mail_of_others_keeps_its_uid(shared: Instance) -> None:
    """A message another program delivered has its UID for good once a client saw it."""
    user = shared.add_user("lost-others")
    with shared.client(user) as client:
        for number in range(5):
            maildir.drop(shared.maildir(user), corpus.simple(number))
        before = state(client)
        client.ok("UNSELECT")
        for path in index_files(shared.maildir(user)):
            path.unlink()
        assert state(client) == before
