"""AUTHENTICATE and LOGIN (RFC 3501 §6.2.2, §6.2.3; RFC 4959)."""

from __future__ import annotations

from base64 import b64encode

import pytest

from pymaild.auth.client import AuthClient
from pymaild.core.errors import Code, StorageFailure
from pymaild.imap.states import State
from pymaild.mail.account import Account
from tests.imap.conftest import ImapBench
from tests.support.rfc import rfc

PLAIN = b64encode(b"\0alice\0secret")


def test_plain_with_initial_response(imap: ImapBench) -> None:
    answer = imap.connect().ok(b"authenticate plain " + PLAIN)
    assert answer.code == "CAPABILITY"
    assert imap.board.counts["logins"] == 1


@rfc("9051", "6.2.2", 8, 13)
@rfc("3501", "6.2.2", 3)
@rfc("4959", "3", 6)
@rfc("4959", "4", 1)
@rfc("4959", "6", 1)
def test_plain_with_a_challenge(imap: ImapBench) -> None:
    client = imap.connect()
    client.send(b"a AUTHENTICATE PLAIN\r\n")
    assert client.read().raw == b"+ \r\n"
    client.send(PLAIN + b"\r\nb NOOP\r\n")
    assert client.finish("a").status == "OK"
    assert client.finish("b").status == "OK"


def test_login_mechanism(imap: ImapBench) -> None:
    client = imap.connect()
    client.send(b"a AUTHENTICATE LOGIN\r\n")
    for word in (b"alice", b"secret"):
        assert client.read().tag == "+"
        client.send(b64encode(word) + b"\r\n")
    assert client.finish("a").status == "OK"


@rfc("9051", "6.2.2", 2)
@rfc("3501", "6.2.2", 2)
@pytest.mark.parametrize("line", [b"*", b"!", b"x", b"====", b"AGFsaWNlAHNlY3JldA", b"\xff"])
def test_cancelled_or_not_base64_is_bad(imap: ImapBench, line: bytes) -> None:
    """RFC 3501 §6.2.2."""
    client = imap.connect()
    client.send(b"a AUTHENTICATE PLAIN\r\n")
    assert client.read().tag == "+"
    client.send(line + b"\r\n")
    assert client.finish("a").status == "BAD"
    client.ok("LOGIN alice secret")


def test_cancelling_gives_the_exchange_up(imap: ImapBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 3501 §6.2.2: the auth role is told, so that nothing goes on from half an exchange."""
    told: list[str] = []
    cancel = AuthClient.cancel

    def noted(self: AuthClient) -> None:
        told.append("cancel")
        cancel(self)

    monkeypatch.setattr(AuthClient, "cancel", noted)
    client = imap.connect()
    client.send(b"a AUTHENTICATE LOGIN\r\n")
    assert client.read().tag == "+"
    client.send(b64encode(b"alice") + b"\r\n")
    assert client.read().tag == "+"
    client.send(b"*\r\n")
    assert client.finish("a").status == "BAD"
    assert told == ["cancel"]
    client.ok(b"AUTHENTICATE PLAIN " + PLAIN)
    assert told == ["cancel"]


def test_a_response_without_end_is_thrown_away(imap: ImapBench) -> None:
    client = imap.connect()
    client.send(b"a AUTHENTICATE PLAIN\r\n")
    assert client.read().tag == "+"
    client.send(b"A" * 300_000 + b"\r\n")
    assert client.finish("a").status == "BAD"
    client.ok("LOGIN alice secret")


@pytest.mark.parametrize("initial", [True, False])
@rfc("4959", "6", 2, 3)
def test_a_response_longer_than_any_mechanism_has(imap: ImapBench, initial: bool) -> None:
    """Nothing is passed on that the auth role would not take."""
    client = imap.connect()
    long = b64encode(b"x" * 33_000)
    client.send(
        b"a AUTHENTICATE PLAIN " + long + b"\r\n" if initial else b"a AUTHENTICATE PLAIN\r\n"
    )
    if not initial:
        assert client.read().tag == "+"
        client.send(long + b"\r\n")
    answer = client.finish("a")
    assert answer.status == "BAD"
    assert b"too long" in answer.tagged.raw
    assert client.no(b"AUTHENTICATE PLAIN " + b64encode(b"\0alice\0" + b"x" * 32_000))
    client.ok("LOGIN alice secret")


@rfc("9051", "6.2.2", 1)
@rfc("3501", "6.2.2", 1)
@pytest.mark.parametrize(
    "command", ["AUTHENTICATE FROB", "AUTHENTICATE FROB =", "AUTHENTICATE SCRAM-X"]
)
def test_unknown_mechanism_is_refused(imap: ImapBench, command: str) -> None:
    imap.connect().no(command)


@rfc("9051", "6.2.2", 4, 6)
@pytest.mark.parametrize(
    "command",
    [
        "AUTHENTICATE",
        "AUTHENTICATE PLAIN x!",
        "AUTHENTICATE PLAIN a b",
        'AUTHENTICATE PLAIN "AGFsaWNlAHNlY3JldA=="',
        "AUTHENTICATE PLAIN {20+}\r\nAGFsaWNlAHNlY3JldA==",
    ],
)
@rfc("4959", "3", 2, 4)
def test_malformed_authenticate_is_bad(imap: ImapBench, command: str) -> None:
    imap.connect().bad(command)


def test_empty_initial_response(imap: ImapBench) -> None:
    """RFC 4959 §3: "=" is a response without content; PLAIN does not take that."""
    imap.connect().no("AUTHENTICATE PLAIN =")


@rfc("9051", "11.7", 1, 3)
@rfc("3501", "11.2", 1, 3)
@pytest.mark.parametrize(
    "login",
    [b"alice wrong", b"nobody secret", b'"" ""', b'alice ""', b"\xff secret", b'"al\\\\ice" x'],
)
def test_wrong_password_or_name(imap: ImapBench, login: bytes) -> None:
    """One answer for all: who exists is nobody's business."""
    client = imap.connect()
    answer = client.no(b"LOGIN " + login)
    assert answer.code == "AUTHENTICATIONFAILED"
    assert client.record.state == State.NOT_AUTHENTICATED
    client.ok("LOGIN alice secret")


@rfc("9051", "3.4", 2)
@rfc("3501", "3.4", 2)
def test_too_many_failures_end_the_connection(imap: ImapBench) -> None:
    imap.configure(max_auth_failures=3)
    client = imap.connect()
    client.no("LOGIN alice x")
    client.no("LOGIN alice y")
    client.send(b"a LOGIN alice z\r\n")
    assert client.finish("a").status == "NO"
    assert client.read().name == "BYE"
    assert client.ended()
    assert imap.board.counts["failed_logins"] == 3


def test_account_that_cannot_be_opened(imap: ImapBench, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(self: Account) -> None:
        raise StorageFailure(Code.UNAVAILABLE, "The mail store failed", "EIO")

    monkeypatch.setattr(Account, "prepare", prepare)
    client = imap.connect()
    assert client.no("LOGIN alice secret").code == "UNAVAILABLE"
    assert client.record.user is None
    client.bad("SELECT INBOX")


def test_auth_role_that_is_down(imap: ImapBench) -> None:
    client = imap.connect()
    imap.auth.path = "/nonexistent"
    client.running.session.services.auth.close()
    client.running.session.services.auth._path = "/nonexistent"
    assert client.no("LOGIN alice secret").code == "UNAVAILABLE"
    client.ok("NOOP")


def test_passwords_may_hold_anything(imap: ImapBench) -> None:
    with imap.auth.users.open("a") as file:
        file.write('carl:{PLAIN}a"b\\c \u00fc\n')
    imap.account("carl")
    client = imap.connect()
    client.ok('LOGIN carl "a\\"b\\\\c \u00fc"'.encode())
    client = imap.connect()
    client.ok(b"LOGIN carl {8+}\r\n" + 'a"b\\c \u00fc'.encode())


@rfc("2595", "6", 2)
def test_names_and_passwords_of_255_octets(imap: ImapBench) -> None:
    """RFC 2595 §6: authorization identity, authentication identity and password."""
    name, password = "n" * 255, "p" * 255
    with imap.auth.users.open("a") as file:
        file.write(f"{name}:{{PLAIN}}{password}\n")
    message = f"{name}\0{name}\0{password}".encode()
    client = imap.connect()
    client.ok(b"AUTHENTICATE PLAIN " + b64encode(message))
    assert client.record.user is not None
    assert client.record.user.name == name
