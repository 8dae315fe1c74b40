"""TLS as a hop: handshakes, SNI, STARTTLS by handing over, renewal, what workers are told."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
from contextlib import suppress
from dataclasses import replace

import psutil
import pytest

from pymaild.net.settings import CertificateSettings
from pymaild.server.settings import ListenerSettings
from tests.support.rfc import rfc

from .conftest import Line, Running, Tls, eventually, needs_a_look_into_others


def test_implicit_tls(server: Running, tls: Tls) -> None:
    """A worker is told the client's address, version, cipher and host name."""
    server.start()
    line = server.connect_tls(tls.context())
    facts = line.facts()
    assert facts["peer"]["address"] == "127.0.0.1"
    assert facts["peer"]["port"] == line.sock.getsockname()[1]
    assert facts["listener"] == "tls"
    assert facts["tls"]["version"] == "TLSv1.3"
    assert facts["tls"]["cipher"] == line.sock.cipher()[0]
    assert facts["tls"]["server_name"] == "localhost"
    assert facts["tls"]["client_subject"] == ""
    assert line.ask("QUIT") == "goodbye"
    assert line.read() == ""  # a proper end: ssl would raise without close_notify


def test_exporter_only_with_tls13(server: Running, tls: Tls) -> None:
    """RFC 9266 §2: the binding is 32 octets of the exporter; not before TLS 1.3."""
    server.start()
    modern = server.connect_tls(tls.context())
    assert len(eval(modern.facts()["tls"]["exporter"])) == 32
    context = tls.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    old = server.connect_tls(context)
    assert old.facts()["tls"]["version"] == "TLSv1.2"
    assert eval(old.facts()["tls"]["exporter"]) == b""


@rfc("2595", "9", 2)
@rfc("2595", "2.5", 1)
def test_minimum_version(server: Running, tls: Tls) -> None:
    server.change("tls", minimum_version="TLSv1.3")
    server.start()
    context = tls.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        server.connect_tls(context)
    server.logged("handshake failed")


def test_certificate_by_name(server: Running, tls: Tls) -> None:
    """RFC 6066 §3: exact name, wildcard of one label, else the default."""
    pairs = (tls.make("localhost"), tls.make("mail.example.org"), tls.make("*.example.net"))
    server.change("tls", certificates=pairs)
    server.start()
    for name, wanted in (
        ("mail.example.org", "mail.example.org"),
        ("MAIL.example.org", "mail.example.org"),
        ("imap.example.net", "*.example.net"),
    ):
        server.connect_tls(tls.context(wanted), name)
    for name in ("unknown.example.com", "a.b.example.net"):
        context = tls.context()
        context.check_hostname = False
        server.connect_tls(context, name)


def test_starttls(server: Running, tls: Tls) -> None:
    """The session goes to the tls role and comes back; what it remembered comes with it."""
    server.start()
    line = server.connect()
    assert line.ask("REMEMBER this") == "remembered"
    before = line.facts()
    assert before["tls"] is None
    assert line.ask("STARTTLS") == "go ahead"
    line = line.upgrade(tls.context())
    server.lines.append(line)
    facts = line.facts()
    assert facts["tls"]["version"] == "TLSv1.3"
    assert facts["remembered"] == "this"
    assert facts["greeted"] is True
    for name in ("id", "peer", "local", "listener", "started"):
        assert facts[name] == before[name]


def test_starttls_without_tls_role_closes(server: Running) -> None:
    """Nobody takes the session: the connection is closed, the worker goes on."""
    server.start()
    line = server.connect()
    assert line.ask("STARTTLS") == "go ahead"
    assert line.read() == ""
    server.logged("could not be handed over: [Errno 111] there is no tls process")
    assert server.status()["totals"]["crashes"] == 0


@rfc("9051", "11.1", 7)
@rfc("3501", "11.1", 7)
@rfc("2595", "2.5", 1)
def test_garbage_instead_of_a_handshake(server: Running, tls: Tls) -> None:
    server.start()
    with server.raw("tls") as sock, suppress(ConnectionError):
        sock.sendall(b"a1 LOGIN alice secret\r\n" * 100)
        while sock.recv(4096):
            pass
    assert "secret" not in server.logged("handshake failed")
    assert server.connect_tls(tls.context()).ask("ECHO x") == "x"


def test_silent_handshake_is_ended(server: Running, tls: Tls) -> None:
    server.change("tls", handshake_timeout=1.0)
    server.start()
    with server.raw("tls") as sock:
        assert sock.recv(1) == b""
    server.logged("handshake took too long")


def test_much_both_ways(server: Running, tls: Tls) -> None:
    """More than any buffer in the way, with a client that does not read for a while."""
    server.start()
    line = server.connect_tls(tls.context())
    size = 8 * 1024 * 1024
    line.sock.sendall(f"MUCH {size}\r\n".encode())
    line.sock.sendall(b"ECHO behind\r\n")
    received = sum(len(line.file.readline()) for _ in range(size // 1024))
    assert received == size
    assert line.read() == "that was much"
    assert line.read() == "behind"
    assert line.ask(f"SWALLOW {size}") == "go"
    line.sock.sendall(b"y" * size)
    assert line.read() == "swallowed"


def test_half_close(server: Running, tls: Tls) -> None:
    """A client that has said its last still gets its replies."""
    server.start()
    plain = server.raw("tls")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls.context().wrap_bio(incoming, outgoing, server_hostname="localhost")

    def exchange(action: object) -> bytes:
        while True:
            try:
                result = action()  # type: ignore[operator]
                plain.sendall(outgoing.read())
                return result or b""
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                data = plain.recv(65536)
                if data:
                    incoming.write(data)
                else:
                    incoming.write_eof()

    exchange(client.do_handshake)
    client.write(b"ECHO first\r\nECHO last\r\n")
    with pytest.raises(ssl.SSLWantReadError):
        client.unwrap()  # queues close_notify
    plain.sendall(outgoing.read())
    plain.shutdown(socket.SHUT_WR)
    got = b""
    while True:
        data = plain.recv(65536)
        if not data:
            break
        incoming.write(data)
    plain.close()
    while True:
        try:
            piece = client.read(65536)
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            break
        if not piece:
            break
        got += piece
    assert got == b"hello\r\nfirst\r\nlast\r\n"


def test_renewed_certificate(server: Running, tls: Tls) -> None:
    """New files are used by themselves, open connections stay; bad files change nothing."""
    server.start()
    old_context = tls.context()
    before = server.connect_tls(old_context)
    cert = server.config.tls.certificates[0]
    good = server.base / "good.pem"
    shutil.copy(cert.cert, good)

    tls.make("other")
    shutil.copy(tls.folder / "other.pem", cert.cert)  # a certificate without its key
    server.logged("new certificates are not used")
    server.connect_tls(old_context)

    shutil.copy(tls.folder / "other.key", cert.key)  # and now the key
    new_context = tls.context("other")

    def renewed() -> bool:
        try:
            with new_context.wrap_socket(server.raw("tls"), server_hostname="other"):
                return True
        except ssl.SSLError:
            return False

    eventually(renewed)
    assert before.ask("ECHO still here") == "still here"


def test_bad_certificate_at_the_start(server: Running, tls: Tls) -> None:
    pair = tls.make("localhost")
    other = tls.make("other")
    server.change("tls", certificates=(replace(pair, key=other.key),))
    server.launch()
    assert server.ended() == 71
    errors = (server.base / "stderr").read_text().splitlines()
    assert len(errors) == 1
    assert "tls: tls.certificate" in errors[0]
    assert "key" in errors[0]


def test_missing_certificate_at_the_start(server: Running, tls: Tls) -> None:
    server.change("tls", certificates=(CertificateSettings("/nonexistent.pem"),))  # type: ignore[arg-type]
    server.launch()
    assert server.ended() == 71
    assert "/nonexistent.pem: No such file" in (server.base / "stderr").read_text()


def test_client_certificate(server: Running, tls: Tls) -> None:
    """A client certificate of a believed authority is told to the worker; others fail."""
    client = tls.make("client.example.org")
    stranger = tls.make("stranger")
    server.change("tls", client_ca=client.cert)
    server.start()
    context = tls.context()
    context.load_cert_chain(client.cert, client.key)
    assert server.connect_tls(context).facts()["tls"]["client_subject"] == "client.example.org"
    assert server.connect_tls(tls.context()).facts()["tls"]["client_subject"] == ""
    context = tls.context()
    context.load_cert_chain(stranger.cert, stranger.key)
    with pytest.raises((ssl.SSLError, ConnectionResetError, AssertionError)):
        server.connect_tls(context)


def refuses(server: Running, context: ssl.SSLContext, *names: str) -> bool:
    """Whether these listeners end a connection in its handshake (or just behind it)."""
    for name in names:
        try:
            sock = context.wrap_socket(server.raw(name), server_hostname="localhost")
        except (ssl.SSLError, ConnectionResetError):
            continue
        with sock, suppress(ssl.SSLError, ConnectionResetError):
            if sock.recv(1):
                return False
    return True


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_certificates_by_listener(
    server: Running, tls: Tls, version: ssl.TLSVersion
) -> None:
    """Each listener asks in its own way, and no resumed session of TLS gets around that."""
    client = tls.make("alice")
    server.change("tls", client_ca=client.cert)
    kinds = ("never", "optional", "required")
    listeners = [
        ListenerSettings(kind, "imap", "127.0.0.1:0", tls=True, client_certificate=kind)  # type: ignore[arg-type]
        for kind in kinds
    ]
    server.config = replace(server.config, listeners=tuple(listeners))
    server.start()
    with_one, without = tls.context(), tls.context()
    with_one.load_cert_chain(client.cert, client.key)
    with_one.maximum_version = without.maximum_version = version
    names = {}
    sessions = {}
    for kind in kinds:
        sock = with_one.wrap_socket(server.raw(kind), server_hostname="localhost")
        with Line(sock) as line:
            assert line.read() == "hello"
            names[kind] = line.facts()["tls"]["client_name"]
            sessions[kind] = sock.session
    assert names == {"never": "", "optional": "alice", "required": "alice"}
    assert refuses(server, without, "required")
    assert not refuses(server, without, "never", "optional")
    sock = with_one.wrap_socket(
        server.raw("required"), server_hostname="localhost", session=sessions["never"]
    )
    with Line(sock) as line:
        assert line.read() == "hello"
        assert not sock.session_reused
        assert line.facts()["tls"]["client_name"] == "alice"


@pytest.mark.parametrize("kind", ["never", "required"])
def test_client_certificates_by_starttls(server: Running, tls: Tls, kind: str) -> None:
    """The listener that the session came to says whether it is asked for one."""
    client = tls.make("alice")
    server.change("tls", client_ca=client.cert)
    listener = ListenerSettings("plain", "imap", "127.0.0.1:0", client_certificate=kind)  # type: ignore[arg-type]
    server.config = replace(server.config, listeners=(listener,))
    server.start()
    context = tls.context()
    context.load_cert_chain(client.cert, client.key)
    line = server.connect()
    assert line.ask("STARTTLS") == "go ahead"
    line = line.upgrade(context)
    server.lines.append(line)
    assert line.facts()["tls"]["client_name"] == ("alice" if kind == "required" else "")


def test_certificates_cannot_be_required_without_an_authority(server: Running, tls: Tls) -> None:
    listener = ListenerSettings("plain", "imap", "127.0.0.1:0", client_certificate="required")
    server.config = replace(server.config, listeners=(listener,))
    server.launch()
    assert server.ended() == 78
    errors = (server.base / "stderr").read_text()
    assert "listener plain: client_certificate: needs tls.client_ca" in errors


@needs_a_look_into_others
@pytest.mark.skipif(os.getuid() != 0, reason="only root can confine a process")
def test_tls_process_is_confined(server: Running, tls: Tls) -> None:
    """Another root directory, no root user, and no key file open."""
    server.start()
    server.connect_tls(tls.context())
    (pid,) = server.pids("tls")
    assert os.readlink(f"/proc/{pid}/root") == server.config.server.tls_directory
    assert psutil.Process(pid).uids().real != 0
    opened = [file.path for file in psutil.Process(pid).open_files()]
    assert not any(path.endswith((".key", ".pem")) for path in opened), opened


def test_crashed_tls_process_is_replaced(server: Running, tls: Tls) -> None:
    server.start()
    line = server.connect_tls(tls.context())
    (pid,) = server.pids("tls")
    os.kill(pid, signal.SIGKILL)
    with pytest.raises((AssertionError, OSError)):
        assert line.ask("ECHO x") == "x"
    server.logged("tls process")

    def again() -> bool:
        found = [row for row in server.status()["roles"] if row["role"] == "tls"]
        return bool(found) and found[0]["pid"] != pid and found[0]["state"] == "serving"

    eventually(again)
    assert server.connect_tls(tls.context()).ask("ECHO x") == "x"


def test_too_many_handshakes_of_one_address(server: Running, tls: Tls) -> None:
    server.change("server", address_unauthenticated=3)
    server.start()
    socks = [server.raw("tls") for _ in range(4)]
    assert socks[3].recv(1) == b""
    for sock in socks:
        sock.close()
    server.logged("too many connections of this address")
    eventually(lambda: server.connect_tls(tls.context()))


def test_proxy_header_before_tls(server: Running, tls: Tls) -> None:
    """A proxy that passes TLS through says whose connection it is, before the handshake."""
    listener = ListenerSettings("tls", "imap", "127.0.0.1:0", tls=True, proxy_from=("127.0.0.0/8",))
    server.config = replace(server.config, listeners=(server.config.listeners[0], listener))
    server.start()
    sock = server.raw("tls")
    for octet in b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 993\r\n":
        sock.sendall(bytes([octet]))
    line = Line(tls.context().wrap_socket(sock, server_hostname="localhost"))
    server.lines.append(line)
    assert line.read() == "hello"
    facts = line.facts()
    assert facts["peer"] == {"address": "192.0.2.7", "port": 4711}
    assert facts["tls"]["version"] == "TLSv1.3"


def test_drain_waits_for_tls_connections(server: Running, tls: Tls) -> None:
    """TERM: the last words of a session reach a TLS client."""
    server.start()
    line = server.connect_tls(tls.context())
    assert line.ask("SWALLOW 3") == "go"
    server.signal(signal.SIGTERM)
    eventually(lambda: server.status()["state"] == "draining")
    line.sock.sendall(b"abc")
    assert line.read() == "swallowed"
    assert line.read() == "bye Server is shutting down"
    assert line.read() == ""
    assert server.ended() == 0
