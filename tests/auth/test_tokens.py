"""OAUTHBEARER and XOAUTH2 through the running auth role, with a provider that is really asked."""

from __future__ import annotations

import hmac
import json
import socket
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from pymaild.auth.bearer import OAuthBearer, XOAuth2
from pymaild.auth.claims import Holder, Malformed, Surroundings, TokenClaim, Unaccepted
from pymaild.auth.client import Accepted, Answer, AuthClient, Challenge, Rejected
from pymaild.auth.http import LARGEST_ANSWER
from pymaild.auth.oauth_settings import OAuthSettings
from pymaild.auth.tokens import Tokens
from pymaild.core.errors import Code, ConfigError
from pymaild.core.session import TlsFacts
from pymaild.core.settings import Duration, FilePath
from tests.auth.conftest import FACTS, Role, Start, users
from tests.support.provider import AUDIENCE, Provider, provider
from tests.support.rfc import rfc

USERS = users(alice="{PLAIN}a", bob="{PLAIN}b", master="{PLAIN}m") + "carl:{PLAIN}c::::::nologin\n"
NOBODY: Any = None
AROUND = Surroundings(NOBODY)


@pytest.fixture
def idp() -> Iterator[Provider]:
    with provider() as made:
        yield made


def oauth(idp: Provider, **changes: Any) -> OAuthSettings:
    """Settings with all that can be checked; None takes a default away."""
    usual = {
        "issuer": idp.url,
        "audience": (AUDIENCE,),
        "scopes": ("mail",),
        "jwks_url": f"{idp.url}/keys",
        "introspection_url": f"{idp.url}/introspect",
        "openid_configuration": "https://login.example.org/.well-known/openid-configuration",
    }
    return OAuthSettings(**(usual | changes))  # type: ignore[arg-type]


@pytest.fixture
def role(start: Start, idp: Provider) -> Role:
    return start(USERS, oauth=oauth(idp), masters=("master",))


def message(token: str, user: str = "", more: str = "") -> bytes:
    header = f"n,a={user}," if user else "n,,"
    return f"{header}\1host=mail.example.org\1port=143\1{more}auth=Bearer {token}\1\1".encode()


def octets(value: Any) -> str:
    """A part of a token (RFC 7515 §2)."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(data).decode().rstrip("=")


def google(token: str, user: str) -> bytes:
    return f"user={user}\1auth=Bearer {token}\1\1".encode()


def bearer(client: AuthClient, token: str, user: str = "") -> Answer:
    return client.begin("OAUTHBEARER", message(token, user), FACTS)


def failure(client: AuthClient, answer: Answer, last: bytes = b"\1") -> tuple[dict[str, str], Code]:
    """What the mechanism says of a token, and what the protocol will."""
    assert isinstance(answer, Challenge), answer
    told = json.loads(answer.data)
    answer = client.respond(last)
    assert isinstance(answer, Rejected), answer
    return told, answer.code


def name_of(answer: Answer) -> tuple[str, str]:
    assert isinstance(answer, Accepted), answer
    return answer.user.name, answer.master


class TestSignedTokens:
    def test_accepted(self, role: Role, idp: Provider) -> None:
        client = role.client()
        token = idp.issue()
        for answer in (
            bearer(client, token),
            bearer(client, token, "alice"),
            client.begin("XOAUTH2", google(token, "Alice"), FACTS),
        ):
            assert name_of(answer) == ("alice", "")
        assert client.begin("OAUTHBEARER", None, FACTS) == Challenge(b"")
        assert name_of(client.respond(message(token))) == ("alice", "")
        assert [path for path, _ in idp.asked] == ["/keys"]

    @rfc("7628", "3.2.2", 1)
    @pytest.mark.parametrize(
        ("claims", "status"),
        [
            ({"exp": 1}, "invalid_token"),
            ({"exp": None}, "invalid_token"),
            ({"exp": "soon"}, "invalid_token"),
            ({"exp": True}, "invalid_token"),
            ({"nbf": 2**40}, "invalid_token"),
            ({"iss": "https://elsewhere.example.org"}, "invalid_token"),
            ({"iss": None}, "invalid_token"),
            ({"aud": "another"}, "invalid_token"),
            ({"aud": None}, "invalid_token"),
            ({"aud": {"mail.example.org": 1}}, "invalid_token"),
            ({"scope": "openid"}, "insufficient_scope"),
            ({"scope": None}, "insufficient_scope"),
            ({"email": None}, "invalid_token"),
            ({"email": ["alice"]}, "invalid_token"),
            ({"email": "nobody"}, "invalid_token"),
            ({"email": "no body"}, "invalid_token"),
        ],
    )
    def test_not_accepted(
        self, role: Role, idp: Provider, claims: dict[str, Any], status: str
    ) -> None:
        client = role.client()
        told, code = failure(client, bearer(client, idp.issue(**claims)))
        assert code is Code.AUTHENTICATIONFAILED
        assert told == {
            "status": status,
            "scope": "mail",
            "openid-configuration": "https://login.example.org/.well-known/openid-configuration",
        }
        assert "reason=token" in role.log()[-1]

    def test_scopes_may_be_a_list(self, role: Role, idp: Provider) -> None:
        assert name_of(bearer(role.client(), idp.issue(scope=["mail"], aud=AUDIENCE)))

    def test_forged(self, role: Role, idp: Provider) -> None:
        """Signed by another's key of the same name, by none, or with our public key as a secret."""
        client, good = role.client(), idp.issue()
        head, body, signature = good.split(".")
        with provider() as other:  # the same claims, another key
            forged = other.issue(iss=idp.url)
        unsigned = jwt.encode({"email": "alice"}, None, algorithm="none")
        public = json.dumps(idp.key_set()["keys"][2]).encode()
        signed = f"{octets({'alg': 'HS256', 'kid': 'first'})}.{body}"
        shared = f"{signed}.{octets(hmac.digest(public, signed.encode(), 'sha256'))}"
        other_body = octets({"email": "bob"})
        for token in (
            forged,
            unsigned,
            shared,
            f"{head}.{other_body}.{signature}",
            f"{head}.{body}.",
            f"{head}.{body}.AAAA",
            "a.b.c",
        ):
            told, code = failure(client, bearer(client, token))
            assert (told["status"], code) == ("invalid_token", Code.AUTHENTICATIONFAILED)

    def test_a_token_that_names_no_key(self, role: Role, idp: Provider) -> None:
        idp.keys["second"] = ec.generate_private_key(ec.SECP256R1())
        assert name_of(bearer(role.client(), idp.issue("second", kid=None))) == ("alice", "")

    def test_keys_are_fetched_once(self, role: Role, idp: Provider) -> None:
        client = role.client()
        for number in range(3):
            bearer(client, idp.issue(jti=str(number)))
            failure(client, bearer(client, idp.issue(kid="unheard-of", jti=str(number))))
        assert [path for path, _ in idp.asked] == ["/keys"]

    def test_keys_that_changed_are_fetched_again(
        self, idp: Provider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tokens = Tokens(oauth(idp))
        assert isinstance(tokens.check(idp.issue()), Holder)
        idp.keys["second"] = ec.generate_private_key(ec.SECP256R1())
        later = time.monotonic() + 31
        monkeypatch.setattr(time, "monotonic", lambda: later)
        assert isinstance(tokens.check(idp.issue("second")), Holder)
        assert len(idp.asked) == 2

    def test_old_keys_serve_while_the_provider_is_away(
        self, idp: Provider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tokens = Tokens(oauth(idp))
        assert isinstance(tokens.check(idp.issue()), Holder)
        idp.answer = b"HTTP/1.0 500 Oops\r\n\r\n"
        later = time.monotonic() + 4000
        monkeypatch.setattr(time, "monotonic", lambda: later)
        assert isinstance(tokens.check(idp.issue(jti="x")), Holder)
        assert len(idp.asked) == 2


class TestIntrospection:
    """RFC 7662: the provider says what a token is that says nothing itself."""

    @pytest.fixture
    def role(self, start: Start, idp: Provider, tmp_path: Path) -> Role:
        secret = tmp_path / "secret"
        secret.write_text("s:e c\u00fcret\n")
        settings = oauth(
            idp, jwks_url="", client_id="pymaild", client_secret_file=FilePath(str(secret))
        )
        idp.tokens["opaque"] = {"email": "bob", "iss": idp.url, "aud": AUDIENCE, "scope": "mail"}
        return start(USERS, oauth=settings)

    def test_accepted_and_remembered(self, role: Role, idp: Provider) -> None:
        client = role.client()
        for _ in range(3):
            assert name_of(bearer(client, "opaque")) == ("bob", "")
        assert idp.asked == [("/introspect", "pymaild:s%3Ae+c%C3%BCret")]

    def test_unknown_or_taken_back(self, role: Role) -> None:
        client = role.client()
        told, code = failure(client, bearer(client, "stolen"))
        assert (told["status"], code) == ("invalid_token", Code.AUTHENTICATIONFAILED)

    def test_without_memory_it_is_asked_each_time(self, start: Start, idp: Provider) -> None:
        idp.tokens["opaque"] = {"email": "bob"}
        settings = OAuthSettings(introspection_url=f"{idp.url}/introspect", cache_ttl=Duration(0.0))
        client = start(USERS, oauth=settings).client()
        assert name_of(bearer(client, "opaque")) == ("bob", "")
        idp.tokens.clear()
        told, _ = failure(client, bearer(client, "opaque"))
        assert told == {"status": "invalid_token"}

    def test_what_is_remembered_expires_all_the_same(
        self, idp: Provider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = time.time()
        idp.tokens["opaque"] = {"email": "bob", "exp": now + 60}
        tokens = Tokens(OAuthSettings(introspection_url=idp.url))
        assert tokens.check("opaque") == Holder("bob")
        monkeypatch.setattr(time, "time", lambda: now + 100)
        assert isinstance(tokens.check("opaque"), Unaccepted)
        assert len(idp.asked) == 1

    def test_both_ways_at_once(self, start: Start, idp: Provider) -> None:
        idp.tokens["opaque"] = {"email": "bob", "iss": idp.url, "aud": AUDIENCE, "scope": "mail"}
        client = start(USERS, oauth=oauth(idp)).client()
        assert name_of(bearer(client, "opaque")) == ("bob", "")
        assert name_of(bearer(client, idp.issue())) == ("alice", "")
        assert [path for path, _ in idp.asked] == ["/introspect", "/keys"]


class TestProviderInTrouble:
    """Nothing it does keeps the role from its other work, and nobody is punished for it."""

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"HTTP/1.1 500 Oops\r\n\r\n{}",
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\nnot json",
            b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000,
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\n\r\n" + b" " * LARGEST_ANSWER,
            b"\0\0\0\0",
        ],
    )
    def test_bad_answers(self, role: Role, idp: Provider, answer: bytes) -> None:
        idp.answer = answer
        client = role.client()
        for token in (idp.issue(), "opaque"):
            found = bearer(client, token)
            assert isinstance(found, Rejected)
            assert (found.code, found.delay) == (Code.UNAVAILABLE, 0.0)
        assert idp.issue() not in "\n".join(role.log())

    @pytest.mark.parametrize("answer", [b"[]", b'{"active": 1}', b'{"active": "true"}', b"{}"])
    def test_answers_that_say_nothing(self, role: Role, idp: Provider, answer: bytes) -> None:
        idp.answer = b"HTTP/1.1 200 OK\r\n\r\n" + answer
        client = role.client()
        told, _ = failure(client, bearer(client, "opaque"))
        assert told["status"] == "invalid_token"

    def test_chunked(self, role: Role, idp: Provider) -> None:
        body = json.dumps(
            {"active": True, "email": "bob", "iss": idp.url, "aud": AUDIENCE, "scope": "mail"}
        ).encode()
        idp.answer = (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        )
        assert name_of(bearer(role.client(), "opaque")) == ("bob", "")

    def test_nobody_there(self, start: Start) -> None:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        settings = OAuthSettings(introspection_url=f"http://127.0.0.1:{port}/")
        answer = bearer(start(USERS, oauth=settings).client(), "opaque")
        assert isinstance(answer, Rejected)
        assert answer.code is Code.UNAVAILABLE

    def test_one_that_is_slow_holds_up_nobody_else(self, start: Start, idp: Provider) -> None:
        """Questions beyond those under way and waiting are refused; passwords go on."""
        role = start(USERS, oauth=oauth(idp, requests=1, queue=1))
        idp.held.clear()
        answers: list[Answer] = []
        waiting = [
            threading.Thread(target=lambda: answers.append(bearer(role.client(), "opaque")))
            for _ in range(3)
        ]
        for thread in waiting:
            thread.start()
        other = role.client()
        assert isinstance(other.password("alice", b"a", FACTS), Accepted)
        while not answers:  # the third is refused at once, whichever that is
            other.lookup("alice")
        assert isinstance(answers[0], Rejected)
        assert answers[0].code is Code.UNAVAILABLE
        assert isinstance(other.password("bob", b"b", FACTS), Accepted)
        idp.held.set()
        for thread in waiting:
            thread.join()
        assert [type(answer) for answer in answers[1:]] == [Challenge, Challenge]

    def test_one_that_is_too_slow_is_given_up(self, start: Start, idp: Provider) -> None:
        role = start(USERS, oauth=oauth(idp, timeout=Duration(0.1)))
        idp.held.clear()
        answer = bearer(role.client(), "opaque")
        assert isinstance(answer, Rejected)
        assert answer.code is Code.UNAVAILABLE

    def test_a_secret_that_cannot_be_read(self, start: Start, idp: Provider) -> None:
        settings = oauth(idp, client_id="x", client_secret_file=FilePath("/nonexistent"))
        answer = bearer(start(USERS, oauth=settings).client(), "opaque")
        assert isinstance(answer, Rejected)
        assert answer.code is Code.UNAVAILABLE


class TestOutcomes:
    def test_as_whom(self, role: Role, idp: Provider) -> None:
        client = role.client()
        assert name_of(bearer(client, idp.issue(email="master"), "bob")) == ("bob", "master")
        answer = client.begin("XOAUTH2", google(idp.issue(email="master"), "bob"), FACTS)
        assert name_of(answer) == ("bob", "master")
        told, code = failure(client, bearer(client, idp.issue(), "bob"))
        assert (told["status"], code) == ("invalid_token", Code.AUTHORIZATIONFAILED)

    def test_accounts_that_may_not_log_in(self, role: Role, idp: Provider) -> None:
        client = role.client()
        _, code = failure(client, bearer(client, idp.issue(email="carl")))
        assert code is Code.CONTACTADMIN

    @rfc("7628", "3", 2)
    @pytest.mark.parametrize("last", [b"\1", b"", b"anything"])
    def test_the_dummy_response(self, role: Role, last: bytes) -> None:
        client = role.client()
        told, code = failure(client, bearer(client, "x.y.z"), last)
        assert (told["status"], code) == ("invalid_token", Code.AUTHENTICATIONFAILED)
        again = client.respond(b"")
        assert isinstance(again, Rejected)
        assert again.code is Code.CLIENTBUG

    @rfc("7628", "3.1", 2)
    def test_no_token_asks_where_to_get_one(self, role: Role, idp: Provider) -> None:
        """RFC 7628 §4.3."""
        client = role.client()
        told, _ = failure(client, client.begin("OAUTHBEARER", b"n,a=alice,\1\1", FACTS))
        assert told["openid-configuration"].startswith("https://")
        assert idp.asked == []

    def test_as_xoauth2_says_it(self, role: Role, idp: Provider) -> None:
        client = role.client()
        for claims, status in (({"exp": 1}, "401"), ({"scope": ""}, "403")):
            answer = client.begin("XOAUTH2", google(idp.issue(**claims), "alice"), FACTS)
            told, _ = failure(client, answer, b"")
            assert told == {"status": status, "schemes": "bearer", "scope": "mail"}

    @rfc("7628", "3", 1)
    @rfc("7628", "4", 1)
    @rfc("7628", "5", 1, 2)
    def test_only_under_tls_and_with_a_provider(self, role: Role, start: Start) -> None:
        client = role.client()
        tls = TlsFacts("TLSv1.3")
        assert {"OAUTHBEARER", "XOAUTH2"} <= set(client.mechanisms(tls))
        assert client.mechanisms(None) == []
        answer = client.begin("OAUTHBEARER", message("x"), replace(FACTS, tls=False))
        assert isinstance(answer, Rejected)
        assert answer.code is Code.PRIVACYREQUIRED
        without = start(USERS).client()
        assert without.mechanisms(tls) == ["PLAIN", "LOGIN"]
        answer = bearer(without, "x")
        assert isinstance(answer, Rejected)
        assert answer.code is Code.CANNOT


class TestMessages:
    def claim(self, kind: type[OAuthBearer] | type[XOAuth2], data: bytes) -> tuple[str, str]:
        found = kind(AROUND).respond(data)
        assert isinstance(found, TokenClaim)
        return found.authorization, found.token

    @rfc("7628", "3.1", 1)
    def test_oauthbearer(self) -> None:
        """RFC 7628 §4.1, and what is allowed besides."""
        for data, name in (
            (message("vF9dft4q.~+/-_=="), ""),
            (message("vF9dft4q.~+/-_==", "user@example.com"), "user@example.com"),
            (message("vF9dft4q.~+/-_==", "a=2Cb=3D"), "a,b="),
            (message("vF9dft4q.~+/-_==", more="x=\r\n\t\1Y=a=b\1"), ""),
            (b"y,a=,\1auth=bearer   vF9dft4q.~+/-_==\1\1", ""),
        ):
            assert self.claim(OAuthBearer, data) == (name, "vF9dft4q.~+/-_==")

    def test_xoauth2(self) -> None:
        data = google("ya29.vF9dft4q", "someuser@example.com")
        assert self.claim(XOAuth2, data) == ("someuser@example.com", "ya29.vF9dft4q")

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\1",
            b"n,,",
            b"n,,\1auth=Bearer x\1",
            b"n,,auth=Bearer x\1\1",
            b"x,,\1auth=Bearer x\1\1",
            b"p=tls-exporter,,\1auth=Bearer x\1\1",
            b"n,a=x=,\1auth=Bearer x\1\1",
            b"n,a=\xff,\1auth=Bearer x\1\1",
            b"n,a=x\0,\1auth=Bearer x\1\1",
            b"n,,\1auth=Basic x\1\1",
            b"n,,\1auth=Bearer\1\1",
            b"n,,\1auth=Bearer x y\1\1",
            b"n,,\1auth=Bearer \xff\1\1",
            b"n,,\1auth=Bearer x\1auth=Bearer x\1\1",
            b"n,,\1auth\1\1",
            b"n,,\1=x\1\1",
            b"n,,\1a1=x\1\1",
        ],
    )
    def test_malformed(self, data: bytes) -> None:
        with pytest.raises(Malformed):
            OAuthBearer(AROUND).respond(data)

    @pytest.mark.parametrize(
        "data",
        [b"", b"\1\1", b"user=x\1\1", b"user=x\1auth=Bearer\1\1", b"user=\xff\1auth=Bearer x\1\1"],
    )
    def test_malformed_xoauth2(self, data: bytes) -> None:
        with pytest.raises(Malformed):
            XOAuth2(AROUND).respond(data)

    @given(st.binary(max_size=100))
    def test_nothing_breaks_them(self, data: bytes) -> None:
        for kind in (OAuthBearer, XOAuth2):
            for head in (b"", b"n,,\1", b"user=x\1auth=Bearer "):
                try:
                    found = kind(AROUND).respond(head + data)
                except Malformed:
                    continue
                assert isinstance(found, TokenClaim)


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.org/",
        "ftp://localhost/",
        "https:///x",
        "https://[::1/",
        "https://login.example.org:port/",
        "http://127.0.0.1.example.org/",
        "x",
    ],
)
@pytest.mark.parametrize("name", ["jwks_url", "introspection_url"])
def test_tokens_are_not_sent_in_clear(name: str, url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        OAuthSettings(**{name: url})  # type: ignore[arg-type]
    assert str(caught.value).startswith(name)


@pytest.mark.parametrize(
    "url", ["https://login.example.org/keys", "http://[::1]:8080/", "http://localhost/"]
)
def test_urls_that_may_be(url: str) -> None:
    assert OAuthSettings(jwks_url=url).possible
