"""Who a client is said to be, and how many connections it may have."""

from __future__ import annotations

import os
import pwd
import socket
from contextlib import suppress
from dataclasses import replace

import pytest

from pymaild.auth import ticket
from pymaild.core.session import Peer, TlsFacts, User
from pymaild.net import proxy
from pymaild.net.proxy import Tlv
from pymaild.server.settings import ListenerSettings

from .conftest import Line, Running, eventually
from .echo import EchoRecord


def trusting(server: Running, *networks: str) -> None:
    listener = ListenerSettings("plain", "imap", "127.0.0.1:0", proxy_from=networks)
    server.config = replace(server.config, listeners=(listener,))


def introduced(server: Running, header: bytes) -> Line:
    sock = server.raw()
    sock.sendall(header + b"ECHO pipelined\r\n")
    line = Line(sock)
    server.lines.append(line)
    assert line.read() == "hello"
    assert line.read() == "pipelined"
    return line


PEER, LOCAL = Peer("2001:db8::7", 4711), Peer("2001:db8::1", 143)


def test_version_1(server: Running) -> None:
    trusting(server, "127.0.0.0/8")
    server.start()
    line = introduced(server, b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 143\r\n")
    assert line.facts()["peer"] == {"address": "2001:db8::7", "port": 4711}
    assert line.facts()["local"] == {"address": "2001:db8::1", "port": 143}
    assert server.control("who")[0]["peer"] == "2001:db8::7"


def test_version_2_with_tls_of_a_terminator(server: Running) -> None:
    trusting(server, "127.0.0.1")
    server.start()
    tls = TlsFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256", "mail.example.org", "client")
    line = introduced(server, proxy.encode(PEER, LOCAL, tls, {}))
    assert line.facts()["peer"]["address"] == "2001:db8::7"
    assert line.facts()["tls"]["server_name"] == "mail.example.org"
    assert line.facts()["tls"]["client_subject"] == "client"


def test_own_values_are_not_believed_in_public(server: Running) -> None:
    """A public proxy can neither bring a session record nor a channel binding."""
    trusting(server, "127.0.0.1")
    server.start()
    forged = EchoRecord(protocol="imap", id="forged", state="x", user=User("root"), greeted=True)
    values = {Tlv.RECORD: forged.encode(), Tlv.LISTENER: b"elsewhere"}
    tls = TlsFacts("TLSv1.3", "x", exporter=b"e" * 32)
    line = introduced(server, proxy.encode(PEER, LOCAL, tls, values))
    facts = line.facts()
    assert facts["id"] != "forged"
    assert facts["user"] is None
    assert facts["listener"] == "plain"
    assert facts["tls"]["exporter"] == "b''"


def test_logged_in_record_is_refused_even_on_the_private_socket(server: Running) -> None:
    """The tls role cannot log anybody in."""
    server.start()
    forged = EchoRecord(protocol="imap", id="forged", user=User("alice"), greeted=True)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(server.config.server.private_socket)
        sock.sendall(proxy.encode(PEER, LOCAL, None, {Tlv.RECORD: forged.encode()}))
        assert sock.recv(100) == b""
    server.logged("a session cannot log in on its way to TLS and back")


def test_only_trusted_networks_are_believed(server: Running) -> None:
    """From elsewhere a header is just a strange command."""
    trusting(server, "192.0.2.0/24")
    server.start()
    line = server.connect()
    assert line.facts()["peer"]["address"] == "127.0.0.1"


@pytest.mark.parametrize(
    "data", [b"ECHO x\r\n", b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0", b"PROXY \r\n"]
)
def test_header_must_come_from_a_trusted_proxy(server: Running, data: bytes) -> None:
    trusting(server, "127.0.0.1")
    server.start()
    with server.raw() as sock:
        sock.sendall(data)
        with suppress(ConnectionResetError):
            assert sock.recv(100) == b""
    server.logged("connection refused: plain")


def test_header_must_come_in_time(server: Running) -> None:
    trusting(server, "127.0.0.1")
    server.change("server", proxy_timeout=0.2)
    server.start()
    with server.raw() as sock:
        sock.sendall(b"PROXY TCP4")
        assert sock.recv(100) == b""
    assert server.status()["totals"]["crashes"] == 0


def test_unauthenticated_connections_of_an_address(server: Running) -> None:
    """The limit counts clients that have not logged in, and frees places of those that have."""
    server.change("server", address_unauthenticated=3)
    server.start()
    lines = [server.connect() for _ in range(3)]
    refused = Line(server.raw())
    assert refused.read() == "no Too many connections"
    assert refused.read() == ""
    refused.close()
    assert lines[0].ask("LOGIN alice") == "welcome"
    server.connect()


def test_an_ipv6_network_counts_as_one(server: Running) -> None:
    trusting(server, "127.0.0.1")
    server.change("server", address_unauthenticated=1)
    server.start()
    introduced(server, proxy.encode(Peer("2001:db8::7", 1), LOCAL, None, {}))
    sock = server.raw()
    sock.sendall(proxy.encode(Peer("2001:db8::ffff", 1), LOCAL, None, {}))
    assert Line(sock).read() == "no Too many connections"
    sock.close()
    introduced(server, proxy.encode(Peer("2001:db8:0:1::7", 1), LOCAL, None, {}))


def test_connections_of_a_user(server: Running) -> None:
    server.change("server", user_connections=2)
    server.start()
    lines = [server.connect() for _ in range(3)]
    answers = [line.ask("LOGIN alice") for line in lines]
    assert answers == ["welcome", "welcome", "too many"]
    lines[0].close()
    eventually(lambda: lines[2].ask("LOGIN alice") == "welcome")


def test_unix_socket(server: Running) -> None:
    """A Unix socket has its mode, no address, and no limit by address."""
    path = server.base / "run" / "imap"
    listener = ListenerSettings("unix", "imap", f"unix:{path}", mode="0600")
    server.config = replace(server.config, listeners=(listener,))
    server.change("server", address_unauthenticated=1)
    server.start()
    assert path.stat().st_mode & 0o777 == 0o600
    first = server.connect("unix")
    server.connect("unix")
    assert first.facts()["peer"] == {"address": "", "port": 0}


# -- system users ------------------------------------------------------------------------------

KEY = b"k" * 32
NOBODY = pwd.getpwnam("nobody")


def become(server: Running, uid: int, key: bytes = KEY, name: str = "sys") -> Line:
    """A session that has logged in as a system user."""
    user = User(name, uid, uid, "/", "/", True)
    line = server.connect()
    assert line.ask(f"BECOME {uid} {ticket.issue(key, user)}") == "becoming"
    return line


@pytest.fixture
def known_key(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tickets can be issued by the test; the master's key is the test's."""
    monkeypatch.setattr(ticket, "make_key", lambda: KEY)


@pytest.mark.usefixtures("known_key")
def test_session_of_a_system_user(server: Running) -> None:
    """The session goes on in another process, which is that user for good."""
    server.start()
    uid = NOBODY.pw_uid if os.getuid() == 0 else os.getuid()
    if os.getuid() and os.getgid() != uid:
        pytest.skip("uid and gid differ")
    line = become(server, uid)
    pid, now = map(int, line.ask("PID").split())
    assert pid in server.pids("user")
    assert now == uid
    (row,) = server.control("who")
    assert row["user"] == "sys"
    assert row["pid"] == pid
    assert line.ask("QUIT") == "goodbye"
    eventually(lambda: server.pids("user") == [])
    assert server.status()["totals"]["crashes"] == 0


@pytest.mark.usefixtures("known_key")
def test_no_session_runs_as_root(server: Running) -> None:
    server.start()
    assert become(server, 0).read() == ""
    server.logged("it is not that of a system user")


@pytest.mark.usefixtures("known_key")
def test_forged_ticket(server: Running) -> None:
    server.start()
    assert become(server, 12345, key=b"other" * 8).read() == ""
    server.logged("no valid ticket")


@pytest.mark.usefixtures("known_key")
def test_ticket_of_another_user(server: Running) -> None:
    server.start()
    assert become(server, 12345, name="other").read() == ""
    server.logged("no valid ticket for user 'sys'")
