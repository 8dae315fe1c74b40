"""Clients over TLS: from the first octet, and by STARTTLS and STLS."""

from __future__ import annotations

import imaplib
import poplib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import certs, corpus, maildir
from tests.support.imap import Imap
from tests.support.instance import Instance, instance
from tests.support.place import run, write
from tests.support.rfc import rfc

from .conftest import MESSAGES, messages, needs


@pytest.fixture(autouse=True)
def only_ours(request: pytest.FixtureRequest) -> None:
    """The other server is set up without certificates."""
    if request.config.getoption("--server") != "pymaild":
        pytest.skip("no TLS here")


@pytest.fixture
def trust(server: Instance) -> ssl.SSLContext:
    """A context that trusts the server's certificate."""
    return certs.context(server.certificate)


def port(server: Instance, name: str) -> int:
    """The port of a listener."""
    address = server.addresses[name]
    assert isinstance(address, tuple)
    return address[1]


@rfc("9051", "6.1.1", 3)
@rfc("9051", "11.2", 2, 3, 4)
def test_imaplib(server: Instance, trust: ssl.SSLContext) -> None:
    """IMAPS and STARTTLS, by name, with the certificate verified."""
    with imaplib.IMAP4_SSL("localhost", port(server, "imaps"), ssl_context=trust) as imap:
        assert imap.login("alice", "secret")[0] == "OK"
        assert imap.select("INBOX") == ("OK", [str(MESSAGES).encode()])
    with imaplib.IMAP4("localhost", port(server, "imap")) as imap:
        assert imap.starttls(trust)[0] == "OK"
        assert "STARTTLS" not in imap.capabilities
        assert imap.login("alice", "secret")[0] == "OK"
        parts = imap.select("INBOX") and imap.fetch("1", "(RFC822)")[1]
        assert isinstance(parts[0], tuple)
        assert parts[0][1] == corpus.crlf(messages()[0])


def test_poplib(server: Instance, trust: ssl.SSLContext) -> None:
    """POP3S and STLS."""
    over = poplib.POP3_SSL("localhost", port(server, "pop3s"), context=trust)
    over.user("alice")
    over.pass_("secret")
    assert over.stat()[0] == MESSAGES
    over.quit()
    within = poplib.POP3("localhost", port(server, "pop3"))
    within.stls(trust)
    within.user("alice")
    within.pass_("secret")
    assert len(within.retr(1)[1]) > 5
    within.quit()


@needs("curl")
def test_curl(server: Instance, home: Path) -> None:
    """imaps:// and STARTTLS required."""
    write(home / "netrc", "machine localhost login alice password secret\n")
    trusted = write(home / "ca.pem", server.certificate.read_bytes(), 0o644)
    common = ["curl", "-sS", "--netrc-file", "netrc", "--cacert", trusted]
    for options, address in (
        ([], f"imaps://localhost:{port(server, 'imaps')}/INBOX;UID=1"),
        (["--ssl-reqd"], f"imap://localhost:{port(server, 'imap')}/INBOX;UID=1"),
    ):
        result = run([*common, *options, address], home)
        assert result.stdout == corpus.crlf(messages()[0])


@needs("mbsync")
def test_mbsync(server: Instance, home: Path) -> None:
    """mbsync with the certificate pinned."""
    trusted = write(home / "ca.pem", server.certificate.read_bytes(), 0o644)
    (home / "mail").mkdir()
    (home / "mail").chmod(0o777)
    lines = [
        "IMAPStore far\nHost localhost\nUser alice\nPass secret\nAuthMechs LOGIN\nSSLType STARTTLS",
        f"Port {port(server, 'imap')}\nCertificateFile {trusted}\nSystemCertificates no\n",
        f"MaildirStore near\nPath {home}/mail/\nInbox {home}/mail/INBOX\n",
        "Channel one\nFar :far:\nNear :near:\nPatterns INBOX\nCreate Both\nSyncState *\n",
    ]
    config = write(home / "mbsyncrc", "\n".join(lines))
    result = run(["mbsync", "-c", config, "one"], home)
    assert result.returncode == 0, result.stdout
    assert len(maildir.files(home / "mail" / "INBOX")) == MESSAGES


def test_passwords_need_tls(server: Instance) -> None:
    """With the default settings LOGIN in clear text is refused and not offered."""
    server.stop()
    server.settings["auth"]["allow_plaintext"] = False
    server.start()
    with Imap(server.imap) as imap:
        words = set(map(str, imap.ok("CAPABILITY").one("CAPABILITY").values))
        assert {"STARTTLS", "LOGINDISABLED"} <= words
        assert not any(word.startswith("AUTH=") for word in words)
        assert imap.no("LOGIN alice secret").code == "PRIVACYREQUIRED"
        imap.starttls(certs.context(server.certificate))
        imap.login("alice", "secret")


def test_nothing_is_taken_from_behind_starttls(server: Instance) -> None:
    """What was pipelined in clear text is not run inside TLS (RFC 9051 §6.2.1)."""
    with Imap(server.imap) as imap:
        imap.send(b"a STARTTLS\r\nb NOOP\r\n")
        answer = imap.finish("a")
        if answer.status == "OK":
            assert not imap.buffer
            imap.socket = certs.context(server.certificate).wrap_socket(
                imap.socket, server_hostname="localhost"
            )
            assert imap.ok("NOOP").untagged == []
        else:
            assert answer.status == "BAD"


@pytest.fixture
def with_rsa() -> Iterator[Instance]:
    """A server whose certificate has an RSA key, as many still have."""
    with instance({"alice": "secret"}) as made:
        made.certificate, made.key = certs.make(made.base / "tls", "localhost", rsa_key=True)
        made.start()
        yield made


@rfc("9051", "11.1", 1, 2, 3, 4)
@pytest.mark.parametrize(
    ("version", "cipher"),
    [
        (ssl.TLSVersion.TLSv1_3, "TLS_AES_256_GCM_SHA384"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-GCM-SHA256"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES256-GCM-SHA384"),
    ],
)
def test_versions_and_ciphers(with_rsa: Instance, version: ssl.TLSVersion, cipher: str) -> None:
    """TLS 1.3, and TLS 1.2 with the cipher that every server has (RFC 9051 §11.1)."""
    trust = certs.context(with_rsa.certificate)
    trust.minimum_version = trust.maximum_version = version
    if version is ssl.TLSVersion.TLSv1_2:
        trust.set_ciphers(cipher)
    for listener in ("imaps", "imap"):
        with Imap(
            ("localhost", port(with_rsa, listener)), tls=trust if listener == "imaps" else None
        ) as imap:
            if listener == "imap":
                imap.starttls(trust)
            assert isinstance(imap.socket, ssl.SSLSocket)
            assert (imap.socket.cipher() or ("",))[0] == cipher
            imap.login("alice", "secret")
