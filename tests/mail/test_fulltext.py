"""The full text: what it rules out does not match, whatever happened to it or to the mail."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymaild.core.errors import Refused
from pymaild.core.session import User
from pymaild.index import fulltext as segments
from pymaild.mail import fulltext, indexing
from pymaild.mail.account import Account
from pymaild.mail.fulltext import extend, possible, segments_of
from pymaild.mail.helpers import Task
from pymaild.mail.mailbox import Mailbox
from pymaild.mail.settings import MailSettings
from pymaild.mime.collation import COMPARATORS
from pymaild.mime.text import fold
from tests.support import corpus, maildir

SETTINGS = MailSettings(fsync=False, fulltext=1)
MAIL = (*corpus.mime_mail(), *corpus.list_mail(150))

Found = set[int]


def account_at(path: Path) -> Account:
    return Account(User("alice", 0, 0, mail=str(path)), SETTINGS)


def nothing() -> None:
    """A beat."""


def fill(folder: Path, messages: tuple[bytes, ...]) -> None:
    maildir.make(folder)
    for message in messages:
        maildir.drop(folder, message)


def texts(box: Mailbox) -> dict[int, list[str]]:
    """What a search would read of each message, by UID."""
    view = box.view()
    found = (box.message(view, seq) for seq in range(1, len(view) + 1))
    return {message.uid: list(message.search_text(True)) for message in found}


def matching(read: dict[int, list[str]], wanted: str, prepare: Callable[[str], str]) -> Found:
    """What a search finds that reads everything."""
    prepared = prepare(wanted)
    return {uid for uid, pieces in read.items() if any(prepared in prepare(p) for p in pieces)}


def allowed(box: Mailbox, wanted: str, prepare: Callable[[str], str] = fold) -> Found:
    """What is read when there is a full text."""
    view = box.view()
    found = possible(box, view, prepare(wanted))
    seqs = range(1, len(view) + 1) if found is None else found
    return {view.uid(seq) for seq in seqs}


def make(box: Mailbox) -> None:
    while extend(box, nothing):
        pass


@pytest.fixture(scope="module")
def corpus_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailbox]:
    folder = tmp_path_factory.mktemp("text")
    fill(folder, MAIL)
    with account_at(folder).open("INBOX") as box:
        make(box)
        yield box


@pytest.fixture(scope="module")
def corpus_texts(corpus_box: Mailbox) -> dict[int, list[str]]:
    return texts(corpus_box)


@st.composite
def wanted(draw: st.DrawFn) -> str:
    """A piece of some message's text, as it stands or changed a little, or anything at all."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.text(max_size=8))
    source = fold(MAIL[draw(st.integers(0, len(MAIL) - 1))].decode("utf-8", "replace"))
    start, size = draw(st.integers(0, max(len(source) - 1, 0))), draw(st.integers(1, 120))
    change = draw(st.sampled_from([str, str.lower, str.title, str.swapcase]))
    return str(change(source[start : start + size]))


@settings(max_examples=150, deadline=None)
@given(wanted(), st.sampled_from(sorted(COMPARATORS)))
def test_nothing_that_matches_is_ruled_out(
    corpus_box: Mailbox, corpus_texts: dict[int, list[str]], text: str, comparator: str
) -> None:
    prepare = COMPARATORS[comparator]
    assert matching(corpus_texts, text, prepare) <= allowed(corpus_box, text, prepare)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_nothing_is_ruled_out_that_holds_a_piece_of_its_text(
    corpus_box: Mailbox, corpus_texts: dict[int, list[str]], data: st.DataObject
) -> None:
    """Decoded text, in whatever charset it came, also where a search reads it in pieces."""
    uid = data.draw(st.sampled_from(sorted(uid for uid, read in corpus_texts.items() if read)))
    piece = data.draw(st.sampled_from(corpus_texts[uid]))
    start = data.draw(st.integers(0, len(piece)))
    text = piece[start : start + data.draw(st.integers(1, 2000))]
    assert uid in allowed(corpus_box, text)


def test_most_is_ruled_out(corpus_box: Mailbox, corpus_texts: dict[int, list[str]]) -> None:
    """A word that few messages have is looked for in few."""
    assert matching(corpus_texts, "Quetzalcoatlus", fold) == set()
    assert allowed(corpus_box, "Quetzalcoatlus") == set()
    rare = matching(corpus_texts, "segmentation", fold)
    assert rare <= allowed(corpus_box, "segmentation")
    assert len(allowed(corpus_box, "segmentation")) < len(MAIL) / 4


@pytest.mark.parametrize("text", ["", "a", "ab", "a\0b", "\udc80bc", "\ufffe\uffffx", '"" AND "'])
def test_texts_that_are_not_like_others(
    corpus_box: Mailbox, corpus_texts: dict[int, list[str]], text: str
) -> None:
    assert matching(corpus_texts, text, fold) <= allowed(corpus_box, text)


def test_a_long_text(corpus_box: Mailbox, corpus_texts: dict[int, list[str]]) -> None:
    text = max((piece for read in corpus_texts.values() for piece in read), key=len)
    assert matching(corpus_texts, text, fold) <= allowed(corpus_box, text)


# -- what happens to the mail ------------------------------------------------------------------


@pytest.fixture
def account(tmp_path: Path) -> Account:
    fill(tmp_path, MAIL[:80])
    return account_at(tmp_path)


WORDS = ("the", "dovecot", "subject: re", "multipart", "ü", "straße", "imap", "x-spam", "index.c")


def sound(box: Mailbox) -> None:
    """No word is missed."""
    read = texts(box)
    for word in WORDS:
        assert matching(read, word, fold) <= allowed(box, word), word


def test_mail_that_comes_is_read(account: Account, tmp_path: Path) -> None:
    with account.open("INBOX") as box:
        make(box)
        fill(tmp_path, (b"Subject: new\n\nQuetzalcoatlus\n",))
        box.refresh()
        assert len(allowed(box, "Quetzalcoatlus")) == 1
        sound(box)


def test_mail_that_goes(account: Account) -> None:
    with account.open("INBOX") as box:
        make(box)
        view = box.view()
        box.expunge([view.uid(seq) for seq in range(1, 61)])
        sound(box)
        fill(Path(box.directory), MAIL[80:82])
        box.refresh()
        make(box)
        sound(box)
        assert sum(each.messages for each in segments_of(box).now()) == 22


def test_mail_that_is_copied_and_moved(account: Account) -> None:
    account.create("Other")
    with account.open("INBOX") as box, account.open("Other") as other:
        make(box)
        view = box.view()
        box.copy(view, range(1, 20), other)
        box.copy(view, range(20, 30), other, move=True)
        sound(box)
        sound(other)
        make(other)
        sound(other)


def test_a_mailbox_that_is_renamed_keeps_it(account: Account) -> None:
    account.create("One")
    with account.open("INBOX") as box, account.open("One") as one:
        box.copy(box.view(), range(1, 40), one)
        make(one)
    account.rename("One", "Two")
    with account.open("Two") as two:
        assert [each.messages for each in segments_of(two).now()] == [39]
        sound(two)
    account.delete("Two")
    account.create("Two")
    with account.open("Two") as two:
        assert segments_of(two).now() == []


def test_an_index_that_is_made_anew(account: Account) -> None:
    with account.open("INBOX") as box:
        make(box)
        box.rebuild()
        assert allowed(box, "Quetzalcoatlus") == set()
        sound(box)


def test_another_uidvalidity(account: Account) -> None:
    """UIDs of another numbering say nothing."""
    with account.open("INBOX") as box:
        make(box)
        assert segments_of(box).now()
        box.uidvalidity += 1
        assert segments_of(box).now() == []
        make(box)
        assert len(os.listdir(segments_of(box).directory)) == 2  # the lock, and one segment


def test_another_form_of_texts(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unicode grows: what was capital then may not be it now."""
    with account.open("INBOX") as box:
        make(box)
        monkeypatch.setattr(fulltext, "_FORM", "another")
        assert segments_of(box).now() == []


def test_segments_stay_few(account: Account, tmp_path: Path) -> None:
    """However mail comes, a message is indexed anew a few times only."""
    made = 0
    with account.open("INBOX") as box:

        def beat() -> None:
            nonlocal made
            made += 1

        for start in range(80, 200, 5):
            fill(tmp_path, MAIL[start : start + 5])
            box.refresh()
            extend(box, beat)
            sound(box) if start % 40 == 0 else None
        assert len(segments_of(box).now()) <= 8
        assert made <= 200 * 8
        extend(box, beat, whole=True)
        assert len(segments_of(box).now()) == 1
        sound(box)


def test_parts_of_a_large_mailbox(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """The youngest come first; a task is put back until all is done."""
    monkeypatch.setattr(fulltext, "MOST", 30)
    tasks = [Task(User("alice", 0, 0, mail=account.root), "INBOX", kind="text")]
    left = []
    while tasks:
        indexing.work(tasks.pop(), SETTINGS, tasks.append, nothing)
        with account.open("INBOX") as box:
            left.append(80 - sum(each.messages for each in segments_of(box).now()))
            sound(box)
    assert left == [50, 20, 0]


def test_a_message_with_too_much_text(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is always read, and nobody tries again."""
    monkeypatch.setattr(fulltext, "LONGEST", 3000)
    with account.open("INBOX") as box:
        make(box)
        [segment] = segments_of(box).now()
        assert 0 < segment.messages < 80
        sound(box)
        inode = os.stat(segment.path).st_ino
        make(box)
        assert [os.stat(each.path).st_ino for each in segments_of(box).now()] == [inode]


def test_one_makes_them_at_a_time(account: Account) -> None:
    with account.open("INBOX") as box, account.open("INBOX") as other:
        seen: list[bool] = []
        extend(box, lambda: seen.append(extend(other, pytest.fail)))
        assert seen
        assert not any(seen)


def test_it_is_asked_for_by_who_searches(account: Account) -> None:
    """Only where much is missing."""
    asked: list[Task] = []
    account.ask = asked.append
    with account.open("INBOX") as box:
        asked.clear()
        assert possible(box, box.view(), "DOVECOT") is None
        assert asked == []
        fill(Path(box.directory), MAIL[80:200])
        box.refresh()
        asked.clear()
        assert possible(box, box.view(), "DOVECOT") is None
        assert [task.kind for task in asked] == ["text"]
        make(box)
        asked.clear()
        assert possible(box, box.view(), "DOVECOT") is not None
        assert asked == []


@pytest.mark.parametrize("least", [0, 10_000])
def test_where_none_is_wanted(tmp_path: Path, least: int) -> None:
    fill(tmp_path, MAIL[:120])
    chosen = MailSettings(fsync=False, fulltext=least)
    asked: list[Task] = []
    account = Account(User("alice", 0, 0, mail=str(tmp_path)), chosen)
    with account.open("INBOX") as box:
        account.ask = asked.append
        assert possible(box, box.view(), "DOVECOT") is None
        assert asked == []


# -- what happens to its files -----------------------------------------------------------------


def test_damage_is_noticed(account: Account) -> None:
    """Whichever octet it is: the file counts as missing, and is made anew."""
    with account.open("INBOX") as box:
        make(box)
        [segment] = segments_of(box).now()
        path, chance = Path(segment.path), random.Random(1)
        whole = path.read_bytes()
        for place in [0, 30, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(30))]:
            changed = bytearray(whole)
            changed[place] ^= 1 << chance.randrange(8)
            replace(path, bytes(changed))
            assert segments_of(box).now() == []
            assert possible(box, box.view(), "DOVECOT") is None
        for size in (0, 100, len(whole) // 2, len(whole) - 1):
            replace(path, whole[:size])
            assert segments_of(box).now() == []
        replace(path, whole + b"\0" * 8)
        assert segments_of(box).now() == []
        make(box)
        assert allowed(box, "Quetzalcoatlus") == set()


def replace(path: Path, octets: bytes) -> None:
    """Another file: one that a process has checked does not change under it."""
    beside = path.with_name("beside")
    beside.write_bytes(octets)
    beside.rename(path)


def test_a_file_that_is_no_database(account: Account) -> None:
    """Even with a name that fits its octets."""
    with account.open("INBOX") as box:
        make(box)
        found = segments_of(box)
        octets = b"no database at all"
        name = found.name(segments._check([octets]))
        Path(found.directory, name).write_bytes(octets)
        assert [each.messages for each in found.now()] == [80]


def test_a_segment_that_fails_while_it_is_asked(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: segments.Segment, text: str) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with account.open("INBOX") as box:
        make(box)
        monkeypatch.setattr(segments.Segment, "having", fails)
        assert possible(box, box.view(), "DOVECOT") is None


def test_a_segment_that_goes_while_it_is_asked(account: Account) -> None:
    with account.open("INBOX") as box:
        make(box)
        [segment] = segments_of(box).now()
        os.unlink(segment.path)
        with pytest.raises(sqlite3.Error):
            segment.having("DOVECOT")


def test_segments_that_tell_of_the_same_messages(account: Account) -> None:
    """A process died between the new one and the removal of the old: one of them counts."""
    with account.open("INBOX") as box:
        make(box)
        found = segments_of(box)
        with segments.Writer(found) as writer:
            for uid in (3, 4):
                writer.add(uid, "NOTHING OF THE KIND")
            writer.finish()
        assert len(os.listdir(found.directory)) == 3
        sound(box)
        make(box)
        assert len(os.listdir(found.directory)) == 2


def test_a_full_disk(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: segments.Writer, uid: int, text: str) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with account.open("INBOX") as box:
        monkeypatch.setattr(segments.Writer, "add", full)
        with pytest.raises(Refused):
            make(box)
        assert os.listdir(segments_of(box).directory) == [segments.LOCK]
        sound(box)


def test_a_death_at_each_step(account: Account, tmp_path: Path) -> None:
    """Nothing is missed afterwards, and the next one finishes it."""
    step, died = 0, 1
    while died:
        with account.open("INBOX") as box:
            if step:
                fill(tmp_path, MAIL[80 + step : 81 + step])
                box.refresh()
            died = _dies(box, step)
            sound(box)
            step += 1
    assert step > 8
    with account.open("INBOX") as box:
        make(box)
        assert set(os.listdir(segments_of(box).directory)) == {
            segments.LOCK,
            *(os.path.basename(each.path) for each in segments_of(box).now()),
        }
        assert allowed(box, "Quetzalcoatlus") == set()


def _dies(box: Mailbox, step: int) -> int:
    """Make segments in a process that ends before its so-manyth step; 1 where it did."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        left = step

        def count() -> None:
            nonlocal left
            if not left:
                os._exit(1)
            left -= 1

        def counted(name: str) -> None:
            original = getattr(os, name)

            def call(*args: object, **more: object) -> object:
                count()
                return original(*args, **more)

            setattr(os, name, call)

        for name in ("rename", "unlink", "makedirs"):
            counted(name)
        beats = iter(range(1_000_000))
        extend(box, lambda: count() if next(beats) % 40 == 0 else None)
    finally:
        os._exit(0)


def test_drop(account: Account) -> None:
    with account.open("INBOX") as box:
        make(box)
        fulltext.drop(box)
        assert not os.path.exists(segments_of(box).directory)
        sound(box)
