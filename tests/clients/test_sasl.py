"""SASL mechanisms end to end: real clients, and one of our own whose TLS knows its binding."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from OpenSSL import SSL

from tests.support import certs
from tests.support.bound import BoundImap
from tests.support.imap import Answer, Imap
from tests.support.instance import Instance, instance
from tests.support.place import run, write
from tests.support.provider import Provider, provider
from tests.support.rfc import rfc
from tests.support.scram import ScramClient

from . import test_mutt
from .conftest import needs

MECHANISMS = (
    *("EXTERNAL", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"),
    *("OAUTHBEARER", "XOAUTH2", "PLAIN"),
)
USERS = {"alice": "secret", "bob": "hidden", "master": "power"}


@pytest.fixture
def idp() -> Iterator[Provider]:
    with provider() as made:
        made.tokens["good.token"] = {"email": "alice"}
        yield made


@pytest.fixture
def server(idp: Provider) -> Iterator[Instance]:
    with instance(USERS) as made:
        made.settings["auth"] |= {"mechanisms": MECHANISMS, "masters": ("master",)}
        made.settings["auth.oauth"] = {"introspection_url": f"{idp.url}/introspect"}
        user, _ = certs.make(made.base / "tls", "alice")
        made.settings["tls"] = {"client_ca": user}
        made.listeners["imap"]["client_certificate"] = "never"
        made.start()
        yield made


def capabilities(client: Imap) -> list[str]:
    words = client.ok("CAPABILITY").one("CAPABILITY").values
    return [word.removeprefix("AUTH=") for word in words if word.startswith("AUTH=")]


def scram(imap: Imap, mechanism: str, client: ScramClient) -> Answer:
    """Run the exchange; a right outcome comes behind the server's own proof."""
    tag = imap.start(f"AUTHENTICATE {mechanism} {b64encode(client.first).decode()}")
    reply = imap.read()
    if reply.tag == "+":
        imap.send(b64encode(client.final(b64decode(reply.raw[2:]))) + b"\r\n")
        reply = imap.read()
    if reply.tag == "+":
        assert b64decode(reply.raw[2:]) == client.signature
        imap.send(b"\r\n")
        return imap.finish(tag)
    return Answer(reply, [])


def bound(imap: BoundImap, password: bytes = b"secret") -> ScramClient:
    return ScramClient("sha256", password, b"n=alice,r=x", b"p=tls-exporter,,", imap.binding)


class TestBound:
    @rfc("9266", "3", 1)
    @rfc("9266", "4.1", 1, 2)
    @rfc("5802", "6.1", 3)
    @rfc("7677", "4", 1)
    @rfc("3501", "6.2.2", 6)
    @rfc("9051", "6.2.2", 11)
    @pytest.mark.parametrize("implicit", [True, False])
    def test_once_on_a_connection(self, server: Instance, implicit: bool) -> None:
        """Offered under TLS 1.3, also behind STARTTLS, and for one exchange."""
        with BoundImap(server.addresses["imaps" if implicit else "imap"], implicit) as imap:
            if not implicit:
                assert not any("PLUS" in name for name in capabilities(imap))
                imap.upgrade()
            assert capabilities(imap)[:2] == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]
            assert scram(imap, "SCRAM-SHA-256-PLUS", bound(imap)).status == "OK"
            imap.ok("SELECT INBOX")
            imap.ok("UNAUTHENTICATE")
            assert not any("PLUS" in name for name in capabilities(imap))
            assert scram(imap, "SCRAM-SHA-256-PLUS", bound(imap)).status == "NO"
            imap.ok("LOGOUT")
            assert imap.ended()

    def test_to_another_connection(self, server: Instance) -> None:
        """Who relays an exchange between two TLS connections gets nowhere (RFC 5802 §9)."""
        with (
            BoundImap(server.addresses["imaps"]) as one,
            BoundImap(server.addresses["imaps"]) as other,
        ):
            assert one.binding != other.binding
            answer = scram(one, "SCRAM-SHA-256-PLUS", bound(other))
            assert (answer.status, answer.code) == ("NO", "AUTHENTICATIONFAILED")
            assert "reason=binding" in server.log()

    def test_an_offer_taken_away(self, server: Instance) -> None:
        with BoundImap(server.addresses["imaps"]) as imap:
            client = ScramClient("sha256", b"secret", b"n=alice,r=x", b"y,,")
            assert scram(imap, "SCRAM-SHA-256", client).status == "NO"
            client = ScramClient("sha256", b"secret", b"n=alice,r=x")
            assert scram(imap, "SCRAM-SHA-256", client).status == "OK"

    @rfc("9266", "4.2", 1)
    def test_not_before_tls_1_3(self, server: Instance) -> None:
        with BoundImap(server.addresses["imaps"], version=SSL.TLS1_2_VERSION) as imap:
            assert not any("PLUS" in name for name in capabilities(imap))
            assert scram(imap, "SCRAM-SHA-256-PLUS", bound(imap)).status == "NO"


def test_a_master_is_named_in_the_log(server: Instance) -> None:
    with Imap(server.imap) as imap:
        client = ScramClient("sha256", b"power", b"n=master,r=x", b"n,a=bob,")
        assert scram(imap, "SCRAM-SHA-256", client).status == "OK"
    [line] = [line for line in server.log().splitlines() if "login: " in line]
    assert "login: user='bob' " in line
    assert line.endswith(" master='master'")


class TestMutt:
    pytestmark = needs("mutt")

    @pytest.mark.parametrize(
        "mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-1", "OAUTHBEARER", "XOAUTH2"]
    )
    def test_authenticators(
        self, server: Instance, home: Path, monkeypatch: pytest.MonkeyPatch, mechanism: str
    ) -> None:
        """It sends tokens under TLS alone."""
        trusted = write(home / "server.pem", server.certificate.read_bytes())
        text = (
            test_mutt.CONFIG.replace('"login"', f'"{mechanism.lower()}"')
            .replace("imap://alice@127.0.0.1:{port}", f"imaps://alice@localhost:{_imaps(server)}")
            .replace("set quit", f'set certificate_file = "{trusted}"\nset quit')
        )
        text += 'set imap_oauth_refresh_command = "echo good.token"\n'
        monkeypatch.setattr(test_mutt, "CONFIG", text)
        screen = test_mutt.mutt(server, home, "<quit>")
        assert "login: user='alice'" in server.log(), screen


def _imaps(server: Instance) -> int:
    return int(server.addresses["imaps"][1])


@needs("mbsync")
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-1"])
def test_mbsync(server: Instance, home: Path, mechanism: str) -> None:
    from .test_mbsync import CONFIG

    text = CONFIG.format(address=server.imap, home=home).replace("LOGIN", mechanism)
    (home / "mail").mkdir()
    (home / "mail").chmod(0o777)
    config = write(home / "mbsyncrc", text)
    result = run(["mbsync", "-c", config, "-a"], home)
    assert result.returncode == 0, result.stdout.decode(errors="replace")
    assert "login: user='alice'" in server.log()


class TestCurl:
    pytestmark = needs("curl")

    def curl(self, server: Instance, home: Path, scheme: str, *options: str) -> int:
        port = server.addresses[scheme][1]
        address = f"{scheme}://127.0.0.1:{port}/"
        result = run(["curl", "-sS", "-k", *options, address], home)
        print(result.stdout.decode(errors="replace"))
        return result.returncode

    @rfc("5034", "4", 21)
    @pytest.mark.parametrize("scheme", ["imap", "pop3", "imaps", "pop3s"])
    def test_plain_under_tls(self, server: Instance, home: Path, scheme: str) -> None:
        options = ("--ssl-reqd", "--login-options", "AUTH=PLAIN", "-u")
        assert self.curl(server, home, scheme, *options, "alice:secret") == 0
        assert self.curl(server, home, scheme, *options, "alice:wrong") == 67

    @pytest.mark.parametrize("scheme", ["imap", "pop3", "imaps", "pop3s"])
    @pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
    @pytest.mark.parametrize("initial", [(), ("--sasl-ir",)])
    def test_tokens(
        self, server: Instance, home: Path, scheme: str, mechanism: str, initial: tuple[str, ...]
    ) -> None:
        options = (*initial, "--login-options", f"AUTH={mechanism}", "-u", "alice:")
        assert self.curl(server, home, scheme, *options, "--oauth2-bearer", "good.token") == 0
        assert self.curl(server, home, scheme, *options, "--oauth2-bearer", "bad.token") == 67

    @pytest.mark.parametrize("scheme", ["imaps", "pop3s"])
    def test_certificate(self, server: Instance, home: Path, scheme: str) -> None:
        pair = [server.base / "tls" / f"alice.{kind}" for kind in ("pem", "key")]
        for path in pair:
            write(home / path.name, path.read_bytes())
        certificate = ("--cert", "alice.pem", "--key", "alice.key")
        options = ("--sasl-ir", "--login-options", "AUTH=EXTERNAL", "-u")
        assert self.curl(server, home, scheme, *certificate, *options, "alice:") == 0
        assert self.curl(server, home, scheme, *certificate, *options, "bob:") == 67
        assert self.curl(server, home, scheme, *options, "alice:") == 67
