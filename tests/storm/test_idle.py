"""An idling client is told of what others do, whoever they are (RFC 9051 §6.3.13)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import corpus, lmtp, maildir
from tests.support.imap import Imap, pairs
from tests.support.instance import Instance


@dataclass
class Scene:
    """A user with three messages and an idling client."""

    server: Instance
    user: str
    idler: Imap
    tag: str

    @property
    def maildir(self) -> Path:
        """The user's Maildir."""
        return self.server.maildir(self.user)


@pytest.fixture
def scene(shared: Instance, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """The idler has seen everything before the test acts."""
    user = shared.add_user(request.node.name.replace("[", "-").replace("]", ""))
    with shared.client(user) as other:
        for number in range(3):
            other.appended("INBOX", corpus.simple(number))
    with shared.client(user) as idler:
        idler.ok("SELECT INBOX")
        yield Scene(shared, user, idler, idler.idle())


def by_append(scene: Scene) -> None:
    """Another session's APPEND."""
    with scene.server.client(scene.user) as other:
        other.appended("INBOX", corpus.simple(9))


def by_copy(scene: Scene) -> None:
    """Another session's COPY into the mailbox."""
    with scene.server.client(scene.user) as other:
        other.ok("SELECT INBOX")
        other.ok("COPY 1 INBOX")


def by_lmtp(scene: Scene) -> None:
    """A delivery over LMTP."""
    assert lmtp.deliver(scene.server.lmtp, [scene.user], corpus.simple(9)) == {scene.user: 250}


def by_mta(scene: Scene) -> None:
    """A delivery agent's file in new."""
    maildir.drop(scene.maildir, corpus.simple(9))


@pytest.mark.parametrize("arrive", [by_append, by_copy, by_lmtp, by_mta])
def test_new_mail(scene: Scene, arrive: Callable[[Scene], None]) -> None:
    """EXISTS says four."""
    arrive(scene)
    seen = scene.idler.until("EXISTS")
    assert [reply.number for reply in seen if reply.name == "EXISTS"] == [4]
    scene.idler.done(scene.tag)
    assert len(scene.idler.ok("FETCH 1:* (UID)").fetched()) == 4


def flags_by_store(scene: Scene) -> None:
    """Another session's STORE."""
    with scene.server.client(scene.user) as other:
        other.ok("SELECT INBOX")
        other.ok("STORE 2 +FLAGS (\\Flagged)")


def flags_by_rename(scene: Scene) -> None:
    """mutt in the same Maildir renames the file."""
    path = next(p for p in maildir.files(scene.maildir) if b"simple 1" in p.read_bytes())
    maildir.reflag(path, "F")


@pytest.mark.parametrize("change", [flags_by_store, flags_by_rename])
def test_flags(scene: Scene, change: Callable[[Scene], None]) -> None:
    """FETCH tells the new flags of the second message."""
    change(scene)
    told = [reply for reply in scene.idler.until("FETCH") if reply.name == "FETCH"]
    assert [reply.number for reply in told] == [2]
    assert "\\Flagged" in pairs(told[0].values[2])["FLAGS"]
    scene.idler.done(scene.tag)


def gone_by_expunge(scene: Scene) -> None:
    """Another session's EXPUNGE."""
    with scene.server.client(scene.user) as other:
        other.ok("SELECT INBOX")
        other.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
        other.ok("EXPUNGE")


def gone_by_unlink(scene: Scene) -> None:
    """mutt in the same Maildir removes the file."""
    next(p for p in maildir.files(scene.maildir) if b"simple 1" in p.read_bytes()).unlink()


@pytest.mark.parametrize("remove", [gone_by_expunge, gone_by_unlink])
def test_expunge(scene: Scene, remove: Callable[[Scene], None]) -> None:
    """EXPUNGE tells the sequence number; the UIDs of the rest stay."""
    remove(scene)
    told = [reply for reply in scene.idler.until("EXPUNGE") if reply.name == "EXPUNGE"]
    assert [reply.number for reply in told] == [2]
    scene.idler.done(scene.tag)
    rest = scene.idler.ok("FETCH 1:* (UID)").fetched()
    assert [values["UID"] for values in rest.values()] == ["1", "3"]


def test_done_and_the_next_command_in_one_packet(scene: Scene) -> None:
    """Phones send DONE and what follows at once."""
    scene.idler.send(b"DONE\r\nn1 NOOP\r\nn2 IDLE\r\nDONE\r\nn3 NOOP\r\n")
    for tag in (scene.tag, "n1", "n2", "n3"):
        assert scene.idler.finish(tag).status == "OK"
