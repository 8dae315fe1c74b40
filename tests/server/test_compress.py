"""COMPRESS=DEFLATE (RFC 4978): the deflate role between real clients and their sessions."""

from __future__ import annotations

import os
import signal
import zlib
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from tests.support import certs
from tests.support.deflated import DeflatedSocket, compress
from tests.support.imap import Closed, Imap
from tests.support.instance import Instance, instance
from tests.support.rfc import rfc

from .conftest import eventually

USERS = {"alice": "secret", "bob": "hidden"}
LONG = b"Subject: long\r\n\r\n" + b"The same line over and over again.\r\n" * 30_000


@pytest.fixture(scope="module")
def mail() -> Iterator[Instance]:
    with instance(dict(USERS)) as made:
        made.settings["server"] |= {"deflate_processes": 1}
        made.start()
        yield made


def capabilities(imap: Imap) -> set[str]:
    return {str(word) for word in imap.ok("CAPABILITY").one("CAPABILITY").values}


def connect(mail: Instance, kind: str) -> Imap:
    """A connection that is not compressed yet, the other way of protection around it or not."""
    context = certs.context(mail.certificate)
    imap = Imap(
        mail.addresses["imaps" if kind == "tls" else "imap"], tls=context if kind == "tls" else None
    )
    if kind == "starttls":
        imap.starttls(context)
    return imap.login("alice", "secret")


@rfc("4978", "3", 5, 7, 8)
@pytest.mark.parametrize("kind", ["plain", "tls", "starttls"])
def test_mail_goes_both_ways(mail: Instance, kind: str) -> None:
    with connect(mail, kind) as imap:
        wire = compress(imap)
        imap.ok("SELECT INBOX")
        uid = imap.appended("INBOX", LONG)
        before = wire.octets
        answer = imap.ok(f"UID FETCH {uid} (BODY.PEEK[])")
        assert LONG in answer.untagged[0].raw
        assert wire.octets - before < len(LONG) // 50
        imap.ok("LOGOUT")
        assert imap.ended()


@rfc("4978", "3", 4, 6)
@rfc("4978", "5", 1)
def test_offered_until_it_is_active(mail: Instance) -> None:
    with Imap(mail.imap) as imap:
        assert "COMPRESS=DEFLATE" not in capabilities(imap)
        imap.bad("COMPRESS DEFLATE")
        imap.login("alice", "secret")
        assert {"COMPRESS=DEFLATE", "UNAUTHENTICATE"} <= capabilities(imap)
        imap.bad("COMPRESS GZIP")
        imap.bad("COMPRESS")
        imap.ok("NOOP")
        compress(imap)
        assert not {"COMPRESS=DEFLATE", "UNAUTHENTICATE"} & capabilities(imap)
        answer = imap.bad("COMPRESS deflate")
        assert answer.code == "COMPRESSIONACTIVE"
        imap.bad("UNAUTHENTICATE")
        imap.ok("NOOP")


def test_not_offered_without_the_role() -> None:
    with instance(dict(USERS)) as made:
        made.settings["server"] |= {"deflate_processes": 0}
        made.start()
        assert made.workers("deflate") == []
        with made.client("alice") as imap:
            assert "COMPRESS=DEFLATE" not in capabilities(imap)
            imap.bad("COMPRESS DEFLATE")
            imap.ok("NOOP")


@pytest.mark.parametrize("flush", [zlib.Z_SYNC_FLUSH, zlib.Z_PARTIAL_FLUSH, zlib.Z_FULL_FLUSH])
def test_octet_by_octet(mail: Instance, flush: int) -> None:
    with mail.client("alice") as imap:
        wire = compress(imap, flush=flush)
        packed = wire.packed(b"a STATUS INBOX (MESSAGES)\r\nb NOOP\r\n")
        for start in range(len(packed)):
            wire.sock.sendall(packed[start : start + 1])
        assert imap.finish("a").status == "OK"
        assert imap.finish("b").status == "OK"


@pytest.mark.parametrize("cut", [0, 5, 1000])
def test_what_is_pipelined_behind_the_command_is_compressed(mail: Instance, cut: int) -> None:
    """RFC 4978 §3 tells clients to wait; those that do not are understood all the same."""
    with mail.client("alice") as imap:
        wire = DeflatedSocket(imap.socket)
        packed = wire.packed(b"b SELECT INBOX\r\nc NOOP\r\n")
        imap.send(b"a COMPRESS DEFLATE\r\n" + packed[:cut])
        assert imap.finish("a").status == "OK"
        imap.send(packed[cut:])
        wire._before, imap.buffer = imap.buffer, b""
        imap.socket = wire  # type: ignore[assignment]
        assert imap.finish("b").status == "OK"
        assert imap.finish("c").status == "OK"


def test_the_session_stays_what_it_was(mail: Instance) -> None:
    """Selected mailbox, \\Recent, what was enabled: nothing moved but the descriptor."""
    with mail.client("bob") as imap:
        imap.appended("INBOX", LONG)
        imap.ok("ENABLE CONDSTORE")
        imap.ok("SELECT INBOX")
        before = imap.ok("FETCH 1 (UID FLAGS MODSEQ)").untagged[0].raw
        compress(imap)
        assert imap.ok("FETCH 1 (UID FLAGS MODSEQ)").untagged[0].raw == before


def test_idle(mail: Instance) -> None:
    with mail.client("alice") as imap, mail.client("alice") as other:
        imap.ok("SELECT INBOX")
        compress(imap)
        tag = imap.idle()
        other.appended("INBOX", b"Subject: news\r\n\r\n")
        assert imap.read().name == "EXISTS"
        imap.send(b"DONE\r\nx NOOP\r\n")
        assert imap.finish(tag).status == "OK"
        assert imap.finish("x").status == "OK"


def memory(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


def test_bombs(mail: Instance) -> None:
    """What inflates to a thousandfold takes time of its own session, and no memory."""
    (pid,) = mail.workers("deflate")
    with mail.client("alice") as imap, mail.client("alice") as other:
        wire = compress(imap)
        compress(other)
        before = memory(pid)
        packed = wire.packed(bytes(64 * 1024 * 1024))
        assert len(packed) < 70_000
        wire.sock.sendall(packed + wire.packed(b"\r\nx NOOP\r\n"))
        other.ok("NOOP")
        assert imap.read().name == "BAD"
        assert imap.finish("x").status == "OK"
        assert memory(pid) - before < 8 * 1024 * 1024


def test_a_client_that_does_not_read(mail: Instance) -> None:
    """Its session waits; the deflate process keeps one piece, and serves the others."""
    (pid,) = mail.workers("deflate")
    with mail.client("alice") as imap, mail.client("alice") as other:
        uid = imap.appended("INBOX", b"X: y\r\n\r\n" + os.urandom(1 << 20).hex().encode())
        imap.ok("SELECT INBOX")
        compress(imap)
        compress(other)
        before = memory(pid)
        for _ in range(30):
            imap.send(f"a UID FETCH {uid} (BODY.PEEK[])\r\n".encode())
        for _ in range(3):
            other.ok("NOOP")
        assert memory(pid) - before < 8 * 1024 * 1024
        for _ in range(30):
            assert imap.finish("a").status == "OK"


@pytest.mark.parametrize("data", [b"a NOOP\r\n" * 20, b"\xff" * 50])
def test_what_is_not_compressed_ends_its_connection_alone(mail: Instance, data: bytes) -> None:
    with mail.client("alice") as imap, mail.client("alice") as other:
        wire = compress(imap)
        compress(other)
        wire.sock.sendall(data)
        with suppress(Closed):
            assert imap.ended()
        other.ok("NOOP")
    assert mail.bugs() == 0


def test_a_client_that_vanishes(mail: Instance) -> None:
    busy = mail.control("status")["workers"]["busy"]
    imap = mail.client("alice")
    compress(imap)
    imap.ok("NOOP")
    imap.close()
    eventually(lambda: mail.control("status")["workers"]["busy"] == busy, "the session's end")


def test_a_process_that_dies_is_replaced() -> None:
    with instance(dict(USERS)) as made:
        made.start()
        with made.client("alice") as imap:
            wire = compress(imap)
            imap.ok("NOOP")  # before that, another process may take the client over
            (pid,) = made.workers("deflate")
            os.kill(pid, signal.SIGKILL)
            assert wire.recv(100) == b""
            eventually(lambda: made.workers("deflate") not in ([], [pid]), "another process")
        with made.client("alice") as imap:
            compress(imap)
            imap.ok("NOOP")


def test_a_new_configuration_leaves_connections_alone() -> None:
    """The old process stays for those it has; new ones go to the new one."""
    with instance(dict(USERS)) as made:
        made.start()
        with made.client("alice") as imap, made.client("alice") as later:
            compress(imap)
            (before,) = made.workers("deflate")
            made.settings["server"] |= {"deflate_level": 9}
            made.configure()
            made.control("reload")
            eventually(lambda: len(made.workers("deflate")) == 2, "the new process")
            compress(later)
            imap.ok("NOOP")
            later.ok("NOOP")
            imap.ok("LOGOUT")
            eventually(lambda: before not in made.workers("deflate"), "the old one's end")
            later.ok("NOOP")


def test_a_server_that_leaves_says_so_compressed() -> None:
    with instance(dict(USERS)) as made:
        made.start()
        with made.client("alice") as imap:
            compress(imap)
            made.stop()
            assert imap.read().name == "BYE"
            assert imap.ended()
