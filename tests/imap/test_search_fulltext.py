"""SEARCH with a full text finds what it finds without one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pymaild.core.session import User
from pymaild.imap.record import ImapRecord
from pymaild.imap.session import ImapSession
from pymaild.imap.settings import ImapSettings
from pymaild.mail import fulltext
from pymaild.mail.account import Account
from pymaild.mail.helpers import Task
from tests.imap.conftest import Client, ImapBench
from tests.support import corpus

MAIL = (*corpus.mime_mail(), *corpus.list_mail(120))
COMPARATORS = ("i;unicode-casemap", "i;ascii-casemap", "i;octet")


@pytest.fixture(scope="module")
def imap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImapBench]:
    path = tmp_path_factory.mktemp("imap")
    with ImapBench(path, (ImapRecord, ImapSession), ImapSettings()) as made:
        made.mail = replace(made.mail, fulltext=1)
        made.add_user("alice")
        made.put("alice", *MAIL)
        yield made


def make(bench: ImapBench) -> None:
    with bench.account("alice").open("INBOX") as box:
        while fulltext.extend(box, lambda: None):
            pass


def drop(bench: ImapBench) -> None:
    with bench.account("alice").open("INBOX") as box:
        fulltext.drop(box)


def literal(text: str) -> bytes:
    octets = text.encode("utf-8", "replace").replace(b"\0", b"?")
    return b"{%d+}\r\n%b" % (len(octets), octets)


def words(chance: random.Random) -> str:
    """A piece of some message, as it stands or changed a little."""
    source = chance.choice(MAIL).decode("utf-8", "replace")
    start = chance.randrange(len(source) + 1)
    text = source[start : start + chance.choice((1, 2, 3, 4, 6, 10, 30, 80))]
    return chance.choice((str, str.lower, str.upper, str.swapcase))(text)


def key(chance: random.Random, depth: int = 3) -> bytes:
    kind = chance.randrange(8 if depth else 4)
    if kind < 3:
        return (b"BODY ", b"TEXT ", b"HEADER Received ")[kind] + literal(words(chance))
    if kind == 3:
        return chance.choice((b"SEEN", b"UNSEEN", b"1:60", b"SUBJECT re", b"LARGER 3000"))
    if kind < 6:
        return b"NOT " + key(chance, depth - 1)
    left, right = key(chance, depth - 1), key(chance, depth - 1)
    return b"OR %b %b" % (left, right) if kind == 6 else b"(%b %b)" % (left, right)


def results(client: Client, programs: list[bytes]) -> list[bytes]:
    found = []
    for program in programs:
        answer = client.ok(b"SEARCH CHARSET UTF-8 " + program)
        found.append(answer.untagged[0].raw)
        ends = client.ok(b"SEARCH RETURN (MIN MAX) CHARSET UTF-8 " + program)
        found.append(ends.untagged[0].raw.partition(b")")[2])
    return found


@pytest.mark.parametrize("comparator", COMPARATORS)
def test_any_search_finds_the_same(imap: ImapBench, comparator: str) -> None:
    chance = random.Random(comparator)
    programs = [key(chance) for _ in range(60)]
    client = imap.select()
    client.ok(f'COMPARATOR "{comparator}"')
    drop(imap)
    before = results(client, programs)
    make(imap)
    assert results(client, programs) == before
    assert any(b" " in found.removeprefix(b"* SEARCH ") for found in before)


def test_in_a_view_of_the_past(imap: ImapBench) -> None:
    """Messages that others have expunged are still in the view of who has not been told."""
    make(imap)
    one, other = imap.select(), imap.select()
    imap.put("alice", b"Subject: short\r\n\r\nQuetzalcoatlus and others\r\n")
    assert other.ok("SEARCH BODY quetzalcoatlus").untagged[0].raw == b"* SEARCH\r\n"
    count = len(MAIL) + 1
    one.ok("NOOP")
    other.ok("NOOP")
    assert other.ok("SEARCH BODY quetzalcoatlus").untagged[0].raw == b"* SEARCH %d\r\n" % count
    make(imap)
    one.ok(rf"STORE {count} +FLAGS.SILENT (\Deleted)")
    one.ok("EXPUNGE")
    make(imap)
    found = other.ok("SEARCH BODY quetzalcoatlus").untagged[0].raw
    assert found == b"* SEARCH\r\n"  # its text has gone with it
    assert other.ok("SEARCH 1:* NOT BODY quetzalcoatlus").untagged[0].raw.split()[2] == b"1"


def test_a_search_asks_for_what_is_missing(
    imap: ImapBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flags and subjects need none."""
    asked: list[Task] = []
    drop(imap)
    open_account = imap.open_account

    def helped(user: User) -> Account:
        made = open_account(user)
        made.ask = asked.append
        return made

    monkeypatch.setattr(imap, "open_account", helped)
    client = imap.select()
    asked.clear()
    client.ok("SEARCH UNSEEN SUBJECT re")
    client.ok("SEARCH 1:10 BODY dovecot")
    assert not asked
    client.ok("SEARCH BODY dovecot")
    assert [task.kind for task in asked] == ["text"]
