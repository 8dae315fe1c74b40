"""SCRAM: the exchange against the RFCs' own examples, and all that must be refused."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymaild.auth import schemes
from pymaild.auth.claims import BadBinding, Credential, KeyClaim, Malformed, Prompt, Surroundings
from pymaild.auth.names import prepare_scram_password
from pymaild.auth.scram import Scram, derive, read_keys, write_keys
from tests.support.rfc import rfc
from tests.support.scram import ScramClient

BINDING = b"b" * 32

#: Password, salt, messages of client and server in turn: RFC 5802 §5, RFC 7677 §3.
EXAMPLES = {
    "sha1": (
        b"QSXCR+Q6sek8bf92",
        b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        b"3rfcNHYJY1ZVvWVs7j",
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    "sha256": (
        b"W22ZaJ0SNY7soEsUEjb6gQ==",
        b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
}


def known(method: str, password: bytes = b"pencil", salt: bytes = b"salt" * 4) -> Credential:
    keys = derive(method, password, salt, 4096)
    return Credential(salt, 4096, lambda: keys)


def around(binding: bytes = b"", announced: tuple[str, ...] = ()) -> Surroundings:
    return Surroundings(lambda name, method: known(method), binding, announced)


def scram(plus: bool = False, **facts: object) -> Scram:
    return Scram("sha256", "SCRAM-SHA-256-PLUS" if plus else "", around(**facts), b"server")  # type: ignore[arg-type]


def prompted(outcome: object) -> bytes:
    assert isinstance(outcome, Prompt)
    return outcome.data


@pytest.mark.parametrize("method", EXAMPLES)
def test_the_examples(method: str) -> None:
    salt, first, nonce, challenge, final, verifier = EXAMPLES[method]
    surroundings = Surroundings(lambda name, hashed: known(hashed, salt=b64decode(salt)))
    exchange = Scram(method, "", surroundings, nonce)
    assert prompted(exchange.respond(None)) == b""
    assert prompted(exchange.respond(first)) == challenge
    claim = exchange.respond(final)
    assert isinstance(claim, KeyClaim)
    assert (claim.authorization, claim.authentication) == ("", "user")
    assert claim.verify() == verifier


def test_our_client_is_the_examples_client() -> None:
    for method, (_, first, _, challenge, final, verifier) in EXAMPLES.items():
        client = ScramClient(method, b"pencil", first[3:])
        assert client.final(challenge) == final
        assert client.signature == verifier


def test_a_wrong_proof_is_none() -> None:
    exchange = scram()
    client = ScramClient("sha256", b"pen", b"n=user,r=abc")
    claim = exchange.respond(client.final(prompted(exchange.respond(client.first))))
    assert isinstance(claim, KeyClaim)
    assert claim.verify() is None


@rfc("5802", "5.1", 6)
def test_names_are_escaped() -> None:
    exchange = scram()
    client = ScramClient("sha256", b"pencil", b"n=a=2Cb=3Dc,r=abc", b"n,a=x=3Dy=2Cz,")
    claim = exchange.respond(client.final(prompted(exchange.respond(client.first))))
    assert isinstance(claim, KeyClaim)
    assert (claim.authorization, claim.authentication) == ("x=y,z", "a,b=c")
    assert claim.verify() == client.signature  # of the names as they were sent


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n",
        b"n,,",
        b"n,,n=user",
        b"n,,r=abc,n=user",
        b"n,,n=,r=abc",
        b"n,,n=us=er,r=abc",
        b"n,,n=us=2cer,r=abc",
        b"n,,n=us\0er,r=abc",
        b"n,,n=us\xffer,r=abc",
        b"n,a=,n=user,r=abc",
        b"n,a=x=,n=user,r=abc",
        b"n,b=x,n=user,r=abc",
        b"n,,m=x,n=user,r=abc",
        b"n,,n=user,r=",
        b"n,,n=user,r=a c",
        b"n,,n=user,r=a\x7fc",
        b"n,,n=user,r=abc,",
        b"n,,n=user,r=abc,1=x",
        b"x,,n=user,r=abc",
        b"p=,,n=user,r=abc",
    ],
)
@rfc("5802", "3", 1)
@rfc("5802", "5", 1)
@rfc("5802", "5.1", 7, 8, 15)
def test_a_malformed_first_message(message: bytes) -> None:
    with pytest.raises(Malformed):
        scram().respond(message)


@rfc("5802", "5.1", 16)
@rfc("5802", "7", 1)
def test_extensions_of_the_client_are_no_matter() -> None:
    exchange = scram()
    client = ScramClient("sha256", b"pencil", b"n=user,r=abc,x=1,y=a=b")
    claim = exchange.respond(client.final(prompted(exchange.respond(client.first))))
    assert isinstance(claim, KeyClaim)
    assert claim.verify() == client.signature


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"c=biws",
        b"c=biws,r=abcserver",
        b"c=biws,r=abcserver,p=",
        b"c=biws,r=abcserver,p=!",
        b"c=biws,r=abcserver,p=A",
        b"c=biws,r=abc,p=AAAA",
        b"c=biws,r=abcserverx,p=AAAA",
        b"r=abcserver,c=biws,p=AAAA",
        b"c=biw,r=abcserver,p=AAAA",
        b"c=biws,r=abcserver,m=x",
    ],
)
@rfc("5802", "5.1", 8, 10, 11)
def test_a_malformed_final_message(message: bytes) -> None:
    exchange = scram()
    exchange.respond(b"n,,n=user,r=abc")
    with pytest.raises(Malformed):
        exchange.respond(message)


def test_a_proof_of_another_length_is_wrong() -> None:
    exchange = scram()
    exchange.respond(b"n,,n=user,r=abc")
    claim = exchange.respond(b"c=biws,r=abcserver,p=AAAA")
    assert isinstance(claim, KeyClaim)
    assert claim.verify() is None


class TestBinding:
    """RFC 5802 §6, RFC 9266."""

    PLUS = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")

    def test_bound(self) -> None:
        exchange = scram(plus=True, binding=BINDING, announced=self.PLUS)
        client = ScramClient("sha256", b"pencil", b"n=user,r=abc", b"p=tls-exporter,,", BINDING)
        claim = exchange.respond(client.final(prompted(exchange.respond(client.first))))
        assert isinstance(claim, KeyClaim)
        assert claim.verify() == client.signature

    @rfc("5802", "6", 10)
    @pytest.mark.parametrize("value", [b"", b"c" * 32, BINDING + b"x"])
    def test_bound_to_another_connection(self, value: bytes) -> None:
        exchange = scram(plus=True, binding=BINDING, announced=self.PLUS)
        client = ScramClient("sha256", b"pencil", b"n=user,r=abc", b"p=tls-exporter,,", value)
        final = client.final(prompted(exchange.respond(client.first)))
        with pytest.raises(BadBinding):
            exchange.respond(final)

    @pytest.mark.parametrize("header", [b"n,,", b"y,,", b"p=tls-unique,,", b"p=tls-exporte,,"])
    @rfc("5802", "6", 9)
    @rfc("5802", "6.1", 4)
    def test_plus_without_the_binding_we_have(self, header: bytes) -> None:
        exchange = scram(plus=True, binding=BINDING, announced=self.PLUS)
        with pytest.raises(BadBinding):
            exchange.respond(header + b"n=user,r=abc")

    def test_plus_where_there_is_no_binding(self) -> None:
        with pytest.raises(BadBinding):
            scram(plus=True).respond(b"p=tls-exporter,,n=user,r=abc")

    def test_binding_in_the_plain_mechanism(self) -> None:
        with pytest.raises(BadBinding):
            scram(binding=BINDING).respond(b"p=tls-exporter,,n=user,r=abc")

    @rfc("5802", "6", 8)
    def test_an_offer_that_was_taken_away(self) -> None:
        """The client could bind and saw no -PLUS; it was offered: somebody is between."""
        with pytest.raises(BadBinding):
            scram(binding=BINDING, announced=self.PLUS).respond(b"y,,n=user,r=abc")
        assert scram(binding=BINDING, announced=self.PLUS[1:]).respond(b"y,,n=user,r=abc")
        assert scram(binding=BINDING, announced=self.PLUS).respond(b"n,,n=user,r=abc")

    @rfc("5802", "6", 10)
    @rfc("5802", "7", 2)
    def test_the_header_must_come_back(self) -> None:
        """What the client said first is what it signs: "y" cannot be turned into "n"."""
        for channel in (b"y,,", b"n,,x", b"n,,p=tls-exporter,," + BINDING):
            exchange = scram(binding=BINDING)
            exchange.respond(b"n,,n=user,r=abc")
            with pytest.raises(BadBinding):
                exchange.respond(b"c=" + b64encode(channel) + b",r=abcserver,p=AAAA")


class TestStored:
    """The form that Dovecot gives keys in its passwd-files."""

    @pytest.mark.parametrize(
        "stored",
        [  # written by `doveadm pw` of Dovecot 2.3
            "{SCRAM-SHA-256}4096,CXa8YD7pUnY6Uv0g7wT1Yg==,"
            "nfyoBLAILuMi1erHrdNE9cLzqLEYkcDQmC5ruSeoFkQ=,"
            "tqNkW+nqVfCkeHhXRcR4AmLwoX1jqWgkj5JSqGTao+g=",
            "{SCRAM-SHA-1}4096,MTSIMbmGpGwmffpRsQTZUw==,"
            "Rz6qWf50K+JGCrYI0du390GMDyA=,9g3CgAe1Iw8f1SJ8L4urwutUSOQ=",
        ],
    )
    def test_passwords_move_here_from_dovecot(self, stored: str) -> None:
        assert schemes.verify(stored, b"secret")
        assert not schemes.verify(stored, b"Secret")

    @pytest.mark.parametrize("method", schemes.SCRAM_METHODS)
    def test_both_ways(self, method: str) -> None:
        credential = known(method)
        text = write_keys(credential.salt, credential.iterations, credential.keys())
        again = read_keys(method, text)
        assert (again.salt, again.iterations) == (credential.salt, 4096)
        assert again.keys() == credential.keys()

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "4096",
            "4096,,,",
            "0,c2FsdA==,c2FsdA==,c2FsdA==",
            "4096,c2FsdA==,c2FsdA==,c2FsdA==",
            "x,c2FsdA==,c2FsdA==,c2FsdA==",
            "4096,!,!,!",
        ],
    )
    def test_damaged(self, text: str) -> None:
        with pytest.raises(ValueError):  # noqa: PT011
            read_keys("sha256", text)
        with pytest.raises(schemes.BadHash):
            schemes.verify("{SCRAM-SHA-256}" + text, b"secret")

    @pytest.mark.parametrize("method", schemes.SCRAM_METHODS)
    def test_a_password_in_clear_is_checked_with_them_too(self, method: str) -> None:
        stored = schemes.make_keys(method, "I\u00adX \u2168".encode(), 4096)
        assert schemes.is_slow(stored)
        assert not schemes.problem(stored)
        assert schemes.verify(stored, b"IX IX")  # SASLprep makes them the same
        assert not schemes.verify(stored, b"IX")
        assert stored != schemes.make_keys(method, b"IX IX", 4096)  # salted


@rfc("5802", "2.2", 1)
@pytest.mark.parametrize(
    ("password", "prepared"),
    [  # RFC 4013 §3
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        # what SASLprep forbids is left as it is
        ("\u0007", "\u0007"),
        ("\u06271", "\u06271"),
        ("\U0001f511", "\U0001f511"),
    ],
)
def test_passwords_are_prepared(password: str, prepared: str) -> None:
    assert prepare_scram_password(password.encode()).decode() == prepared


@given(first=st.binary(max_size=60), final=st.binary(max_size=80))
def test_nothing_breaks_it(first: bytes, final: bytes) -> None:
    for head in (b"", b"n,,n=", b"n,,n=user,r="):
        exchange = scram()
        try:
            exchange.respond(head + first)
            claim = exchange.respond(b"c=biws,r=abcserver,p=" + final)
        except Malformed:
            continue
        assert isinstance(claim, KeyClaim)
        assert claim.verify() is None
