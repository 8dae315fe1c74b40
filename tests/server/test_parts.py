"""The small parts of the server: scoreboard, channel, population, log lines, listeners."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

import pytest

from pymaild.core.errors import ConfigError
from pymaild.core.session import Peer
from pymaild.server import logs, sessions
from pymaild.server.board import address_key
from pymaild.server.channel import LARGEST, Channel, ChannelClosed
from pymaild.server.family import LONGEST_DELAY, STABLE, Backoff
from pymaild.server.listeners import bind_unix, peer_of
from pymaild.server.logs import FdHandler, LineFormatter, SyslogHandler
from pymaild.server.population import Population
from pymaild.server.scoreboard import COUNTERS, TEXT, Scoreboard, State, digest
from pymaild.server.settings import ListenerSettings
from tests.support.rfc import rfc

# -- scoreboard --------------------------------------------------------------------------------


def test_slots_are_given_and_taken_back() -> None:
    board = Scoreboard(3)
    assert [board.allot(), board.allot(), board.allot(), board.allot()] == [0, 1, 2, None]
    assert board.count_states(State.STARTING) == 3
    board.count(1, "logins", 5)
    board.users[1] = digest("alice")
    board.set_text(1, {"user": "alice"})
    assert board.totals()["logins"] == 5
    assert board.release(1)["logins"] == 5
    assert board.totals() == dict.fromkeys(COUNTERS, 0)
    assert board.users[1] == 0
    assert board.text(1) is None
    assert board.allot() == 1


def test_unknown_counter() -> None:
    with pytest.raises(KeyError):
        Scoreboard(1).count(0, "sheep")


def test_processes_share_it() -> None:
    board = Scoreboard(2)
    board.allot()
    pid = os.fork()
    if pid == 0:
        board.count(0, "commands", 7)
        board.set_text(0, {"user": "büb"})
        os._exit(0)
    os.waitpid(pid, 0)
    assert board.totals()["commands"] == 7
    assert board.text(0) == {"user": "büb"}


@pytest.mark.parametrize("length", [0, 10, 900, 5000])
def test_text_is_bounded(length: int) -> None:
    board = Scoreboard(2)
    facts = {"id": "x", "user": "ü" * length, "mailbox": '"' * length, "since": 1.5}
    board.set_text(0, facts)
    board.set_text(1, {"id": "neighbour"})
    shown = board.text(0)
    assert shown is not None
    assert shown["id"] == "x"
    assert facts["user"].startswith(shown["user"])  # type: ignore[union-attr, attr-defined]
    assert board.text(1) == {"id": "neighbour"}


def test_writer_that_died_half_way() -> None:
    """An odd generation says that the text is being written: nothing is shown, later it heals."""
    board = Scoreboard(1)
    board.set_text(0, {"id": "x"})
    start = board._texts
    board._map[start : start + 2] = (1).to_bytes(2, "little")
    assert board.text(0) is None
    board.set_text(0, {"id": "y"})
    assert board.text(0) == {"id": "y"}
    assert TEXT >= 1024


# -- channel -----------------------------------------------------------------------------------


def test_message_with_descriptors(tmp_path: Path) -> None:
    one, other = Channel.pair()
    path = tmp_path / "file"
    path.write_text("content")
    with path.open() as file:
        assert one.send({"verb": "log", "n": 1}, (file.fileno(),))
    received = other.receive()
    assert received is not None
    message, fds = received
    assert message == {"verb": "log", "n": 1}
    assert os.read(fds[0], 100) == b"content"
    os.close(fds[0])
    assert other.receive() is None
    one.close()
    with pytest.raises(ChannelClosed):
        other.receive()
    other.close()


def test_channel_that_nobody_reads() -> None:
    """Sending never blocks; in the end it says no. So does a message that is too large."""
    one, other = Channel.pair()
    assert not one.send({"verb": "x", "data": "x" * (LARGEST * 2)})
    sent = 0
    while one.send({"verb": "x"}):
        sent += 1
    assert sent > 100
    other.close()
    assert not one.send({"verb": "x"})
    one.close()


@pytest.mark.parametrize("data", [b"no json", b"[]", b"{}", b'{"verb": 1}', b"\xff"])
def test_no_message(data: bytes) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Channel(ours)
    with theirs, open(os.devnull) as null:
        before = len(os.listdir("/proc/self/fd"))
        socket.send_fds(theirs, [data], [null.fileno()])
        with pytest.raises(ValueError):  # noqa: PT011
            channel.receive()
        assert len(os.listdir("/proc/self/fd")) == before
    channel.close()


# -- population --------------------------------------------------------------------------------

#: current, idle, total -> change, for at least 4, spare 2 to 6, at most 20
STEPS = [
    ((0, 0, 0), 4),
    ((4, 4, 4), 0),
    ((4, 2, 4), 0),
    ((4, 1, 4), 1),
    ((4, 0, 4), 2),
    ((3, 3, 3), 1),
    ((10, 6, 10), 0),
    ((10, 7, 10), -1),
    ((4, 4, 10), 0),  # others are leaving
    ((19, 0, 19), 1),
    ((20, 0, 20), 0),
    ((2, 0, 20), 2),  # the least is kept even when leaving workers fill the room
    ((0, 0, 25), 4),
]


@pytest.mark.parametrize(("numbers", "change"), STEPS)
def test_population(numbers: tuple[int, int, int], change: int) -> None:
    population = Population(4, 2, 6, 20)
    assert population.change(100.0, *numbers) == change
    assert population.full == (numbers == (20, 0, 20))


def test_growth_doubles_while_it_is_needed() -> None:
    population = Population(4, 2, 6, 500)
    changes = [population.change(100 + n / 10, 50, 0, 50) for n in range(8)]
    assert changes == [2, 2, 4, 8, 16, 32, 32, 32]
    assert population.change(110.0, 50, 0, 50) == 2


def test_one_leaves_a_second() -> None:
    population = Population(4, 2, 6, 20)
    assert population.change(100.0, 10, 10, 10) == -1
    assert population.change(100.5, 9, 9, 9) == 0
    assert population.change(101.0, 9, 9, 9) == -1


def test_bounds_of_the_bounds() -> None:
    population = Population(1, 1, 2, 2)
    population.fewer()
    assert population.least == 1
    population.more()
    population.more()
    assert population.least == 2


def test_backoff() -> None:
    backoff = Backoff()
    delays = [backoff.crashed(100.0 + n) for n in range(10)]
    assert delays == [0.25, 0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff.not_before == 109 + LONGEST_DELAY
    assert backoff.crashed(109 + LONGEST_DELAY + STABLE + 1) == 0.25
    backoff.crashed(300.0)
    assert backoff.served() == 0
    assert backoff.not_before == 0
    assert backoff.crashed(301.0) == 0.25


def test_backoff_of_what_all_wait_for() -> None:
    """The first crashes cost no time, unless they never end."""
    backoff = Backoff(pardoned=2)
    assert [backoff.crashed(100.0 + n) for n in range(4)] == [0, 0, 0.25, 0.5]
    assert backoff.crashed(103 + 2 * STABLE) == 0
    assert backoff.not_before <= 103 + 2 * STABLE


# -- log ---------------------------------------------------------------------------------------


def record(text: str, *args: object, exc_info: object = None) -> logging.LogRecord:
    made = logging.LogRecord("pymaild.imap", logging.WARNING, "", 0, text, args, None)
    made.exc_info = exc_info  # type: ignore[assignment]
    return made


def test_nobody_can_forge_a_line() -> None:
    formatter = LineFormatter(stamped=False)
    text = formatter.format(record("user=%s", "x\r\n2026 fake\x1b[2J\u2028\x85y"))
    assert text == "warning: imap: user=x\\x0d\\x0a2026 fake\\x1b[2J\\x2028\\x85y"


def test_lines_are_bounded() -> None:
    assert len(LineFormatter(False).format(record("x" * 100000))) < logs.LONGEST + 100


def test_traceback_is_indented() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError as error:
        info = (ValueError, error, error.__traceback__)
        lines = LineFormatter(True).format(record("bug", exc_info=info)).splitlines()
    assert lines[0].endswith("warning: imap: bug")
    assert f"pymaild[{os.getpid()}]" in lines[0]
    assert all(line.startswith("\t") for line in lines[1:])


def test_one_write_per_record(tmp_path: Path) -> None:
    """A pipe in packet mode shows what one write was."""
    read, write = os.pipe2(os.O_DIRECT)
    handler = FdHandler(write)
    handler.emit(record("one"))
    handler.emit(record("two"))
    assert os.read(read, 10000).endswith(b"one\n")
    assert os.read(read, 10000).endswith(b"two\n")
    os.close(read)
    handler.emit(record("nobody reads"))  # costs the line, not the process
    os.close(write)


def test_syslog(tmp_path: Path) -> None:
    """RFC 3164 §4.1: priority of facility mail, warning; each line of a traceback by itself."""
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(path)
        handler = SyslogHandler(2, path)
        handler.emit(record("hello"))
        line = daemon.recv(10000)
    assert line.startswith(b"<20>")
    assert line.endswith(b"pymaild[%d]: warning: imap: hello" % os.getpid())
    os.unlink(path)
    handler.emit(record("lost"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(path)
        handler.emit(record("found again"))
        assert daemon.recv(10000).endswith(b"found again")
    handler.close()


# -- listeners ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("127.0.0.1:143", ("127.0.0.1", 143)),
        ("[::]:993", ("::", 993)),
        ("[::1]:0", ("::1", 0)),
        ("unix:/run/x", "/run/x"),
    ],
)
def test_address(address: str, endpoint: object) -> None:
    assert ListenerSettings("x", "imap", address).endpoint() == endpoint


@pytest.mark.parametrize(
    "address",
    [
        "143",
        "localhost:143",
        "127.0.0.1",
        "127.0.0.1:65536",
        "unix:",
        "unix:x",
        "unix:/" + "x" * 107,
    ],
)
def test_bad_address(address: str) -> None:
    with pytest.raises(ConfigError):
        ListenerSettings("x", "imap", address)


@pytest.mark.parametrize("values", [{"mode": "rw"}, {"proxy_from": ("10.0.0.0/33",)}])
def test_bad_listener(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        ListenerSettings("x", "imap", "127.0.0.1:1", **values)  # type: ignore[arg-type]


@rfc("2033", "1", 1)
@rfc("2033", "5", 1)
def test_lmtp_is_not_spoken_on_the_port_of_smtp() -> None:
    with pytest.raises(ConfigError, match="port 25"):
        ListenerSettings("x", "lmtp", "127.0.0.1:25")
    ListenerSettings("x", "lmtp", "127.0.0.1:24")
    ListenerSettings("x", "imap", "127.0.0.1:25")


def test_stale_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    first = bind_unix(path, 0o600, None)
    first.listen()
    with pytest.raises(OSError, match="another server"):
        bind_unix(path, 0o600, None)
    first.close()
    second = bind_unix(path, 0o640, None)
    assert os.stat(path).st_mode & 0o777 == 0o640
    second.close()


def test_other_files_are_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "mail"
    path.write_text("precious")
    with pytest.raises(OSError, match="is no socket"):
        bind_unix(str(path), 0o600, None)
    assert path.read_text() == "precious"


def test_addresses_of_clients() -> None:
    assert peer_of(("192.0.2.7", 5)) == Peer("192.0.2.7", 5)
    assert peer_of(("::ffff:192.0.2.7", 5, 0, 0)) == Peer("192.0.2.7", 5)
    assert peer_of(("fe80::1%eth0", 5, 0, 2)) == Peer("fe80::1", 5)
    assert peer_of("") == Peer()


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("", ""),
    ],
)
def test_what_counts_as_one_client(address: str, key: str) -> None:
    assert address_key(address) == key


def test_a_session_is_named_by_a_word() -> None:
    """It stands on command lines, where "-" would make it an option."""
    settings = ListenerSettings("plain", "imap", "127.0.0.1:0")
    names = {sessions._fresh(settings, Peer(), Peer()).id for _ in range(300)}
    assert len(names) == 300
    assert all(name.isalnum() for name in names)
