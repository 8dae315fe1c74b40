"""Mechanisms without a password in them, through the running auth role."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pymaild.auth.client import Accepted, Answer, AuthClient, Challenge, Rejected
from pymaild.auth.schemes import make_hash, make_keys
from pymaild.core.errors import Code
from pymaild.core.session import TlsFacts
from tests.auth.conftest import COSTS, FACTS, Role, Start, users
from tests.support.rfc import rfc
from tests.support.scram import ScramClient

BINDING = b"b" * 32
SCRAM = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1")
ALL = ("EXTERNAL", *SCRAM, "OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN")
METHODS = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}
BOUND = replace(FACTS, binding=BINDING)
CLEAR = replace(FACTS, tls=False)


def accepted(answer: Answer) -> Accepted:
    assert isinstance(answer, Accepted), answer
    return answer


def refused(answer: Answer) -> Code:
    assert isinstance(answer, Rejected), answer
    return answer.code


def asked(answer: Answer) -> bytes:
    assert isinstance(answer, Challenge), answer
    return answer.data


def scram(
    role: AuthClient,
    password: bytes = b"secret",
    user: bytes = b"alice",
    mechanism: str = "SCRAM-SHA-256",
    header: bytes = b"n,,",
    facts: object = FACTS,
) -> Answer:
    """Run an exchange to its outcome, and see that the server has proven itself too."""
    bound = header.startswith(b"p=")
    method = METHODS[mechanism.removesuffix("-PLUS")]
    first = b"n=" + user + b",r=nonce"
    client = ScramClient(method, password, first, header, BINDING if bound else b"")
    answer = role.begin(mechanism, client.first, facts)  # type: ignore[arg-type]
    if not isinstance(answer, Challenge):
        return answer
    answer = role.respond(client.final(answer.data))
    if not isinstance(answer, Challenge):
        return answer
    assert answer.data == client.signature
    return role.respond(b"")


def shape(role: AuthClient, user: bytes, mechanism: str = "SCRAM-SHA-256") -> tuple[bytes, bytes]:
    """The salt and the iterations that a client is told."""
    _, salt, count = asked(role.begin(mechanism, b"n,,n=" + user + b",r=abc", FACTS)).split(b",")
    role.cancel()
    return salt, count


@pytest.fixture
def role(start: Start) -> Role:
    return start(
        users(
            alice=make_keys("sha256", b"secret", 4096),
            anna=make_keys("sha1", b"secret", 4096),
            bob="{PLAIN}secret",
            carl=make_hash(b"secret", *COSTS),
            master="{PLAIN}power",
        ),
        mechanisms=ALL,
        masters=("Master",),
    )


class TestScram:
    @rfc("5802", "4", 2)
    @pytest.mark.parametrize(
        ("user", "mechanism"),
        [
            (b"alice", "SCRAM-SHA-256"),
            (b"ALICE", "scram-sha-256"),
            (b"anna", "SCRAM-SHA-1"),
            (b"bob", "SCRAM-SHA-256"),
            (b"bob", "SCRAM-SHA-1"),
        ],
    )
    def test_right_and_wrong(self, role: Role, user: bytes, mechanism: str) -> None:
        client, mechanism = role.client(), mechanism.upper()
        found = accepted(scram(client, user=user, mechanism=mechanism))
        assert found.user.name == user.decode().lower()
        assert found.master == ""
        wrong = scram(client, b"Secret", user, mechanism)
        assert refused(wrong) is Code.AUTHENTICATIONFAILED

    def test_without_initial_response(self, role: Role) -> None:
        client, peer = role.client(), ScramClient("sha256", b"secret", b"n=alice,r=x")
        assert client.begin("SCRAM-SHA-256", None, FACTS) == Challenge(b"")
        assert client.respond(peer.final(asked(client.respond(peer.first)))) == Challenge(
            peer.signature
        )
        assert accepted(client.respond(b""))

    def test_behind_the_servers_proof_comes_nothing(self, role: Role) -> None:
        client, peer = role.client(), ScramClient("sha256", b"secret", b"n=alice,r=x")
        challenge = asked(client.begin("SCRAM-SHA-256", peer.first, FACTS))
        asked(client.respond(peer.final(challenge)))
        assert refused(client.respond(b"more")) is Code.CLIENTBUG
        assert refused(client.respond(b"")) is Code.CLIENTBUG

    def test_cancelled_behind_the_servers_proof(self, role: Role) -> None:
        client, peer = role.client(), ScramClient("sha256", b"secret", b"n=alice,r=x")
        challenge = asked(client.begin("SCRAM-SHA-256", peer.first, FACTS))
        asked(client.respond(peer.final(challenge)))
        client.cancel()
        assert refused(client.respond(b"")) is Code.CLIENTBUG

    def test_keys_serve_passwords_in_clear_too(self, role: Role) -> None:
        client = role.client()
        for _ in range(2):  # computed, then remembered
            assert accepted(client.password("alice", b"secret", FACTS))
            assert refused(client.password("alice", b"x", FACTS)) is Code.AUTHENTICATIONFAILED

    def test_a_hash_of_another_kind_is_told_to_the_log_alone(self, role: Role) -> None:
        client = role.client()
        for user in (b"carl", b"anna"):
            assert refused(scram(client, user=user)) is Code.AUTHENTICATIONFAILED
        assert sum("reason=hash" in line for line in role.log()) == 2

    @rfc("5802", "5.1", 12, 13)
    @rfc("7677", "3", 1)
    @rfc("7677", "4", 2)
    def test_strangers_look_like_users(self, role: Role) -> None:
        """Salt and iterations have the same form, and stay the same; so do the answers."""
        client = role.client()
        shapes = {user: shape(client, user) for user in (b"alice", b"bob", b"carl", b"eve")}
        assert {(len(salt), count) for salt, count in shapes.values()} == {(26, b"i=4096")}
        assert len({salt for salt, _ in shapes.values()}) == 4
        role.kill()
        role.start()
        again = role.client()
        assert {user: shape(again, user) for user in shapes} == shapes
        texts = {repr(scram(again, b"x", user)).split("delay")[0] for user in shapes}
        assert len(texts) == 1

    def test_strangers_look_like_most_users(self, start: Start) -> None:
        stored = [make_keys("sha256", b"secret", 5000) for _ in range(3)]
        text = users(ann=stored[0], bert=stored[1], cleo=stored[2])
        client = start(text, mechanisms=SCRAM).client()
        assert shape(client, b"eve")[1] == shape(client, b"ann")[1] == b"i=5000"
        assert shape(client, b"eve", "SCRAM-SHA-1")[1] == b"i=4096"

    def test_two_names_of_one_user_are_two_names_of_one_stranger(self, start: Start) -> None:
        role = start(users(bob="{PLAIN}b"), default_domain="example.org", mechanisms=SCRAM)
        client = role.client()
        for name in (b"bob", b"eve"):
            assert shape(client, name) == shape(client, name + b"@example.org")
            assert shape(client, name) != shape(client, name + b"@example.com")

    def test_who_knows_the_decoys_password_is_nobody(self, start: Start) -> None:
        client = start(users(bob="{PLAIN}secret"), mechanisms=SCRAM).client()
        assert refused(scram(client, user=b"eve")) is Code.AUTHENTICATIONFAILED

    @rfc("5802", "5.1", 5)
    @rfc("5034", "4", 16)
    def test_names_that_cannot_be(self, role: Role) -> None:
        answer = role.client().begin("SCRAM-SHA-256", b"n,,n=a b,r=abc", FACTS)
        assert refused(answer) is Code.AUTHENTICATIONFAILED

    def test_accounts_that_may_not_log_in(self, start: Start) -> None:
        role = start("alice:{PLAIN}secret::::::nologin\n", mechanisms=SCRAM)
        assert refused(scram(role.client())) is Code.CONTACTADMIN
        assert refused(scram(role.client(), b"x")) is Code.AUTHENTICATIONFAILED

    def test_the_password_is_not_sent_so_no_tls_is_needed(self, role: Role) -> None:
        assert accepted(scram(role.client(), facts=CLEAR))


class TestBinding:
    @rfc("5802", "6", 1)
    @pytest.mark.parametrize(
        ("user", "mechanism"),
        [(b"alice", "SCRAM-SHA-256-PLUS"), (b"anna", "SCRAM-SHA-1-PLUS")],
    )
    def test_bound(self, role: Role, user: bytes, mechanism: str) -> None:
        client = role.client()
        answer = scram(client, b"secret", user, mechanism, b"p=tls-exporter,,", BOUND)
        assert accepted(answer).user.name == user.decode()
        elsewhere = replace(BOUND, binding=b"c" * 32)
        answer = scram(client, b"secret", user, mechanism, b"p=tls-exporter,,", elsewhere)
        assert refused(answer) is Code.AUTHENTICATIONFAILED
        assert "reason=binding" in role.log()[-1]

    @rfc("5802", "6", 2)
    def test_not_without_a_binding(self, role: Role) -> None:
        answer = scram(role.client(), mechanism="SCRAM-SHA-256-PLUS", header=b"p=tls-exporter,,")
        assert refused(answer) is Code.CANNOT

    @rfc("5802", "6", 8)
    def test_downgrade(self, role: Role) -> None:
        """The client says that it can bind and saw no offer: here it was made, there not."""
        client = role.client()
        answer = scram(client, header=b"y,,", facts=BOUND)
        assert refused(answer) is Code.AUTHENTICATIONFAILED
        assert "reason=binding" in role.log()[-1]
        assert accepted(scram(client, header=b"y,,", facts=FACTS))
        assert accepted(scram(client, header=b"n,,", facts=BOUND))

    @rfc("5802", "6", 3)
    def test_only_bound(self, start: Start) -> None:
        role = start(users(bob="{PLAIN}secret"), mechanisms=("SCRAM-SHA-256-PLUS",))
        client = role.client()
        assert client.mechanisms(TlsFacts("TLSv1.3", exporter=BINDING)) == ["SCRAM-SHA-256-PLUS"]
        assert refused(scram(client, user=b"bob", facts=BOUND)) is Code.CANNOT


class TestExternal:
    """RFC 4422 appendix A: the tls role has verified the certificate."""

    CERTIFIED = replace(FACTS, certificate="alice")

    @rfc("4422", "5", 3)
    def test_who_the_certificate_names(self, role: Role) -> None:
        client = role.client()
        assert client.begin("EXTERNAL", None, self.CERTIFIED) == Challenge(b"")
        assert accepted(client.respond(b"")).user.name == "alice"
        for name in (b"", b"alice", b"ALICE"):
            answer = client.begin("EXTERNAL", name, self.CERTIFIED)
            assert accepted(answer).user.name == "alice"

    @pytest.mark.parametrize(
        ("certificate", "name", "code"),
        [
            ("alice", b"bob", Code.AUTHORIZATIONFAILED),
            ("alice", b"nobody", Code.AUTHORIZATIONFAILED),
            ("alice", b"no body", Code.AUTHORIZATIONFAILED),
            ("nobody", b"", Code.AUTHENTICATIONFAILED),
            ("nobody", b"alice", Code.AUTHENTICATIONFAILED),
            ("no body", b"", Code.AUTHENTICATIONFAILED),
            ("alice", b"\0", Code.AUTHENTICATIONFAILED),
            ("alice", b"\xff", Code.AUTHENTICATIONFAILED),
            ("", b"alice", Code.CANNOT),
        ],
    )
    def test_who_may_not(self, role: Role, certificate: str, name: bytes, code: Code) -> None:
        facts = replace(FACTS, certificate=certificate)
        assert refused(role.client().begin("EXTERNAL", name, facts)) is code


class TestMasters:
    """RFC 4422 §3.4.1: one who proves to be a master goes on as whom he names."""

    def outcome(self, answer: Answer) -> tuple[str, str]:
        found = accepted(answer)
        return found.user.name, found.master

    def test_plain(self, role: Role) -> None:
        client = role.client()
        answer = client.begin("PLAIN", b"alice\0master\0power", FACTS)
        assert self.outcome(answer) == ("alice", "master")
        answer = client.begin("PLAIN", b"master\0master\0power", FACTS)
        assert self.outcome(answer) == ("master", "")
        answer = client.begin("PLAIN", b"alice\0master\0weak", FACTS)
        assert refused(answer) is Code.AUTHENTICATIONFAILED

    def test_scram(self, role: Role) -> None:
        answer = scram(role.client(), b"power", b"master", header=b"n,a=carl,")
        assert self.outcome(answer) == ("carl", "master")

    def test_external(self, role: Role) -> None:
        facts = replace(FACTS, certificate="master")
        assert self.outcome(role.client().begin("EXTERNAL", b"bob", facts)) == ("bob", "master")

    @pytest.mark.parametrize("wanted", [b"nobody", b"no body", b"b/b"])
    def test_nobody_is_no_user(self, role: Role, wanted: bytes) -> None:
        answer = role.client().begin("PLAIN", wanted + b"\0master\0power", FACTS)
        assert refused(answer) is Code.AUTHORIZATIONFAILED

    def test_others_are_none(self, role: Role) -> None:
        for wanted in (b"alice", b"master", b"nobody"):
            answer = role.client().begin("PLAIN", wanted + b"\0bob\0secret", FACTS)
            assert refused(answer) is Code.AUTHORIZATIONFAILED
        assert role.log()[-1].endswith(
            "user=<bob> address=192.0.2.7 protocol=imap mechanism=PLAIN "
            "reason=authorization session=5e55 as=<nobody>"
        )

    def test_one_user_by_two_names_needs_no_master(self, start: Start) -> None:
        role = start(users(bob="{PLAIN}b"), default_domain="example.org")
        for message in (b"bob@example.org\0bob\0b", b"bob\0bob@example.org\0b"):
            answer = role.client().begin("PLAIN", message, FACTS)
            assert self.outcome(answer) == ("bob", "")


class TestOffers:
    """Which mechanisms a client is told of, by what its connection has."""

    PASSWORDS = ("PLAIN", "LOGIN")
    UNBOUND = ("SCRAM-SHA-256", "SCRAM-SHA-1")

    @pytest.mark.parametrize(
        ("tls", "offered"),
        [
            (None, UNBOUND),
            (TlsFacts("TLSv1.2"), (*UNBOUND, *PASSWORDS)),
            (TlsFacts("TLSv1.3", exporter=BINDING), (*SCRAM, *PASSWORDS)),
            (TlsFacts("TLSv1.2", client_subject="alice"), (*UNBOUND, *PASSWORDS)),
            (TlsFacts("TLSv1.2", client_name="alice"), ("EXTERNAL", *UNBOUND, *PASSWORDS)),
        ],
    )
    @rfc("4422", "6.1.2", 1)
    def test_by_connection(
        self, role: Role, tls: TlsFacts | None, offered: tuple[str, ...]
    ) -> None:
        assert role.client().mechanisms(tls) == list(offered)

    def test_what_is_not_offered_is_refused(self, role: Role) -> None:
        client = role.client()
        for name in ALL:
            if name not in self.UNBOUND:
                wanted = Code.PRIVACYREQUIRED if name in self.PASSWORDS else Code.CANNOT
                assert refused(client.begin(name, b"", CLEAR)) is wanted

    def test_what_tls_would_change(self, role: Role) -> None:
        client = role.client()
        assert client.needs_tls("PLAIN")
        assert client.needs_tls("EXTERNAL")
        assert not client.needs_tls("OAUTHBEARER")  # nobody here can check a token
        assert not client.needs_tls("CRAM-MD5")
