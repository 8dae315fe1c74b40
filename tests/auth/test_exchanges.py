"""SASL mechanisms turn what clients send into claims, or say that it is malformed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymaild.auth.claims import (
    Claim,
    Credential,
    Exchange,
    Keys,
    Malformed,
    Prompt,
    Surroundings,
)
from pymaild.auth.exchanges import MECHANISMS, Login, Plain
from tests.support.rfc import rfc

AROUND = Surroundings(lambda name, method: Credential(b"salt", 4096, lambda: Keys(b"", b"")))


def parts(outcome: Prompt | Claim) -> tuple[str, str, bytes]:
    assert isinstance(outcome, Claim)
    return outcome.authorization, outcome.authentication, outcome.password


@pytest.mark.parametrize(
    ("message", "claim"),
    [  # RFC 4616 §4
        (b"\0tim\0tanstaaftanstaaf", ("", "tim", b"tanstaaftanstaaf")),
        (b"Ursel\0Kurt\0xipj3plmq", ("Ursel", "Kurt", b"xipj3plmq")),
        ("\0jürgen\0ü".encode(), ("", "jürgen", "ü".encode())),
        (b"\0" + b"u" * 255 + b"\0" + b"p" * 255, ("", "u" * 255, b"p" * 255)),
    ],
)
@rfc("4616", "2", 1, 2, 4)
def test_plain(message: bytes, claim: tuple[str, str, bytes]) -> None:
    assert parts(Plain(AROUND).respond(message)) == claim
    exchange = Plain(AROUND)
    assert exchange.respond(None) == Prompt(b"")
    assert parts(exchange.respond(message)) == claim


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"tim",
        b"\0tim",
        b"\0tim\0pass\0",
        b"a\0b\0c\0d",
        b"\0\xff\0pass",
        b"\xc0\x80\0tim\0pass",
    ],
)
@rfc("4616", "2", 2, 3)
def test_plain_malformed(message: bytes) -> None:
    with pytest.raises(Malformed):
        Plain(AROUND).respond(message)


@pytest.mark.parametrize("name", [b"tim", b"tim\0"])
def test_login(name: bytes) -> None:
    exchange = Login(AROUND)
    assert exchange.respond(None) == Prompt(b"Username:")
    assert exchange.respond(name) == Prompt(b"Password:")
    assert parts(exchange.respond(b"secret")) == ("", "tim", b"secret")


def test_login_with_the_name_as_initial_response() -> None:
    exchange = Login(AROUND)
    assert exchange.respond(b"tim") == Prompt(b"Password:")
    assert parts(exchange.respond(b"secret")) == ("", "tim", b"secret")


def test_login_malformed() -> None:
    with pytest.raises(Malformed):
        Login(AROUND).respond(b"\xff")


@pytest.mark.parametrize("name", MECHANISMS)
@settings(deadline=None)
@given(responses=st.lists(st.none() | st.binary(max_size=30), max_size=4))
def test_no_response_breaks_an_exchange(name: str, responses: list[bytes | None]) -> None:
    exchange: Exchange = MECHANISMS[name].begin(AROUND)
    for data in responses:
        try:
            outcome = exchange.respond(data)
        except Malformed:
            return
        if not isinstance(outcome, Prompt):
            assert data is not None
            return
        assert outcome.data in (b"", b"Username:", b"Password:")


def test_secrets_are_not_shown() -> None:
    assert "tanstaaf" not in repr(Plain(AROUND).respond(b"\0tim\0tanstaaf"))
