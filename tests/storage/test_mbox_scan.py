"""Messages of an mbox are found where other programs put them, and told without internal fields."""

from __future__ import annotations

import calendar
import gzip
import itertools
import mailbox
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymaild.mime._crlf import crlf_size
from pymaild.storage._fromline import parse_from
from pymaild.storage._mbox import Message, NotMbox, Scanner, message_at
from pymaild.storage._mboxtext import Served, Stored
from pymaild.storage.mbox import Edit, Mbox, State
from tests.storage.mboxes import append, made, mail, mbox_at, messages, numbering, octets, served
from tests.support.corpus import SHARED

NOON = calendar.timegm((1992, 12, 2, 5, 53, 22))

FROM_LINES = [
    (b"From a@example.org Wed Dec  2 05:53:22 1992 +0000\n", NOON, b"a@example.org"),
    (b"From a@example.org  Wed Dec 02 05:53:22 1992 UTC\r\n", NOON, b"a@example.org"),
    (b"From a@example.org Wed Dec  2 05:53:22 GMT 1992\n", NOON, b"a@example.org"),
    (b"From 12@xxx Wed Dec 02 05:53:22 +0000 1992\n", NOON, b"12@xxx"),
    (b"From a@example.org Wed Dec  2 07:53:22 +0200 1992\n", NOON, b"a@example.org"),
    (b"From a@example.org Wed Dec  2 00:53:22 EST 1992\n", NOON, b"a@example.org"),
    (b"From - Wed Dec  2 05:53:22 92 GMT\n", NOON, b"-"),
    (b"From ???@??? Wed Dec  2 5:53:22 1992 -0000\n", NOON, b"???@???"),
    (b'From "a b"@example.org Wed Dec  2 05:53:22 1992 Z\n', NOON, b'"a b"@example.org'),
    (b"From a at example.org  Wed Dec  2 05:53:22 1992 Z\n", NOON, b"a at example.org"),
    (b"From  Wed Dec  2 05:53:22 1992 Z\n", NOON, b""),
    (b"From a Wed Dec  2 05:53 1992 Z\n", NOON - 22, b"a"),
    (b"From a Wed Dec  2 05:53:22 1992 Z remote from host\n", NOON, b"a"),
    (b"From a Wed, 02 Dec 1992 05:53:22 +0000\n", NOON, b"a"),
    (b"From a@12:34 Wed Dec  2 05:53:22 1992 Z\n", NOON, b"a@12:34"),
]

NO_FROM_LINES = [
    b"From here on it is different\n",
    b"From: a@example.org Wed Dec  2 05:53:22 1992\n",
    b"from a@example.org Wed Dec  2 05:53:22 1992\n",
    b"From a@example.org Wed Dec  2 05:53:22\n",
    b"From a@example.org Wed Foo  2 05:53:22 1992\n",
    b"From a@example.org Xxx Dec  2 05:53:22 1992\n",
    b"From a@example.org Wed Dec  2 1992\n",
    b"From a@example.org Wed Dec  2 05:53:22 1992 and so on\n",
    b"From a Wed Dec  2 05:53:22 1992".ljust(2000) + b"\n",
    b"From a\n",
    b"From \n",
]


@pytest.fixture
def utc_plus_five(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "XYZ-5")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(("line", "date", "sender"), FROM_LINES)
def test_from_lines(line: bytes, date: int, sender: bytes) -> None:
    assert parse_from(line) == (date, sender)


def test_a_date_without_a_zone_is_this_hosts(utc_plus_five: None) -> None:
    for zone in (b"", b" ABC"):
        parsed = parse_from(b"From a Wed Dec  2 05:53:22 1992" + zone + b"\n")
        assert parsed == (NOON - 5 * 3600, b"a")


@pytest.mark.parametrize("line", NO_FROM_LINES)
def test_lines_of_text(line: bytes) -> None:
    assert parse_from(line) is None


@given(st.binary(max_size=80))
def test_any_octets_are_a_from_line_or_none(noise: bytes) -> None:
    for line in (b"From " + noise, b"From a Wed Dec  2 05:53:22 1992"[: len(noise)] + noise):
        parsed = parse_from(line)
        assert parsed is None or isinstance(parsed[0], int)


def subjects(box: Mbox) -> list[bytes]:
    return [data.split(b"\n")[0].strip() for _, data in served(box)]


BOUNDARIES = [
    ("after an empty line", mail(1) + mail(2), 2),
    ("text that begins so", mail(1, "a\n\nFrom here on it is different\n\nb\n") + mail(2), 2),
    ("quoted", mail(1, "a\n\n>From b Wed Dec  2 05:53:22 1992\nc: d\n") + mail(2), 2),
    ("no empty line before it", mail(1, "text\n")[:-1] + mail(2), 2),
    ("text that quotes one", mail(1, "he wrote\nFrom b Wed Dec  2 05:53:22 1992\n so\n"), 1),
    ("empty lines at the start", b"\n\n" + mail(1) + mail(2), 2),
    ("lines that end with CR LF", (mail(1) + mail(2)).replace(b"\n", b"\r\n"), 2),
    ("no empty line at the end", mail(1) + mail(2)[:-1], 2),
    ("no line end at the end", mail(1) + mail(2)[:-2], 2),
    ("a header alone", mail(1) + mail(2).partition(b"\n\n")[0] + b"\n", 2),
    ("headers alone", b"".join(mail(n).partition(b"\n\n")[0] + b"\n\n" for n in (1, 2)), 2),
    ("empty", b"", 0),
    ("no header", b"From a Wed Dec  2 05:53:22 1992\n\nbody\n\n" + mail(2), 2),
]


@pytest.mark.parametrize(
    ("data", "count"), [row[1:] for row in BOUNDARIES], ids=[row[0] for row in BOUNDARIES]
)
def test_where_messages_begin(tmp_path: Path, data: bytes, count: int) -> None:
    box = made(tmp_path, data)
    found = messages(box)
    assert len(found) == count
    assert all(one.next == other.offset for one, other in itertools.pairwise(found))
    assert not found or found[-1].next == len(data)
    for message in found:
        assert data[message.offset :].startswith(b"From ")
        assert message.offset < message.header <= message.body <= message.end <= message.next


def test_the_empty_line_between_messages_is_no_part_of_them(tmp_path: Path) -> None:
    box = made(tmp_path, mail(1, "a\n") + mail(2, "b\n\n") + mail(3, "c\n")[:-1])
    bodies = [data.partition(b"\n\n")[2] for _, data in served(box)]
    assert bodies == [b"a\n", b"b\n\n", b"c\n"]


def with_length(body: str, length: int) -> bytes:
    return mail(1, body, [f"Content-Length: {length}"])


INSIDE = "a\n\nFrom b Wed Dec  2 05:53:22 1992\nSubject: forwarded\n\nc\n"


@pytest.mark.parametrize(
    ("length", "behind", "count"),
    [
        (len(INSIDE), mail(2), 2),
        (len(INSIDE) + 1, mail(2), 2),
        (len(INSIDE), b"", 1),
        (len(INSIDE) - 1, mail(2), 3),
        (len(INSIDE) + 5, mail(2), 3),
        (10**14, mail(2), 3),
        (0, mail(2), 3),
    ],
)
def test_content_length_counts_where_it_leads_to_a_message(
    tmp_path: Path, length: int, behind: bytes, count: int
) -> None:
    found = messages(made(tmp_path, with_length(INSIDE, length) + behind))
    assert len(found) == count
    if count < 3:
        assert found[0].end - found[0].body == length


def test_not_an_mbox(tmp_path: Path) -> None:
    box = made(tmp_path, b"Subject: this is a mail of its own\n\nFrom\n")
    with pytest.raises(NotMbox):
        messages(box)
    with box.writing(), pytest.raises(NotMbox):
        box.append([], numbering(1))


INTERNAL = [
    "X-IMAPbase: 1234567890 0000000099 $Todo Later",
    "STATUS: RO",
    "X-Status: AFT",
    "X-Keywords: $Todo",
    "  Later",
    "x-uid: 42   ",
    "Content-Length: 7",
    "Lines: 1",
    "To: b",
    " Status: D",
]


def test_internal_fields_are_read_and_not_told(tmp_path: Path) -> None:
    box = made(tmp_path, mail(1, "body 1\n", INTERNAL))
    (message,) = messages(box)
    assert (message.uid, message.flags, message.old) == (42, 1 | 2 | 4 | 16, True)
    assert message.keywords == (b"$Todo", b"Later")
    assert message.base == (1234567890, 99, (b"$Todo", b"Later"))
    told = b"Subject: message 1\nTo: b\n Status: D\n\nbody 1\n"
    assert served(box) == [(42, told)]
    assert (message.size, message.wire_size) == (len(told), crlf_size(told))
    assert message.header_size == told.index(b"\n\n") + 2


def test_only_the_first_field_of_a_kind_counts(tmp_path: Path) -> None:
    (message,) = messages(made(tmp_path, mail(1, "", ["X-UID: 3", "X-UID: 4", "Status: R"] * 90)))
    assert (message.uid, message.flags, message.old) == (3, 1, False)


@pytest.mark.parametrize("uid", ["", "x", "-1", "4294967296", "9" * 4000])
def test_numbers_that_are_none(tmp_path: Path, uid: str) -> None:
    fields = [f"X-UID: {uid}", f"X-IMAPbase: {uid} {uid}"]
    (message,) = messages(made(tmp_path, mail(1, "", fields)))
    assert (message.uid, message.base) == (0, None)


NOTE = (
    b"From MAILER-DAEMON Wed Dec  2 05:53:22 1992\n"
    b"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n"
    b"X-IMAP: 1234567890 0000000002\nStatus: RO\n\nThis text is part of the format.\n\n"
)


def test_the_note_of_uw_imap_is_no_mail_and_stays(tmp_path: Path) -> None:
    box = made(tmp_path, NOTE + mail(1) + mail(2))
    with box.writing():
        note, *found = box.scan()
        assert note.pseudo
        assert note.base == (1234567890, 2, ())
        edits = [Edit(found[0].offset, None), Edit(found[1].offset, State(7))]
        box.rewrite(edits, numbering(7, b"$Todo"))
        note, last = box.scan()
    assert note.pseudo
    assert note.base == (numbering(0).uidvalidity, 7, (b"$Todo",))
    assert (last.uid, last.base) == (7, None)
    assert b"This text is part of the format." in octets(tmp_path)
    append(box, 8, b"Subject: x\n\n")
    with box.reading():
        assert [m.base for m in box.scan()] == [(note.base[0], 8, (b"$Todo",)), None, None]


def test_a_mail_that_says_so_later_is_mail(tmp_path: Path) -> None:
    assert not any(m.pseudo for m in messages(made(tmp_path, mail(1) + NOTE)))


def test_who_a_message_is_follows_from_what_is_told_of_its_header(tmp_path: Path) -> None:
    box = made(tmp_path, mail(1, "", INTERNAL) + mail(1, "", ["To: b", " Status: D"]) + mail(2))
    one, other, third = messages(box)
    assert one.identity == other.identity != third.identity
    Path(box.path).write_bytes(octets(tmp_path).replace(b"\n", b"\r\n"))
    assert messages(box)[0].identity == one.identity


@pytest.mark.parametrize("size", [1 << 18, (1 << 18) + 1, 3 << 18, 5_000_000])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_longer_than_the_window(tmp_path: Path, size: int, end: str) -> None:
    fields = ["X-Long: " + "h" * size, "Status: RO" + " " * size, "To: b"]
    data = (mail(1, "b" * size + "\n", fields) + mail(2)).replace(b"\n", end.encode())
    box = made(tmp_path, data)
    assert len(messages(box)) == 2
    told = data[: messages(box)[0].end].partition(end.encode())[2]
    told = told.replace(b"Status: RO" + b" " * size + end.encode(), b"")
    assert served(box)[0][1] == told
    assert messages(box)[0].wire_size == crlf_size(told)


def test_any_place_of_a_line_end_in_the_window(tmp_path: Path) -> None:
    """A boundary, a CR and its LF, and internal fields lie across the window's end."""
    for shift in range(60):
        first = mail(1, "x" * ((1 << 18) - 400 + shift) + "\n\n" + "y\n" * 100)
        data = (first + mail(2, "", ["Status: RO", "X-UID: 5"])).replace(b"\n", b"\r\n")
        found = messages(made(tmp_path, data))
        assert [(m.uid, m.offset) for m in found] == [(0, 0), (5, len(first) + first.count(b"\n"))]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.lists(
            st.sampled_from(
                [
                    b"From a Wed Dec  2 05:53:22 1992\n",
                    *(b"Subject: x\n", b"\n", b"\r\n", b"text\n", b"Status: RO\n"),
                    *(b"Content-Length: 12\n", b"From ", b"\r", b"x", b"\0", b" \n"),
                ]
            ),
            max_size=12,
        ).map(b"".join),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 9),
)
def test_what_is_stored_is_told_and_is_one_message(
    tmp_path_factory: pytest.TempPathFactory, given: list[bytes], split: int
) -> None:
    """Whatever a client appends becomes one message, the same however often it is read."""
    box = mbox_at(tmp_path_factory.mktemp("box"))
    box.create()
    drafts = [
        box.write(data[at : at + split] for at in range(0, len(data), split)) for data in given
    ]
    stored = [Path(draft.path).read_bytes() for draft in drafts]
    for draft, data in zip(drafts, stored, strict=True):
        assert (draft.size, draft.wire_size) == (len(data), crlf_size(data))
        draft.discard()
    append(box, 1, *given)
    assert served(box) == list(enumerate(stored, 1))
    assert [m.size for m in messages(box)] == [len(data) for data in stored]
    for data, kept in zip(given, stored, strict=True):
        if not any(word in data for word in (b"From ", b"\r", b"Status", b"Content", b" \n")):
            assert kept.startswith(data)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_any_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes
) -> None:
    box = made(tmp_path_factory.mktemp("box"), mail(1) + noise)
    for (_, data), message in zip(served(box), messages(box), strict=True):
        assert len(data) == message.size
        assert crlf_size(data) == message.wire_size


def test_one_message_alone(tmp_path: Path) -> None:
    box = made(tmp_path, mail(1) + mail(2))
    first, second = messages(box)
    with box.reading() as fd:
        assert repr(message_at(fd, second.offset)) == repr(second)
        assert message_at(fd, second.offset, whole=False).body == second.body
        with pytest.raises(NotMbox):
            message_at(fd, second.offset - 1)
        with pytest.raises(NotMbox):
            message_at(fd, second.next)
        assert [m.offset for m in Scanner(fd, second.offset)] == [second.offset]
        assert [m.offset for m in Scanner(fd, 0, second.offset)] == [first.offset]


def test_memory_stays_bounded(tmp_path: Path) -> None:
    """A header of fields that are all internal, and a message that is one line."""
    fields = ["Status: RO", "X-A: b"] * 40_000
    box = made(tmp_path, mail(1, "x" * 8_000_000 + "\n", fields))
    with box.reading() as fd:
        message = message_at(fd, 0)
        assert max(len(piece) for piece in Served(fd, message)) <= 1 << 18
    assert max(len(piece) for piece in Stored([octets(tmp_path)])) <= (1 << 18) + (1 << 17)


def test_the_corpus_is_what_another_reader_finds(tmp_path: Path, corpus: bytes) -> None:
    """Python's reader takes every line that begins with "From " for a message's first."""
    box = made(tmp_path, corpus)
    found = messages(box)
    with box.reading() as fd:
        for message in found:
            assert isinstance(message, Message)
            data = b"".join(Served(fd, message))
            assert (len(data), crlf_size(data)) == (message.size, message.wire_size)
    ours = {message.offset for message in found}
    other = mailbox.mbox(box.path, create=False)
    other.lock()
    other.keys()
    theirs = {start for start, _ in other._toc.values()}  # type: ignore[attr-defined]
    other.close()
    odd = [parse_from(corpus[at : at + 300].partition(b"\n")[0]) for at in theirs - ours]
    assert ours <= theirs
    assert all(line is None for line in odd)
    assert len(found) == 3237


@pytest.fixture(scope="session")
def corpus() -> bytes:
    """Real mail of a public list, as an mbox with CR LF."""
    path = SHARED / "dovecot-list.mbox.gz"
    if not path.exists():
        pytest.skip("the corpus is not there")
    return gzip.decompress(path.read_bytes())
