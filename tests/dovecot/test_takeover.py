"""Moving in from Dovecot and Courier, and back to Dovecot: clients download nothing again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.support import corpus, courier, maildir
from tests.support.dovecot import needs_dovecot
from tests.support.imap import Imap, quote
from tests.support.place import PYTHON, ROOT, run

from .conftest import move, ours, theirs

Facts = dict[int, tuple[frozenset[str], bytes, bytes]]


@dataclass
class Known:
    """What a client remembers of a mailbox: any change of it means a new download."""

    uidvalidity: int
    uidnext: int
    messages: Facts = field(default_factory=dict)


def known(client: Imap, mailbox: str) -> Known:
    """Ask a server for everything a client remembers."""
    codes = client.ok(f"EXAMINE {quote(mailbox)}").codes()
    found = Known(int(codes["UIDVALIDITY"][0]), int(codes["UIDNEXT"][0]))
    items = "(UID FLAGS INTERNALDATE BODY.PEEK[HEADER.FIELDS (SUBJECT)])"
    for values in client.ok(f"FETCH 1:* {items}").fetched().values():
        flags = frozenset(str(flag) for flag in values["FLAGS"]) - {"\\Recent"}
        date = values["INTERNALDATE"].lstrip(b" 0")  # the day has a space or a zero
        subject = values["BODY[HEADER.FIELDS (SUBJECT)]"]
        found.messages[int(values["UID"])] = (flags, date, subject)
    return found


def subscribed(client: Imap) -> set[str]:
    """Names that LSUB gives, without the folders a new user gets."""
    names = {
        str(r.values[3], "ascii") if isinstance(r.values[3], bytes) else str(r.values[3])
        for r in client.ok('LSUB "" "*"').named("LSUB")
    }
    return names - {"Drafts", "Sent", "Junk", "Trash", "Archive", "INBOX"}


def live(client: Imap, separator: str) -> list[str]:
    """Use a server: folders, flags, keywords, deletions in the middle. Returns the folders."""
    folders = ["Work", f"Work{separator}Old", "Entw&APw-rfe"]
    for name in folders:
        client.ok(f"CREATE {quote(name)}")
        client.ok(f"SUBSCRIBE {quote(name)}")
    for command in ("CREATE", "SUBSCRIBE", "DELETE"):
        client.ok(f"{command} Gone")
    flags = ["", "(\\Seen)", "(\\Seen $Forwarded)", "(Work \\Flagged)", "(\\Answered Later $Junk)"]
    for number in range(10):
        for mailbox in ("INBOX", *folders):
            date = f'"{number + 1:2d}-Feb-2021 10:00:00 +0000"'
            options = f"{flags[number % 5]} {date}".strip()
            client.appended(mailbox, corpus.simple(number), options)
    for mailbox in ("INBOX", *folders):
        client.ok(f"SELECT {quote(mailbox)}")
        client.ok("STORE 2,5,10 +FLAGS.SILENT (\\Deleted)")
        client.ok("EXPUNGE")
    client.ok("CLOSE")
    return ["INBOX", *folders]


@needs_dovecot
def test_from_dovecot() -> None:
    """UIDs, UIDVALIDITY, UIDNEXT, flags, keywords, dates, subscriptions and UIDL stay."""
    with theirs() as other, ours() as mine:
        other.start()
        with other.client("alice") as client:
            folders = live(client, ".")
            before = {name: known(client, name) for name in folders}
            wanted = {name.replace(".", "/") for name in subscribed(client)}
        unique = uidl(other.pop3)
        move(other.maildir("alice"), mine.maildir("alice"))
        other.stop()
        mine.start()
        with mine.client("alice") as client:
            after = {name: known(client, name.replace(".", "/")) for name in folders}
            assert after == before
            assert subscribed(client) >= wanted
        assert uidl(mine.pop3) == unique


@needs_dovecot
def test_back_to_dovecot() -> None:
    """`pymailctl mailbox export-dovecot` writes what Dovecot needs to go on."""
    with ours() as mine, theirs() as other:
        mine.start()
        with mine.client("alice") as client:
            folders = live(client, "/")
            before = {name: known(client, name) for name in folders}
        mine.stop()
        export(mine.config, mine.base)
        move(mine.maildir("alice"), other.maildir("alice"))
        other.start()
        with other.client("alice") as client:
            after = {name: known(client, name.replace("/", ".")) for name in folders}
            assert after == before
            assert {name.replace(".", "/") for name in subscribed(client)} >= set(folders[1:])


def export(config: Path, home: Path) -> None:
    """Run the administrator's command."""
    command: list[str | Path] = [PYTHON, "-m", "pymaild.admin.control", "mailbox"]
    options = ["export-dovecot", "-c", config, "alice"]
    result = run([*command, *options], home, PYTHONPATH=str(ROOT))
    assert result.returncode == 0, result.stdout.decode(errors="replace")


def uidl(address: object) -> list[bytes]:
    """The unique ids of alice's maildrop."""
    import poplib

    assert isinstance(address, tuple)
    pop = poplib.POP3(*address)
    pop.user("alice")
    pop.pass_("secret")
    lines: list[bytes] = pop.uidl()[1]
    pop.quit()
    return lines


def test_from_courier() -> None:
    """UIDs, UIDVALIDITY, keywords (also pending ones) and subscriptions as Courier 5 has them."""
    with ours() as mine:
        inbox = maildir.make(mine.maildir("alice"))
        expected = courier.write(inbox)
        mine.start()
        with mine.client("alice") as client:
            assert subscribed(client) >= {"Sub", "&AOk-t"}
            for name, (validity, uidnext, messages) in expected.items():
                found = known(client, name)
                assert (found.uidvalidity, found.uidnext) == (validity, uidnext)
                assert {uid: facts[0] for uid, facts in found.messages.items()} == messages
            assert client.ok('STATUS "&AOk-t" (MESSAGES)').one("STATUS")
            client.ok('RENAME "&AOk-t" "&AOk-u"')
            client.ok('SELECT "&AOk-u"')


@pytest.mark.parametrize("lost", ["index", "uidlist"])
@needs_dovecot
def test_a_second_look_changes_nothing(lost: str) -> None:
    """After the move Dovecot's files, or our index, may go: the UIDs are in the file names."""
    with theirs() as other, ours() as mine:
        other.start()
        with other.client("alice") as client:
            folders = live(client, ".")
            before = {name: known(client, name) for name in folders}
        move(other.maildir("alice"), mine.maildir("alice"))
        other.stop()
        mine.start()
        for _ in range(2):
            with mine.client("alice") as client:
                after = {name: known(client, name.replace(".", "/")) for name in folders}
            for name, found in after.items():
                assert found.uidnext >= before[name].uidnext  # UIDs are reserved ahead
                assert replace(found, uidnext=before[name].uidnext) == before[name]
            pattern = "dovecot*" if lost == "uidlist" else "*index*"
            for path in mine.maildir("alice").rglob(pattern):
                if path.is_file():
                    path.unlink()


def test_decomposed_folder_name() -> None:
    """A folder whose name another server keeps in decomposed Unicode is listed and opened."""
    with ours() as mine:
        inbox = maildir.make(mine.maildir("alice"))
        corpus.save(maildir.make(inbox / ".e&AwE-t"), (corpus.simple(1),))
        mine.start()
        with mine.client("alice") as client:
            names = [reply.values[3] for reply in client.ok('LIST "" "*"').named("LIST")]
            assert b"e&AwE-t" in names
            assert client.ok('SELECT "e&AwE-t"').one("EXISTS").number == 1
            assert client.ok('SELECT "&AOk-t"').one("EXISTS").number == 1
