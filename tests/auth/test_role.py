"""The running auth role: what clients of it are answered, and what cannot harm it."""

from __future__ import annotations

import os
import re
import socket
import struct
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from pymaild.auth import ticket
from pymaild.auth.answers import LARGEST_FRAME, Facts, Found, Reply, frame, parse, take_reply
from pymaild.auth.client import Accepted, Answer, AuthClient, Challenge, Rejected
from pymaild.auth.failures import FAILREGEX
from pymaild.auth.passwd_edit import set_password
from pymaild.auth.schemes import make_hash
from pymaild.auth.settings import AuthSettings
from pymaild.core.errors import Code, Refused
from pymaild.core.session import TlsFacts
from pymaild.core.settings import Duration
from tests.auth.conftest import COSTS, FACTS, KEY, Role, Start, users
from tests.support.rfc import rfc

TLS = TlsFacts("TLSv1.3")
CLEAR = replace(FACTS, tls=False)


def accepted(answer: Answer) -> str:
    assert isinstance(answer, Accepted), answer
    return answer.user.name


def refused(answer: Reply) -> Code:
    assert isinstance(answer, Rejected), answer
    return answer.code


class TestPasswords:
    def test_right_and_wrong(self, role: Role) -> None:
        client = role.client()
        for _ in range(2):  # hashed, then remembered
            assert accepted(client.password("alice", b"secret", FACTS)) == "alice"
            assert refused(client.password("alice", b"hidden", FACTS)) is Code.AUTHENTICATIONFAILED
        assert accepted(client.password("Bob", b"hidden", FACTS)) == "bob"

    @rfc("4616", "2", 7)
    def test_clients_see_no_difference(self, role: Role) -> None:
        client = role.client()
        texts = set()
        for user, password in (
            ("alice", b"wrong"),
            ("bob", b"wrong"),
            ("nobody", b"secret"),
            ("", b"secret"),
            ("alice\0", b"secret"),
            ("../alice", b"secret"),
            ("al\udcffice", b"secret"),
            ("alice", b""),
            ("alice", b"\xff\xfe"),
            ("alice", b"secret\0"),
            ("alice", b"s" * 5000),
        ):
            answer = client.password(user, password, FACTS)
            assert refused(answer) is Code.AUTHENTICATIONFAILED
            assert isinstance(answer, Rejected)
            texts.add(answer.text)
        assert len(texts) == 1

    def test_an_unknown_user_is_compared_too(self, start: Start) -> None:
        """The decoy is somebody's password, and nobody gets in with that one either."""
        client = start(users(bob="{PLAIN}hidden")).client()
        assert refused(client.password("eve", b"hidden", FACTS)) is Code.AUTHENTICATIONFAILED
        client = start("").client()
        assert refused(client.password("eve", b"hidden", FACTS)) is Code.AUTHENTICATIONFAILED

    def test_a_changed_password_counts_at_once(self, role: Role) -> None:
        client = role.client()
        assert accepted(client.password("alice", b"secret", FACTS))
        set_password(role.settings, "alice", b"better")
        assert refused(client.password("alice", b"secret", FACTS)) is Code.AUTHENTICATIONFAILED
        assert accepted(client.password("alice", b"better", FACTS))

    def test_a_virtual_user_has_no_ticket(self, role: Role) -> None:
        answer = role.client().password("alice", b"secret", FACTS)
        assert isinstance(answer, Accepted)
        assert answer.user.mail == "/mail/alice/Maildir"
        assert answer.ticket == ""

    def test_accounts_that_may_not_log_in(self, start: Start) -> None:
        client = start(
            "alice:{PLAIN}a::::::nologin\nbob:{PLAIN}b::::::allow_nets=192.0.2.0/29\n"
        ).client()
        assert refused(client.password("alice", b"a", FACTS)) is Code.CONTACTADMIN
        assert refused(client.password("alice", b"x", FACTS)) is Code.AUTHENTICATIONFAILED
        assert accepted(client.password("bob", b"b", FACTS))
        elsewhere = replace(FACTS, address="192.0.2.8")
        assert refused(client.password("bob", b"b", elsewhere)) is Code.CONTACTADMIN
        assert client.lookup("alice")

    @rfc("2595", "2.3", 2)
    def test_accounts_that_need_tls(self, start: Start) -> None:
        """RFC 2595 §2.3: also where all others may do without."""
        text = "alice:{PLAIN}a::::::require_tls\nbob:{PLAIN}b::::::require_tls=no\n"
        client = start(text, allow_plaintext=True).client()
        assert accepted(client.password("bob", b"b", CLEAR))
        assert accepted(client.password("alice", b"a", FACTS))
        assert refused(client.password("alice", b"a", CLEAR)) is Code.PRIVACYREQUIRED
        assert refused(client.password("alice", b"x", CLEAR)) is Code.AUTHENTICATIONFAILED

    def test_a_damaged_hash_lets_nobody_in(self, start: Start) -> None:
        role = start(users(alice="$argon2id$v=19$m=8,t=1,p=1$$", bob="{ROT13}x"))
        client = role.client()
        for user in ("alice", "bob"):
            assert refused(client.password(user, b"x", FACTS)) is Code.AUTHENTICATIONFAILED
        assert sum("reason=hash" in line for line in role.log()) == 2

    def test_the_default_domain(self, start: Start) -> None:
        client = start(
            "alice@example.org:{PLAIN}a\nbob:{PLAIN}b\n", default_domain="Example.org"
        ).client()
        assert accepted(client.password("alice", b"a", FACTS)) == "alice@example.org"
        assert accepted(client.password("bob@example.org", b"b", FACTS)) == "bob"
        assert refused(client.password("bob@example.com", b"b", FACTS))


class TestPrivacy:
    @rfc("4616", "1", 1)
    @rfc("4616", "5", 1)
    @rfc("5034", "4", 22, 23)
    def test_no_password_without_tls(self, role: Role) -> None:
        client = role.client()
        assert (client.mechanisms(TLS), client.mechanisms(None)) == (["PLAIN", "LOGIN"], [])
        assert (client.plaintext_allowed(True), client.plaintext_allowed(False)) == (True, False)
        for answer in (
            client.password("alice", b"secret", CLEAR),
            client.begin("PLAIN", b"\0alice\0secret", CLEAR),
            client.begin("LOGIN", None, CLEAR),
        ):
            assert refused(answer) is Code.PRIVACYREQUIRED

    def test_unless_the_settings_allow_it(self, start: Start) -> None:
        client = start(users(bob="{PLAIN}hidden"), allow_plaintext=True).client()
        assert client.mechanisms(None) == ["PLAIN", "LOGIN"]
        assert client.plaintext_allowed(False)
        assert accepted(client.password("bob", b"hidden", CLEAR))

    def test_mechanisms_that_are_not_set(self, start: Start) -> None:
        client = start(users(bob="{PLAIN}hidden"), mechanisms=("LOGIN",)).client()
        assert client.mechanisms(TLS) == ["LOGIN"]
        assert not client.plaintext_allowed(True)
        assert refused(client.begin("PLAIN", b"\0bob\0hidden", FACTS)) is Code.CANNOT
        assert refused(client.password("bob", b"hidden", FACTS)) is Code.CANNOT
        assert refused(client.begin("X-UNKNOWN", None, FACTS)) is Code.CANNOT


class TestExchanges:
    def test_plain(self, role: Role) -> None:
        client = role.client()
        assert client.begin("plain", None, FACTS) == Challenge(b"")
        assert accepted(client.respond(b"\0alice\0secret")) == "alice"
        assert accepted(client.begin("PLAIN", b"\0alice\0secret", FACTS)) == "alice"
        assert accepted(client.begin("PLAIN", b"ALICE\0alice\0secret", FACTS)) == "alice"

    def test_plain_as_somebody_else(self, role: Role) -> None:
        """RFC 4616 §2: the password must be right before the authorization is looked at."""
        client = role.client()
        for message, code in (
            (b"bob\0alice\0secret", Code.AUTHORIZATIONFAILED),
            (b"b/b\0alice\0secret", Code.AUTHORIZATIONFAILED),
            (b"bob\0alice\0wrong", Code.AUTHENTICATIONFAILED),
            (b"alice\0nobody\0secret", Code.AUTHENTICATIONFAILED),
        ):
            assert refused(client.begin("PLAIN", message, FACTS)) is code

    def test_malformed_messages(self, role: Role) -> None:
        client = role.client()
        for message in (b"", b"alice", b"\0alice\0secret\0", b"\xff\0alice\0secret"):
            assert refused(client.begin("PLAIN", message, FACTS)) is Code.AUTHENTICATIONFAILED
            assert refused(client.respond(b"\0alice\0secret")) is Code.CLIENTBUG

    def test_login(self, role: Role) -> None:
        client = role.client()
        assert client.begin("LOGIN", None, FACTS) == Challenge(b"Username:")
        assert client.respond(b"alice") == Challenge(b"Password:")
        assert accepted(client.respond(b"secret")) == "alice"
        assert client.begin("LOGIN", b"alice", FACTS) == Challenge(b"Password:")
        assert refused(client.respond(b"wrong")) is Code.AUTHENTICATIONFAILED

    def test_an_exchange_that_is_given_up(self, role: Role) -> None:
        client = role.client()
        client.begin("LOGIN", b"alice", FACTS)
        client.cancel()
        assert refused(client.respond(b"secret")) is Code.CLIENTBUG
        client.begin("LOGIN", b"alice", FACTS)
        assert accepted(client.password("bob", b"hidden", FACTS)) == "bob"
        assert refused(client.respond(b"secret")) is Code.CLIENTBUG
        assert not any("auth failure" in line for line in role.log())

    def test_connections_have_exchanges_of_their_own(self, role: Role) -> None:
        first, second = role.client(), role.client()
        first.begin("LOGIN", b"alice", FACTS)
        second.begin("LOGIN", b"bob", FACTS)
        assert accepted(first.respond(b"secret")) == "alice"
        assert accepted(second.respond(b"hidden")) == "bob"


class TestLookup:
    def test_lookup(self, role: Role) -> None:
        client = role.client()
        found = client.lookup("ALICE")
        assert found
        assert found.mail == "/mail/alice/Maildir"
        for name in ("eve", "", "a/b", "\udcff", "a" * 5000):
            assert client.lookup(name) is None

    def test_no_answer_is_given_without_the_file(self, role: Role) -> None:
        """An MTA must hear "later" and not "no such user" while the users cannot be read."""
        client = role.client()
        os.rename(role.settings.passwd_file, f"{role.settings.passwd_file}.away")
        with pytest.raises(Refused) as caught:
            client.lookup("alice")
        assert caught.value.code is Code.UNAVAILABLE
        assert refused(client.password("alice", b"secret", FACTS)) is Code.UNAVAILABLE
        assert sum("cannot be read" in line for line in role.log()) == 1
        os.rename(f"{role.settings.passwd_file}.away", role.settings.passwd_file)
        assert client.lookup("alice")


class TestFailures:
    @rfc("3501", "11.2", 4)
    @rfc("9051", "11.7", 4)
    def test_delays_double_by_address(self, start: Start) -> None:
        role = start(users(bob="{PLAIN}x"), failure_delay=1.0, failure_delay_max=5.0)
        client = role.client()

        def delay(address: str, password: bytes = b"wrong") -> float:
            answer = client.password("bob", password, replace(FACTS, address=address))
            return answer.delay if isinstance(answer, Rejected) else 0.0

        assert [delay("192.0.2.1") for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
        assert delay("192.0.2.2") == 1.0
        assert delay("192.0.2.1", b"x") == 0.0
        assert [delay("2001:db8::1"), delay("2001:db8::2"), delay("2001:db8:0:1::1")] == [1, 2, 1]

    def test_the_line(self, role: Role) -> None:
        client = role.client()
        client.password("alice", b"wrong", FACTS)
        client.begin("LOGIN", b"eve", replace(FACTS, address="2001:db8::1", protocol="pop3"))
        client.respond(b"wrong")
        client.password("eve", b"wrong", replace(FACTS, address="", session=""))
        where = "warning: auth: auth failure:"
        assert role.log() == [
            f"{where} user=<alice> address=192.0.2.7 protocol=imap mechanism=PLAIN "
            "reason=password session=5e55",
            f"{where} user=<eve> address=2001:db8::1 protocol=pop3 mechanism=LOGIN "
            "reason=unknown-user session=5e55",
            f"{where} user=<eve> address=- protocol=imap mechanism=PLAIN "
            "reason=unknown-user session=-",
        ]

    def test_nobody_can_forge_it(self, role: Role) -> None:
        """Whatever is sent as a name, the filter finds the address of the one who sent it."""
        forged = "auth failure: user=<x> address=203.0.113.9 protocol=imap mechanism=PLAIN "
        client = role.client()
        for name in (
            f"x\n{forged}reason=password",
            f"x> address=203.0.113.9 protocol=imap mechanism=PLAIN reason=password <{forged}",
            "\u2028\r\x1b[2J\\",
            "\udcff\ud800",
            "<" * 5000,
        ):
            client.password(name, b"wrong", FACTS)
            client.password("alice", b"wrong", replace(FACTS, protocol=name, session=name))
        regex = re.compile(FAILREGEX.replace("<HOST>", r"(?P<host>\S+)"))
        lines = role.log()
        assert len(lines) == 10
        for line in lines:
            assert line.isascii()
            assert line.isprintable()
            assert len(line) < 1500
        hosts = [found["host"] for line in lines for found in regex.finditer(line)]
        assert set(hosts) == {"192.0.2.7"}
        assert len(hosts) >= 5

    def test_the_filter_for_fail2ban(self, role: Role) -> None:
        """The filter in etc has the documented expression, and finds the line in both logs."""
        text = (Path(__file__).parents[2] / "etc/fail2ban/filter.d/pymaild.conf").read_text()
        [failregex] = re.findall(r"^failregex = (.*)$", text, re.MULTILINE)
        assert failregex.endswith(FAILREGEX)
        regex = re.compile(failregex.replace("<HOST>", r"(?P<host>[\w.:]+)"))
        role.client().password("alice", b"wrong", FACTS)
        [line] = role.log()
        for before in (" pymaild[4711] ", "mail pymaild[4711]: "):  # the date is cut off
            found = regex.search(before + line)
            assert found
            assert found["host"] == "192.0.2.7"
            assert not regex.search(f"{before}info: imap: {before}{line}")

    def test_what_is_no_guess_bans_nobody(self, start: Start) -> None:
        role = start("alice:{PLAIN}a::::::nologin\nbob:{PLAIN}b\ncarol:{SHA512-CRYPT}$6$\n")
        client = role.client()
        client.password("alice", b"a", FACTS)
        client.begin("PLAIN", b"alice\0bob\0b", FACTS)
        client.password("carol", b"c", FACTS)
        failures = [line for line in role.log() if "auth failure" in line]
        assert [re.findall(r"reason=(\S+)", line) for line in failures] == [
            ["no-login"],
            ["authorization"],
            ["hash"],
        ]
        assert not any(re.search(FAILREGEX.replace("<HOST>", r"\S+"), line) for line in failures)

    def test_secrets_are_nowhere_in_the_log(self, role: Role) -> None:
        client = role.client()
        client.password("alice", b"sesame", FACTS)
        client.begin("PLAIN", b"sesame\0alice\0sesame\0", FACTS)
        client.begin("PLAIN", b"\xff\0alice\0sesame", FACTS)
        with role.connect() as bare:
            bare.sendall(frame({"ask": "password", "user": "alice", "password": "sesame"}))
            assert bare.recv(1) == b""
        assert len(role.log()) == 4
        assert not any("sesame" in line or "c2VzYW1l" in line for line in role.log())


def system_role(start: Start, shadow: str, **changes: object) -> Role:
    role = start(users(bob="{PLAIN}hidden"))
    path = f"{role.settings.passwd_file}.shadow"
    with open(path, "w", encoding="ascii") as file:
        file.write(shadow)
    return start(users(bob="{PLAIN}hidden"), system_users=True, shadow_file=path, **changes)


class TestSystemUsers:
    STORED = make_hash(b"secret", *COSTS).removeprefix("{ARGON2ID}")

    def test_login(self, start: Start) -> None:
        client = system_role(start, f"nobody:{self.STORED}:19000:0:99999:7:::\n").client()
        answer = client.password("nobody", b"secret", FACTS)
        assert isinstance(answer, Accepted)
        user = answer.user
        assert (user.system, user.uid, user.mail) == (True, 65534, f"{user.home}/Maildir")
        assert ticket.verify(KEY, answer.ticket, user)
        assert not ticket.verify(KEY, answer.ticket, replace(user, name="bob"))
        assert answer.ticket not in repr(answer)
        assert refused(client.password("nobody", b"wrong", FACTS)) is Code.AUTHENTICATIONFAILED
        assert accepted(client.password("bob", b"hidden", FACTS)) == "bob"
        assert client.lookup("nobody") == user
        found, allowed = client.vouched("nobody")
        assert found == user
        assert ticket.verify(KEY, allowed, user, purpose="delivery")
        assert not ticket.verify(KEY, allowed, user)
        assert client.vouched("bob")[1] == ""

    @pytest.mark.parametrize("stored", ["", "*", "!", f"!{STORED}"])
    def test_locked(self, start: Start, stored: str) -> None:
        client = system_role(start, f"nobody:{stored}:19000:0:99999:7:::\n").client()
        assert refused(client.password("nobody", b"secret", FACTS)) is Code.AUTHENTICATIONFAILED
        assert refused(client.password("nobody", b"", FACTS)) is Code.AUTHENTICATIONFAILED
        assert client.lookup("nobody")

    @pytest.mark.parametrize("days", ["0:0:99999:7::", "1:0:30:7::", "19000:0:99999:7::1"])
    def test_expired(self, start: Start, days: str) -> None:
        client = system_role(start, f"nobody:{self.STORED}:{days}:\n").client()
        assert refused(client.password("nobody", b"secret", FACTS)) is Code.EXPIRED
        assert refused(client.password("nobody", b"wrong", FACTS)) is Code.AUTHENTICATIONFAILED

    def test_daemons_and_strangers(self, start: Start) -> None:
        shadow = f"root:{self.STORED}:19000:0:::::\nno-such-user:{self.STORED}:19000:0:::::\n"
        client = system_role(start, shadow).client()
        for name in ("root", "no-such-user"):
            assert refused(client.password(name, b"secret", FACTS)) is Code.AUTHENTICATIONFAILED
            assert client.lookup(name) is None


def ask(connection: socket.socket, data: bytes, answers: int = 1) -> list[Reply]:
    """Send octets and read at the same time; returns the answers that come."""
    sender = threading.Thread(target=connection.sendall, args=(data,))
    sender.start()
    with connection.makefile("rb") as file:
        found: list[Reply] = []
        for _ in range(answers):
            (size,) = struct.unpack(">I", file.read(4))
            found.append(take_reply(parse(file.read(size))))
    sender.join()
    return found


LOOKUP = frame({"ask": "lookup", "name": "eve"})


class TestFrames:
    @pytest.mark.parametrize(
        "data",
        [
            b"GET / HTTP/1.1\r\n\r\n",
            struct.pack(">I", LARGEST_FRAME + 1),
            struct.pack(">I", 0),
            struct.pack(">I", 3) + b"{\xff}",
            struct.pack(">I", 2) + b"[]",
            struct.pack(">I", 60_000) + b"[" * 60_000,
            struct.pack(">I", 60_000) + b"9" * 60_000,
            *(
                frame(question)
                for question in (
                    {},
                    {"ask": 1},
                    {"ask": "drop"},
                    {"ask": "lookup"},
                    {"ask": "lookup", "name": ["eve"]},
                    {"ask": "begin", "mechanism": "PLAIN"},
                    {"ask": "begin", "mechanism": "PLAIN", "facts": ["a", "b", 1, "c"]},
                    {"ask": "begin", "mechanism": "PLAIN", "facts": ["a", "b"]},
                    {
                        "ask": "begin",
                        "mechanism": "PLAIN",
                        "initial": "=?",
                        "facts": ["a", "", True, "", "", ""],
                    },
                    {"ask": "respond", "data": None},
                    {
                        "ask": "password",
                        "user": "a",
                        "password": "ü",
                        "facts": ["a", "", True, "", "", ""],
                    },
                )
            ),
        ],
    )
    def test_what_is_no_question_ends_the_connection(self, role: Role, data: bytes) -> None:
        other = role.client()
        assert other.lookup("alice")
        with role.connect() as bare:
            bare.sendall(data)
            assert bare.recv(1) == b""
        assert other.lookup("alice")
        assert len(role.log()) == 1

    def test_octet_by_octet(self, role: Role) -> None:
        with role.connect() as bare:
            for position in range(len(LOOKUP) - 1):
                bare.sendall(LOOKUP[position : position + 1])
            assert ask(bare, LOOKUP[-1:]) == [Found(None)]

    def test_many_at_once(self, role: Role) -> None:
        """Questions in one piece, quick and slow ones, are answered in their order."""
        facts = ["imap", "192.0.2.7", True, "x", "", ""]
        slow = frame({"ask": "password", "user": "alice", "password": "eA==", "facts": facts})
        with role.connect() as bare:
            found = ask(bare, (LOOKUP + slow) * 40 + LOOKUP, 81)
        assert [isinstance(answer, Found) for answer in found] == [True, False] * 40 + [True]

    def test_more_than_fits_behind_a_slow_one(self, start: Start) -> None:
        """While a password is checked its connection is not read."""
        role = start(users(alice=make_hash(b"secret", 64 * 1024 * 1024, 1, 1)))
        slow = {"ask": "password", "user": "alice", "password": "eA=="}
        count = 3 * LARGEST_FRAME // len(LOOKUP)
        with role.connect() as bare:
            facts = ["imap", "192.0.2.7", True, "x", "", ""]
            found = ask(bare, frame({**slow, "facts": facts}) + LOOKUP * count, count + 1)
        assert refused(found[0]) is Code.AUTHENTICATIONFAILED
        assert found[1:] == [Found(None)] * count

    def test_a_client_that_does_not_read(self, role: Role) -> None:
        """It is not read from either, and nobody else notices."""
        with role.connect() as bare:
            bare.setblocking(False)
            sent = 0
            try:
                while sent < 50_000_000:
                    sent += bare.send(LOOKUP * 500)
            except BlockingIOError:
                assert sent < 10_000_000
            assert role.client().lookup("alice")
            bare.setblocking(True)
            rest = LOOKUP[sent % len(LOOKUP) :] if sent % len(LOOKUP) else b""
            count = (sent + len(rest)) // len(LOOKUP)
            found = ask(bare, b"", count - (1 if rest else 0))
            assert found == [Found(None)] * len(found)

    def test_half_a_question_holds_up_nobody(self, role: Role) -> None:
        with role.connect() as half, role.connect() as silent:
            half.sendall(LOOKUP[:7])
            assert role.client().lookup("alice")
            assert ask(half, LOOKUP[7:]) == [Found(None)]
            assert ask(silent, LOOKUP) == [Found(None)]

    def test_gone_while_the_password_is_checked(self, role: Role) -> None:
        question = {"ask": "password", "user": "alice", "password": "eA=="}
        with role.connect() as bare:
            bare.sendall(frame({**question, "facts": ["imap", "192.0.2.7", True, "gone", "", ""]}))
        client = role.client()
        for _ in range(10):  # checks are taken in turn: those that follow come after that one
            client.password("alice", b"wrong", FACTS)
        assert sum("session=gone" in line for line in role.log()) == 1


class TestConnections:
    def test_their_number_is_bounded(self, start: Start) -> None:
        role = start(users(bob="{PLAIN}x"), connections=2)
        with role.connect() as first, role.connect() as second:
            assert ask(first, LOOKUP) == ask(second, LOOKUP) == [Found(None)]
            with role.connect() as third:
                assert third.recv(1) == b""
            first.close()
            assert ask(second, LOOKUP) == [Found(None)]  # by now the first is known to be gone
            with role.connect() as fourth:
                assert ask(fourth, LOOKUP) == [Found(None)]

    def test_drain(self, role: Role) -> None:
        """Nothing new is accepted, what there is goes on, and then the process ends."""
        client = role.client()
        assert client.lookup("alice")
        role.drain()
        assert client.lookup("alice")  # asked later than the drain: it is known when this is
        with role.connect() as late:  # waits in the backlog: nobody accepts it any more
            late.sendall(LOOKUP)
            for _ in range(3):
                assert client.lookup("alice")
            client.close()
            assert role.wait() == 0
            late.setblocking(False)
            with pytest.raises(BlockingIOError):
                late.recv(1)
        os.close(role.stop)

    def test_end(self, role: Role) -> None:
        """End of file ends it at once, whoever is connected."""
        with role.connect() as bare:
            assert ask(bare, LOOKUP) == [Found(None)]
            assert role.end() == 0
            assert bare.recv(1) == b""

    def test_drain_then_end(self, role: Role) -> None:
        with role.connect() as bare:
            assert ask(bare, LOOKUP) == [Found(None)]
            role.drain()
            assert ask(bare, LOOKUP) == [Found(None)]
            assert role.end() == 0

    def test_a_new_process_takes_over(self, role: Role) -> None:
        """The listening socket is the master's: a client notices a crash only in an exchange."""
        client = role.client()
        assert client.begin("LOGIN", b"alice", FACTS) == Challenge(b"Password:")
        role.kill()
        role.start()
        with pytest.raises(Refused) as caught:
            client.respond(b"secret")
        assert caught.value.code is Code.UNAVAILABLE
        assert accepted(client.password("alice", b"secret", FACTS)) == "alice"
        role.kill()
        role.start()
        assert client.lookup("alice")


class TestUnreachable:
    def test_nobody_listens(self, role: Role) -> None:
        client = AuthClient(f"{role.path}.nowhere", role.settings)
        with pytest.raises(Refused) as caught:
            client.lookup("alice")
        assert caught.value.code is Code.UNAVAILABLE
        assert role.path not in caught.value.text

    def test_nobody_answers(self, role: Role) -> None:
        role.kill()
        client = AuthClient(role.path, replace(role.settings, timeout=Duration(0.1)))
        with pytest.raises(Refused) as caught:
            client.password("alice", b"secret", Facts("imap", "", True, ""))
        assert caught.value.code is Code.UNAVAILABLE
        role.listener.setblocking(False)
        role.listener.accept()[0].close()
        with pytest.raises(BlockingIOError):  # it did not ask again: that would add to the load
            role.listener.accept()

    def test_nonsense_is_answered(self, tmp_path: os.PathLike[str]) -> None:
        path = os.path.join(tmp_path, "auth")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            pid = os.fork()
            if pid == 0:
                for _ in range(4):
                    accepted_socket, _ = listener.accept()
                    accepted_socket.sendall(frame({"is": "accepted", "user": {"nmae": "eve"}}))
                    accepted_socket.close()
                os._exit(0)
            client = AuthClient(path, AuthSettings())
            with pytest.raises(Refused) as caught:
                client.lookup("alice")
            assert caught.value.code is Code.UNAVAILABLE
            assert os.waitpid(pid, 0)[1] == 0
