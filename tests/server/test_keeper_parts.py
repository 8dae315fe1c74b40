"""The small parts of the keeper: table, messages, clock, watches, line, what the vault has."""

from __future__ import annotations

import math
import os
import select
import socket
import struct
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymaild.core.session import Cause, SessionRecord, User, Wait
from pymaild.imap.record import ImapRecord
from pymaild.server import errands, parcels
from pymaild.server._exchange import Exchange
from pymaild.server.channel import close_all
from pymaild.server.errands import Packed, Parcel
from pymaild.server.kept import UNUSED, Kept, Line, Watches, Wheel
from pymaild.server.parked import ROOM, TOP, Flag, RowState, Table
from pymaild.server.safe import Safe
from pymaild.server.scoreboard import digest
from pymaild.server.shared import make_work
from pymaild.server.waiting import WaitingRoom
from pymaild.storage import _watch

KEY = errands.key_of("0123456789ab")

TEXTS = st.binary(max_size=80)
WAITS = st.builds(
    Wait,
    seconds=st.floats(0, 1e6),
    farewell=TEXTS,
    leave=TEXTS,
    alive=TEXTS,
    every=st.floats(0, 1e6),
    longest=st.floats(0, 1e6),
    watches=st.lists(st.integers(1, 2**31 - 1), max_size=40),
    looked=st.floats(0, 1e9),
    poll=st.floats(0, 1e3),
    idle=st.just([])
    | st.tuples(st.text("abc1", max_size=32), st.just("OK done"), TEXTS.map(repr)).map(list),
    ends=st.booleans(),
    cause=st.sampled_from(errands.CAUSES),
    commands=st.integers(0, 2**32 - 1),
)


# -- what is sent ------------------------------------------------------------------------------


@given(WAITS)
def test_a_wait_is_packed_and_unpacked(wait: Wait) -> None:
    data = errands.pack_wait(wait)
    assert errands.unpack_wait(data) == wait
    assert Packed(data + b"a record").size == len(data)


def test_the_tag_of_a_wait_changes_in_place() -> None:
    wait = Wait(watches=[1], idle=["a1", "OK done", "+ idling"], alive=b"* OK\r\n")
    packed = Packed(errands.pack_wait(wait)).with_tag(b"a-longer-tag").having(errands.COMMANDS, 3)
    assert len(packed.data) == len(errands.pack_wait(wait))
    wait.idle[0], wait.commands = "a-longer-tag", 3
    assert errands.unpack_wait(packed.data) == wait


def test_what_goes_on_is_told_why_and_not_what_it_watched() -> None:
    wait = Wait(seconds=60, watches=[1, 2, 3], idle=["a1", "OK done", "+ idling"])
    data = Packed(errands.pack_wait(wait)).going_on(errands.CAUSES.index(Cause.NEWS), 12.5)
    told = errands.unpack_wait(data)
    assert (told.cause, told.seconds, told.watches, told.idle) == ("news", 12.5, [], wait.idle)


@pytest.mark.parametrize("long", [False, True])
def test_a_session_travels_in_a_parcel(long: bool) -> None:
    record = ImapRecord(protocol="imap", id="0a", user=User(name="alice"), mailbox="INBOX")
    if long:
        record.unread = os.urandom(2 * ROOM)
    wait = record.wait = Wait(seconds=5, leave=b"* BYE %s\r\n")
    parcel, files = parcels.wrap(record)
    assert len(parcel.text) <= ROOM
    assert bool(files) is long is bool(parcel.flags & Flag.FILE)
    assert (parcel.user, parcel.address) == (digest("alice"), 0)
    arrived = Parcel.read(parcel.message(errands.PARK))
    assert arrived == parcel
    if long:
        shown = ImapRecord.decode(errands.unpack_record(parcel.text))
        assert (shown.user, shown.mailbox, shown.unread) == (record.user, "INBOX", b"")
        arrived = arrived._replace(text=b"")
    told, encoded = parcels.unwrap(arrived, files)
    assert (told, ImapRecord.decode(encoded)) == (wait, record)


def test_a_short_message_is_none() -> None:
    with pytest.raises(struct.error):
        Parcel.read(errands.PARK + KEY)
    with pytest.raises(ValueError, match="Error"):
        errands.unpack_record(b"\xff" * 10)


def test_messages_carry_descriptors() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        assert errands.receive(theirs) is None
        fds = [os.dup(0) for _ in range(3)]
        assert errands.send(ours, errands.STORE + b"x", fds)
        got = errands.receive(theirs)
        assert got is not None
        assert (got[0], len(got[1])) == (b"+x", 3)
        while errands.send(ours, b"x" * 4096):
            pass  # the socket is full: nobody waits
        for fd in (*fds, *got[1]):
            os.close(fd)


# -- the table ---------------------------------------------------------------------------------


def test_rows_are_given_from_the_lowest() -> None:
    table = Table(3)
    taken = []
    for _ in range(3):
        row = table.take()
        assert row is not None
        table.states[row] = RowState.PARKED
        taken.append(row)
    assert (taken, table.take()) == ([0, 1, 2], None)
    table.free(1)
    assert (table.take(), table.numbers[TOP], table.used()) == (1, 3, [0, 2])


def test_a_row_says_what_was_written() -> None:
    table = Table(2)
    table.write(1, KEY, Flag.STIRRED, 4, b"waitrecord", 12.5)
    head = table.head(1)
    assert (head.flags, head.wait, head.size, head.since) == (Flag.STIRRED, 4, 10, 12.5)
    assert head.key == KEY
    table.set_alarm(1, 99.0)
    table.patch(1, b"WAIT")
    assert table.head(1).alarm == 99.0
    assert (table.text(1, 0, 4), table.record(1)) == (b"WAIT", b"record")


def test_of_a_long_record_what_is_shown_is_its_text() -> None:
    table = Table(1)
    table.write(0, KEY, Flag.FILE, 4000, b"shown", 0.0)
    assert table.record(0) == b"shown"


def test_counting_in_columns() -> None:
    table = Table(100)
    for row in range(10):
        table.states[table.take() or 0] = RowState.PARKED
        table.users[row] = digest("alice" if row % 2 else "bob")
        table.addresses[row] = digest("::1")
    assert (table.of_user(digest("alice")), table.of_user(digest("carol"))) == (5, 0)
    assert table.of_address(digest("::1")) == 10
    table.free(1)
    assert table.of_user(digest("alice")) == 4
    assert (table.count_states(RowState.PARKED), table.count_states(RowState.GIVEN)) == (9, 0)


# -- time, watches, line -----------------------------------------------------------------------


def kept(key: bytes = KEY) -> Kept:
    return Kept(key, -1)


def test_the_wheel_looks_at_each_in_its_second() -> None:
    wheel, first, second = Wheel(100.0), kept(), kept()
    wheel.set(first, 105.2)
    wheel.set(second, 103.0)
    assert list(wheel.due(103.9)) == []
    assert list(wheel.due(104.0)) == [second]
    assert list(wheel.due(200.0)) == [first]


def test_an_earlier_time_counts_alone() -> None:
    wheel, one = Wheel(100.0), kept()
    wheel.set(one, 110.0)
    wheel.set(one, 102.0)
    wheel.set(one, 120.0)  # it will be looked at before, and set again then
    assert list(wheel.due(130.0)) == [one]
    assert list(wheel.due(140.0)) == []


def watches_of(folder: Path) -> tuple[int, Watches, int]:
    fd = _watch.open_watches()
    watch = _watch.set_watch(fd, os.fsencode(folder))
    assert watch == _watch.set_watch(fd, os.fsencode(folder)), "it is shared"
    return fd, Watches(fd, 10.0), watch


def test_who_waits_for_a_directory_is_told(tmp_path: Path) -> None:
    fd, watches, watch = watches_of(tmp_path)
    first, second, third = kept(), kept(), kept()
    for one in (first, second, third):
        watches.add(one, array("I", [watch]))
    watches.discard(second, array("I", [watch]), 11.0)
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    assert list(watches.take(12.0)) == [first, third]
    assert list(watches.take(13.0)) == []
    os.close(fd)


def test_what_happened_since_the_last_look(tmp_path: Path) -> None:
    fd, watches, watch = watches_of(tmp_path)
    one = array("I", [watch])
    assert watches.missed(one, 9.0), "that was before this keeper"
    assert not watches.missed(one, 10.0)
    assert not watches.missed(array("I"), 0.0), "nothing is watched"
    (tmp_path / "a").touch()
    assert list(watches.take(20.0)) == []
    assert watches.missed(one, 19.0)
    assert watches.missed(one, 20.0)
    assert not watches.missed(one, 20.5)
    os.close(fd)


def test_a_watch_that_nobody_needs_is_given_up(tmp_path: Path) -> None:
    """A session that had it from before is told that it sees nothing."""
    fd, watches, watch = watches_of(tmp_path)
    one = array("I", [watch])
    waiting = kept()
    watches.add(waiting, one)
    watches.discard(waiting, one, 20.0)
    watches.tidy(20.0 + UNUSED)
    assert list(watches.take(81.0)) == []
    assert not watches.missed(one, 82.0)
    watches.tidy(21.0 + UNUSED)
    assert list(watches.take(82.0)) == []
    assert watches.missed(one, 90.0)
    assert _watch.set_watch(fd, os.fsencode(tmp_path)) != watch
    os.close(fd)


def test_a_directory_that_goes_wakes_who_waits(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    fd, watches, watch = watches_of(folder)
    waiting = kept()
    watches.add(waiting, array("I", [watch]))
    folder.rmdir()
    assert list(watches.take(12.0)) == [waiting]
    assert _watch.set_watch(fd, os.fsencode(folder)) == -1
    os.close(fd)


def test_clients_come_before_news_but_for_each_fourth() -> None:
    work = make_work()
    line = Line(work)
    clients, news = [kept() for _ in range(6)], [kept() for _ in range(2)]
    for one in news:
        line.add(one, Cause.NEWS)
    for one in clients:
        line.add(one, Cause.CLIENT)
    order = [line.next() for _ in range(8)]
    assert order == [*clients[:3], news[0], *clients[3:], news[1]]
    assert line.next() is None
    assert [os.eventfd_read(work) for _ in range(8)] == [1] * 8, "one token for each"
    with pytest.raises(BlockingIOError):
        os.eventfd_read(work)
    os.close(work)


def room_of(table: Table) -> WaitingRoom:
    """The sessions of a table, as a keeper has them."""
    return WaitingRoom(
        table, -1, make_work(), select.epoll(), lambda kept: None, 0.0, lambda kept: None, 120.0
    )


@pytest.mark.parametrize("sent", [0, 5, None])
def test_an_answer_during_which_a_keeper_died(sent: int | None) -> None:
    """The next one sends the rest of it, and knows what the client said."""
    lines, reply = b"DONE\r\na2 IDLE\r\n", b"a1 OK done\r\n+ idling\r\n"
    record = ImapRecord(protocol="imap", id="0123456789ab")
    record.wait = Wait(idle=["a1", "OK done", "+ idling"])
    ours, client = socket.socketpair()
    table, dead, heir = Table(2), kept(), kept()
    with ours, client:
        dead.fd = heir.fd = ours.fileno()
        assert room_of(table).admit(dead, parcels.wrap(record)[0], 0)
        client.sendall(lines)
        Exchange(table.exchange).answer(dead.row, dead.fd, lines, reply[:sent])
        heir.row = dead.row
        room = room_of(table)
        room.restore(heir)
        assert client.recv(100) == reply
        client.sendall(b"DONE\r\n")
        room.client(heir)
        assert client.recv(100) == b"a2 OK done\r\n"


# -- the vault's side --------------------------------------------------------------------------


def test_the_vault_is_waited_for() -> None:
    """What is parked counts as held once the vault has said so."""
    stored: list[bytes] = []
    learned: list[dict[bytes, int]] = []
    safe = Safe(stored.append, learned.append)
    assert safe.has(KEY), "without a vault nothing is waited for"
    ours, vault = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with vault:
        safe.connect(ours.detach())
        assert vault.recv(10) == errands.ALL
        safe.add(KEY + errands.CLIENT, 0)
        safe.flush()
        vault.send(errands.END)
        safe.hear()
        assert learned == [{}]
        assert not safe.has(KEY)
        safe.flush()
        data, fds = errands.receive(vault) or (b"", [])
        assert data == errands.STORE + KEY + errands.CLIENT
        assert vault.recv(10) == errands.END, "that was all"
        assert stored == []
        vault.send(errands.STORED)
        safe.hear()
        assert (stored, safe.lacks) == ([KEY], 0)
        assert safe.has(KEY)
        os.close(fds[0])
    safe.hear()
    assert safe.sock is None


def test_what_is_over_soon_never_comes_to_the_vault() -> None:
    """What is to be stored waits for more; what has been stored is dropped there."""
    safe = Safe(lambda key: None, lambda found: None)
    assert safe.left == math.inf
    ours, vault = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with vault:
        safe.connect(ours.detach())
        vault.send(errands.END)
        safe.hear()
        assert safe.left < 1, "it is to be said that this was all"
        safe.flush()
        assert (vault.recv(10), vault.recv(10)) == (errands.ALL, errands.END)
        safe.add(KEY + errands.CLIENT, 0)
        assert 0 <= safe.left < 1
        safe.drop(KEY + errands.CLIENT)
        safe.flush()
        assert (safe.left, safe.lacks) == (math.inf, 0)
        safe.add(KEY + errands.CLIENT, 0)
        safe.flush()
        safe.drop(KEY + errands.CLIENT)
        safe.add(KEY + errands.CLIENT, 1)
        safe.flush()
        heard = [errands.receive(vault) or (b"", []) for _ in range(3)]
        kinds = [data[:1] for data, _ in heard]
        assert kinds == [errands.STORE, errands.DROP, errands.STORE]
        for _, fds in heard:
            close_all(fds)
    safe.close()


def test_a_vault_that_dies_is_waited_for_no_more() -> None:
    stored: list[bytes] = []
    safe = Safe(stored.append, lambda found: None)
    ours, vault = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    safe.connect(ours.detach())
    vault.send(errands.END)
    safe.hear()
    safe.add(KEY + errands.CLIENT, 0)
    assert not safe.has(KEY)
    vault.close()
    safe.flush()
    assert stored == [KEY]


def test_a_vault_that_died_before_it_was_met() -> None:
    stored: list[bytes] = []
    safe = Safe(stored.append, lambda found: None)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    safe.connect(ours.detach())
    assert safe.sock is not None
    safe.hear()
    assert safe.sock is None
    assert safe.has(KEY)


def test_records_are_small_when_packed() -> None:
    record = SessionRecord(protocol="imap", id="0123456789ab", listener="imaps", greeted=True)
    encoded = record.encode()
    packed = errands.pack_record(encoded)
    assert errands.unpack_record(packed) == encoded
    assert len(packed) < len(encoded) // 2


def test_work_wakes_whoever_polls() -> None:
    work = make_work()
    poller = select.poll()
    poller.register(work, select.POLLIN)
    assert poller.poll(0) == []
    Line(work).add(kept(), Cause.CLIENT)
    assert poller.poll(0)
    os.close(work)


def test_many_wait_for_the_same(tmp_path: Path) -> None:
    """They are told in the order in which they came; nobody is forgotten, or told twice."""
    fd, watches, watch = watches_of(tmp_path)
    crowd = [kept() for _ in range(50)]
    for one in crowd:
        watches.add(one, array("I", [watch]))
    for one in crowd[::2]:
        watches.discard(one, array("I", [watch]), 11.0)
    (tmp_path / "a").touch()
    assert list(watches.take(12.0)) == crowd[1::2]
    for one in crowd[1::2]:
        watches.discard(one, array("I", [watch]), 13.0)
    (tmp_path / "b").touch()
    assert list(watches.take(14.0)) == []
    os.close(fd)
