"""Clients that mean harm, or know no better: the process that serves them lives and stays small."""

from __future__ import annotations

import random
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.support import corpus
from tests.support.imap import Address, Imap
from tests.support.instance import Instance, instance
from tests.support.rfc import rfc

GROWTH = 24 << 20  # octets that a process may grow by under one client
FLOOD = 20_000  # commands without reading a reply


def own_memory(pid: int) -> int:
    """Octets of memory that are a process's own and no file's."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"RssAnon:\s*(\d+) kB", status)
    assert found
    return int(found[1]) << 10


def connect(address: Address, timeout: float = 20.0) -> socket.socket:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    made = socket.socket(family)
    made.settimeout(timeout)
    made.connect(address)
    return made


def drained(sock: socket.socket) -> bytes:
    """All that comes until the server closes; what it has to say is not waited for for ever."""
    received = b""
    with suppress(ConnectionError, ssl.SSLError):
        while data := sock.recv(65536):
            received = (received + data)[-65536:]
    return received


@pytest.fixture(scope="module")
def server() -> Iterator[Instance]:
    """Impatient with strangers; PROXY headers are expected on one more listener."""
    with instance({"alice": "secret"}) as made:
        made.settings["server"].update(proxy_timeout=1.0, address_unauthenticated=300)
        made.settings["imap"] = {"unauthenticated_timeout": 1.0}
        made.settings["pop3"] = {"login_timeout": 1.0}
        made.settings["lmtp"] = {"timeout": 1.0}
        made.settings["tls"] = {"handshake_timeout": 1.0}
        row = {"name": "proxied", "protocol": "imap", "address": "127.0.0.1:0"}
        made.listeners["proxied"] = row | {"proxy_from": ["127.0.0.0/8"]}
        made.start()
        yield made


@pytest.fixture(autouse=True)
def unharmed(server: Instance) -> Iterator[None]:
    """Nobody crashed, no bug was met, and the next client is served."""
    yield
    totals = server.control("status")["totals"]
    assert (totals["bugs"], totals["crashes"]) == (0, 0), server.log()
    with server.client("alice") as client:
        client.ok("NOOP")


def worker_of(server: Instance, user: str = "alice") -> int:
    """The process that serves a user's only session."""
    (row,) = [row for row in server.control("who") if row["user"] == user]
    return int(row["pid"])


# --- silence ----------------------------------------------------------------------------------

HALVES = {
    "nothing": b"",
    "half-a-tag": b"a1",
    "half-a-command": b"a1 LOGIN ali",
    "literal-announced": b"a1 LOGIN {5}\r\n",
    "literal-begun": b"a1 LOGIN {5+}\r\nal",
    "sasl": b"a1 AUTHENTICATE PLAIN\r\n",
    "refused-literal": b"a1 LOGIN {99999999+}\r\nabc",
}


@pytest.mark.parametrize("listener", ["imap", "imaps"])
def test_silence_before_login(server: Instance, listener: str) -> None:
    """Whatever was begun, the time to log in ends it."""
    with ExitStack() as stack:
        begun: dict[str, socket.socket] = {}
        for name, half in HALVES.items():
            plain = stack.enter_context(connect(server.addresses[listener]))
            tls = listener == "imaps"
            begun[name] = stack.enter_context(encrypted(plain)) if tls else plain
            begun[name].sendall(half)
        for name, sock in begun.items():
            assert b"* BYE" in drained(sock), name


def encrypted(sock: socket.socket) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(sock)


def test_silence_from_the_first(server: Instance) -> None:
    """A client that says one octet and no more is closed, on every port."""
    with ExitStack() as stack:
        socks = [stack.enter_context(connect(address)) for address in server.addresses.values()]
        for sock in socks:
            sock.sendall(b"P")
        for sock in socks:
            drained(sock)


def test_slow_client_is_no_idle_client(server: Instance) -> None:
    """One octet at a time does not put off the end of the time to log in."""
    with connect(server.imap, 0.05) as sock:
        received = b""
        while b"* BYE" not in received:
            with suppress(ConnectionError):
                sock.sendall(b"a")
            with suppress(TimeoutError):
                data = sock.recv(4096)
                assert data or b"BYE" in received
                received += data


# --- literals ---------------------------------------------------------------------------------


def test_literals_without_end(server: Instance) -> None:
    """A stranger announces one literal after the other in one command: refused at the limit."""
    with Imap(server.imap) as anyone:
        tag = anyone.tag()
        anyone.send(f"{tag} LOGIN ".encode())
        with suppress(ConnectionError):  # the server may have closed
            for _ in range(3000):
                anyone.send(b"{30+}\r\n" + b"x" * 30 + b" ")
            anyone.send(b"\r\n")
        assert anyone.finish(tag).status == "BAD"
        anyone.ok("NOOP")


@pytest.mark.parametrize("size", [70_000, 3_000_000])
@pytest.mark.parametrize(
    "command",
    [
        "LOGIN {%d+}\r\n",
        "NONSENSE {%d+}\r\n",
        "SELECT {%d+}\r\n",
        "STATUS {%d+}\r\n",
        "APPEND nowhere {%d+}\r\n",
        "APPEND INBOX (\\Seen {%d+}\r\n",
        "APPEND INBOX NIL {%d+}\r\n",
        "SEARCH SUBJECT {%d+}\r\n",
        "SEARCH (((( {%d+}\r\n",
    ],
)
def test_refused_literal_is_thrown_away_exactly(server: Instance, command: str, size: int) -> None:
    """Its octets look like commands, and none of them is obeyed."""
    trap = b"x CREATE trapped\r\n"
    data = (trap * (size // len(trap) + 1))[:size]
    with server.client("alice") as client:
        client.ok("SELECT INBOX")
        tag = client.tag()
        client.send(f"{tag} {command % size}".encode() + data + b"\r\n")
        assert client.finish(tag).status in ("NO", "BAD")
        assert [reply.name for reply in client.ok("NOOP").untagged] == []
        assert client.ok('LIST "" trapped').untagged == []


def test_append_of_a_message_too_big_without_waiting(server: Instance) -> None:
    """200 MiB cannot be refused before they come; a client that goes on is heard to the end."""
    with server.client("alice") as client:
        tag = client.tag()
        size = 104_857_601
        client.send(f"{tag} APPEND INBOX {{{size}+}}\r\n".encode())
        block = b"a" * (1 << 20)
        for _ in range(size // len(block)):
            client.send(block)
        client.send(b"a" * (size % len(block)) + b"\r\n")
        answer = client.finish(tag)
        assert (answer.status, answer.code) == ("NO", "TOOBIG")
        client.ok("NOOP")


# --- floods -----------------------------------------------------------------------------------


@rfc("9051", "5.3", 1, 2)
@rfc("3501", "5.3", 1, 2)
@pytest.mark.parametrize(
    "command", [b"NOOP", b"CAPABILITY", b"UID FETCH 1:* (FLAGS ENVELOPE)", b'LIST "" *']
)
def test_commands_without_reading_replies(server: Instance, command: bytes) -> None:
    """The server stops reading when nobody reads; then all answers come, in their order."""
    with server.client("alice", timeout=60) as client:
        if client.ok("STATUS Archive (MESSAGES)").one("STATUS").values[2][1] == "0":
            for number in range(10):
                client.appended("Archive", corpus.simple(number))
        client.ok("SELECT Archive")
        pid = worker_of(server)
        before = own_memory(pid)
        wire = b"".join(b"f%d %b\r\n" % (number, command) for number in range(FLOOD))
        sent = push(client.socket, wire)
        assert own_memory(pid) - before < GROWTH
        complete = wire[:sent].count(b"\r\n")
        finish(
            client, wire[sent:].split(b"\r\n")[0] + b"\r\n" if sent < len(wire) else b"", complete
        )
        assert own_memory(pid) - before < GROWTH


def push(sock: socket.socket, wire: bytes) -> int:
    """Send as much as the server takes while its replies are not read."""
    sock.settimeout(0.5)
    sent = 0
    with suppress(TimeoutError):
        while sent < len(wire):
            sent += sock.send(wire[sent : sent + 65536])
    sock.settimeout(60)
    return sent


def finish(client: Imap, rest: bytes, complete: int) -> None:
    """End the command that was cut, and read the answers to all."""
    last = b"f%d OK" % (complete if rest else complete - 1)
    tail, data = b"", b"."
    while rest or last not in tail:
        if rest:
            client.socket.settimeout(0.2)
            with suppress(TimeoutError):
                rest = rest[client.socket.send(rest) :]
            client.socket.settimeout(60)
        data = client.socket.recv(262144)
        assert data
        tail = (tail + data)[-(len(data) + 64) :]


def test_pop3_replies_not_read(server: Instance) -> None:
    """The same over POP3, with whole messages."""
    with server.client("alice") as client:
        for number in range(5):
            client.appended("INBOX", corpus.simple(number, 100_000))
    with connect(server.pop3) as sock:
        sock.sendall(b"USER alice\r\nPASS secret\r\n")
        while b"Logged in" not in sock.recv(4096):
            pass
        pid = worker_of(server)
        before = own_memory(pid)
        push(sock, b"".join(b"RETR %d\r\n" % (1 + number % 5) for number in range(2000)))
        assert own_memory(pid) - before < GROWTH


def test_line_without_end(server: Instance) -> None:
    """Megabytes without a line end on every protocol."""
    for name in ("pop3", "lmtp"):
        with connect(server.addresses[name]) as sock:
            with suppress(ConnectionError):
                for _ in range(100):
                    sock.sendall(b"a" * 65536)
            drained(sock)
    with server.client("alice") as client:
        pid = worker_of(server)
        before = own_memory(pid)
        tag = client.tag()
        client.send(f"{tag} SEARCH ".encode())
        for _ in range(100):
            client.send(b"(" * 65536)
        client.send(b"\r\n")
        assert client.finish(tag).status == "BAD"
        assert own_memory(pid) - before < GROWTH


# --- garbage ----------------------------------------------------------------------------------

WORDS = (
    *(b"LOGIN", b"SELECT", b"FETCH", b"SEARCH", b"STORE", b"APPEND", b"UID", b"LIST", b"STATUS"),
    *(b"INBOX", b"BODY[", b"]", b"<0.1>", b"(", b")", b'"', b"\\", b"{3}\r\n", b"{3+}\r\n", b"*"),
    *(b"1:*", b"0", b"4294967296", b"NIL", b"~{1}\r\n", b"%", b"\r", b"\n", b"\r\n", b" ", b"\0"),
    *(b"AUTHENTICATE PLAIN", b"=", b"USER", b"PASS", b"RETR", b"TOP", b"LHLO x", b"MAIL FROM:<>"),
    *(b"RCPT TO:<alice>", b"DATA", b"BDAT 5 LAST", b".", b"RSET", b"STLS", b"STARTTLS", b"\xff"),
    *(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", b"CHARSET"),
)


def garbage(drawn: random.Random) -> bytes:
    """Two kilobytes: of octets, or of words that lead further in."""
    if drawn.random() < 0.3:
        return drawn.randbytes(2048)
    words = [drawn.choice(WORDS) + drawn.choice((b"", b" ", b"\r\n")) for _ in range(250)]
    return b"".join(words)[:2048]


def logged_in(server: Instance, data: bytes) -> bytes:
    return b"a LOGIN alice secret\r\nb SELECT INBOX\r\n" + data


def as_pop3_user(server: Instance, data: bytes) -> bytes:
    return b"USER alice\r\nPASS secret\r\n" + data


def in_transaction(server: Instance, data: bytes) -> bytes:
    return b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice>\r\n" + data


def proxied(server: Instance, data: bytes) -> bytes:
    return b"PROXY " + data


def as_it_is(server: Instance, data: bytes) -> bytes:
    return data


WAYS: tuple[tuple[str, Callable[[Instance, bytes], bytes]], ...] = (
    ("imap", as_it_is),
    ("imap", logged_in),
    ("imaps", as_it_is),
    ("pop3", as_it_is),
    ("pop3", as_pop3_user),
    ("pop3s", as_it_is),
    ("lmtp", as_it_is),
    ("lmtp-unix", in_transaction),
    ("proxied", as_it_is),
    ("proxied", proxied),
)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("listener", "way"), WAYS, ids=lambda value: getattr(value, "__name__", value)
)
def test_garbage(
    server: Instance, listener: str, way: Callable[[Instance, bytes], bytes], seed: int
) -> None:
    """Any octets on any port."""
    drawn = random.Random(f"{listener} {way.__name__} {seed}")
    for _ in range(5):
        with connect(server.addresses[listener]) as plain, ExitStack() as stack:
            sock = plain
            if listener in ("imaps", "pop3s") and drawn.random() < 0.5:
                sock = stack.enter_context(encrypted(plain))
            with suppress(OSError):  # the server has had enough
                sock.sendall(way(server, garbage(drawn)))
                plain.shutdown(socket.SHUT_WR)
            drained(sock)


def test_clients_that_vanish(server: Instance) -> None:
    """Reset in the middle of anything."""
    drawn = random.Random(5)
    for number in range(60):
        with connect(server.imap) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            with suppress(ConnectionError):
                sock.sendall(logged_in(server, garbage(drawn))[: number * 10])
