"""What is left to others: answers without the cache are the cache's, and tasks fill it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymaild.core.errors import NoSuchMailbox
from pymaild.core.session import User
from pymaild.mail import helpers, indexing
from pymaild.mail.account import Account
from pymaild.mail.cache import FIELDS, KEYS
from pymaild.mail.helpers import ALONE, NEWEST, Task
from pymaild.mail.mailbox import Mailbox
from pymaild.mail.message import Message
from pymaild.mail.settings import MailSettings
from tests.support import corpus, maildir

SETTINGS = MailSettings(fsync=False)


def account_at(path: Path) -> Account:
    return Account(User("alice", 0, 0, mail=str(path)), SETTINGS)


def fill(folder: Path, messages: list[bytes]) -> None:
    maildir.make(folder)
    for message in messages:
        maildir.drop(folder, message)


@pytest.fixture
def asked(tmp_path: Path) -> list[Task]:
    return []


@pytest.fixture
def box(tmp_path: Path, asked: list[Task]) -> Mailbox:
    """A folder of another program, with more messages than a session caches by itself."""
    fill(tmp_path, [b"Subject: %d\n\nbody\n" % number for number in range(ALONE * 3)])
    account = account_at(tmp_path)
    account.ask = asked.append
    return account.open("INBOX")


def messages(box: Mailbox) -> list[Message]:
    view = box.view()
    return [box.message(view, seq) for seq in range(1, len(view) + 1)]


def uncached(box: Mailbox) -> int:
    return len(box.index.uncached(NEWEST, 10_000))


def answers(message: Message) -> list[object]:
    """All that a client can be told without an entry."""
    return [
        message.envelope,
        message.bodystructure,
        message.body,
        message.header_fields(FIELDS, False),
        message.header_fields(frozenset({b"SUBJECT"}), True),
        message.header(),
        message.size,
        [message.key(name) for name in KEYS],
        list(message.search_text(True)),
    ]


def test_an_answer_is_the_same_with_an_entry_and_without(tmp_path: Path) -> None:
    fill(tmp_path, [*corpus.mime_mail(), *corpus.list_mail(60)])
    account = account_at(tmp_path)
    account.ask = lambda task: None
    with account.open("INBOX") as box:
        before = [answers(message) for message in messages(box)]
        assert uncached(box) == len(before)
        box.helpers = helpers.Helpers()
        for message in messages(box):
            message.entry()
        assert uncached(box) == 0
        assert [answers(message) for message in messages(box)] == before


def test_many_missing_entries_are_left_to_others(box: Mailbox, asked: list[Task]) -> None:
    """A mailbox that was just filled is asked for when it is opened, once."""
    for message in messages(box):
        assert message.envelope.startswith(b"(NIL")
    assert uncached(box) == ALONE * 3
    [task] = asked
    assert (task.user.name, task.mailbox, task.kind) == ("alice", "INBOX", "cache")


def test_a_few_are_made_by_the_session(tmp_path: Path, asked: list[Task]) -> None:
    fill(tmp_path, [b"Subject: one\n\nbody\n"] * ALONE)
    account = account_at(tmp_path)
    account.ask = asked.append
    with account.open("INBOX") as box:
        for message in messages(box):
            assert message.envelope
        assert uncached(box) == 0
    assert not asked


def test_what_comes_later_is_asked_for(tmp_path: Path, asked: list[Task]) -> None:
    fill(tmp_path, [])
    account = account_at(tmp_path)
    account.ask = asked.append
    with account.open("INBOX") as box:
        fill(tmp_path, [b"Subject: later\n\nbody\n"] * (ALONE + 1))
        assert not asked
        box.refresh()
        assert len(asked) == 1


def test_without_helpers_a_session_makes_them_all(tmp_path: Path) -> None:
    fill(tmp_path, [b"Subject: one\n\nbody\n"] * (ALONE * 2))
    with account_at(tmp_path).open("INBOX") as box:
        for message in messages(box):
            assert message.envelope
        assert uncached(box) == 0


def test_a_task_is_done_in_parts(box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is passed on before a part begins, the youngest messages come first."""
    monkeypatch.setattr(indexing, "CHUNK", ALONE)
    user = User("alice", 0, 0, mail=box.directory)
    tasks, left = [Task(user, "INBOX")], []
    while tasks:
        task = Task.decode(tasks.pop().encode())
        indexing.work(task, SETTINGS, tasks.append, lambda: left.append(uncached(box)))
    assert left == list(range(ALONE * 3 - 1, -1, -1))
    assert Message(box, box.index, 0).entry().envelope == messages(box)[0].envelope


def test_two_do_the_same_task(box: Mailbox) -> None:
    """Two sessions may ask for one mailbox: what is there already is passed over."""
    task = Task(User("alice", 0, 0, mail=box.directory), "INBOX")
    steps: list[int] = []
    for _ in range(2):
        indexing.work(task, SETTINGS, steps.append, lambda: steps.append(1))
    assert len(steps) == ALONE * 3


def test_a_message_that_goes_meanwhile(box: Mailbox, tmp_path: Path) -> None:
    task = Task(User("alice", 0, 0, mail=box.directory), "INBOX")
    paths = maildir.files(tmp_path)
    seen: list[int] = []

    def beat() -> None:
        if not seen:
            paths[0].unlink()
        seen.append(1)

    indexing.work(task, SETTINGS, lambda rest: None, beat)
    assert len(seen) == ALONE * 3
    assert uncached(box) <= 1


def test_a_mailbox_that_has_gone(tmp_path: Path) -> None:
    task = Task(User("alice", 0, 0, mail=str(tmp_path)), "Nowhere")
    with pytest.raises(NoSuchMailbox):
        indexing.work(task, SETTINGS, lambda rest: None, lambda: None)


@pytest.mark.parametrize("octets", [b"", b"{}", b"[]", b'{"user": 1}', b'{"user":{},"x":1}'])
def test_what_is_no_task(octets: bytes) -> None:
    with pytest.raises(ValueError, match=r"no task|Expecting value"):
        Task.decode(octets)
