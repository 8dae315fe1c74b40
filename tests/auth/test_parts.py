"""Tickets, delays, remembered passwords, the queue of checks, and the settings."""

from __future__ import annotations

import select
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymaild.auth import penalty, ticket
from pymaild.auth.answers import BadFrame, Challenge, Found, Rejected, Reply
from pymaild.auth.cache import Cache
from pymaild.auth.judge import Verdict
from pymaild.auth.penalty import Penalties, network
from pymaild.auth.schemes import make_hash
from pymaild.auth.service import HASHES, Check, Conversation, Service
from pymaild.auth.settings import AuthSettings
from pymaild.auth.sources import open_directory
from pymaild.auth.threads import Threads
from pymaild.auth.users import Directory, SourceUnavailable
from pymaild.core.errors import Code, ConfigError
from pymaild.core.session import User

ALICE = User("alice", 1000, 1000, "/home/alice", "/home/alice/Maildir", True)


class TestTickets:
    KEY = ticket.make_key()

    def test_good_for_one_user_and_one_minute(self) -> None:
        issued = ticket.issue(self.KEY, ALICE, now=100.0)
        assert ticket.verify(self.KEY, issued, ALICE, now=100.0)
        assert ticket.verify(self.KEY, issued, ALICE, now=159.0)
        assert not ticket.verify(self.KEY, issued, ALICE, now=160.0)
        assert not ticket.verify(self.KEY, issued, ALICE, now=90.0)  # of the future
        assert not ticket.verify(ticket.make_key(), issued, ALICE, now=100.0)
        assert ticket.issue(self.KEY, ALICE, now=100.0) != issued

    def test_good_for_one_purpose(self) -> None:
        """Whoever may deliver mail to a user may not read what the user has."""
        login = ticket.issue(self.KEY, ALICE)
        delivery = ticket.issue(self.KEY, ALICE, purpose="delivery")
        assert ticket.verify(self.KEY, login, ALICE)
        assert ticket.verify(self.KEY, delivery, ALICE, purpose="delivery")
        assert not ticket.verify(self.KEY, delivery, ALICE)
        assert not ticket.verify(self.KEY, login, ALICE, purpose="delivery")

    @pytest.mark.parametrize("field", ["name", "uid", "gid", "home", "mail", "system"])
    def test_every_fact_counts(self, field: str) -> None:
        issued = ticket.issue(self.KEY, ALICE)
        other = User(*(getattr(ALICE, name) for name in ALICE.__dataclass_fields__))
        assert ticket.verify(self.KEY, issued, other)
        value = getattr(ALICE, field)
        setattr(other, field, not value if isinstance(value, bool) else value * 2)
        assert not ticket.verify(self.KEY, issued, other)

    def test_every_octet_counts(self) -> None:
        issued = ticket.issue(self.KEY, ALICE)
        assert not ticket.verify(self.KEY, issued + "\n", ALICE)
        for position in range(len(issued)):
            letter = "A" if issued[position] != "A" else "B"
            forged = issued[:position] + letter + issued[position + 1 :]
            assert not ticket.verify(self.KEY, forged, ALICE)

    @settings(deadline=None)
    @given(st.text())
    def test_no_text_is_one(self, text: str) -> None:
        assert not ticket.verify(self.KEY, text, ALICE)


class TestPenalties:
    SETTINGS = AuthSettings(
        failure_delay=2.0,  # type: ignore[arg-type]
        failure_delay_max=15.0,  # type: ignore[arg-type]
        failure_memory=60.0,  # type: ignore[arg-type]
    )

    def test_doubling_and_forgetting(self) -> None:
        penalties = Penalties(self.SETTINGS)
        assert [penalties.fail("192.0.2.1", t) for t in range(5)] == [2, 4, 8, 15, 15]
        assert penalties.fail("192.0.2.1", 63.0) == 15
        assert penalties.fail("192.0.2.1", 123.0) == 2
        for _ in range(2000):
            assert penalties.fail("192.0.2.9", 123.0) <= 15

    def test_off(self) -> None:
        penalties = Penalties(AuthSettings(failure_delay=0.0))  # type: ignore[arg-type]
        assert [penalties.fail("192.0.2.1", t) for t in range(3)] == [0, 0, 0]

    def test_the_table_is_bounded(self) -> None:
        penalties = Penalties(self.SETTINGS)
        penalties.fail("192.0.2.1", 0)
        for number in range(penalty.LARGEST_TABLE - 1):
            penalties.fail(f"10.0.{number >> 8}.{number & 255}", 0)
        assert penalties.fail("192.0.2.1", 0) == 4
        for number in range(penalty.LARGEST_TABLE):
            penalties.fail(f"10.1.{number >> 8}.{number & 255}", 0)
        assert len(penalties) == penalty.LARGEST_TABLE
        assert penalties.fail("192.0.2.1", 0) == 2

    @pytest.mark.parametrize(
        ("address", "place"),
        [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("::1", "::/64"),
            ("fe80::1%eth0", "fe80::/64"),
            ("", ""),
            ("nonsense", ""),
        ],
    )
    def test_what_is_punished_together(self, address: str, place: str) -> None:
        assert network(address) == place


class TestCache:
    def test_what_is_known(self) -> None:
        cache = Cache(AuthSettings(cache_ttl=60.0))  # type: ignore[arg-type]
        cache.add("alice", "hash", b"secret", 100.0)
        assert cache.knows("alice", "hash", b"secret", 159.0)
        assert not cache.knows("alice", "hash", b"secret", 160.0)
        assert not cache.knows("alice", "hash", b"Secret", 100.0)
        assert not cache.knows("alice", "hash2", b"secret", 100.0)
        assert not cache.knows("alice", "has", b"hsecret", 100.0)
        assert not cache.knows("bob", "hash", b"secret", 100.0)

    def test_the_one_not_used_for_longest_leaves(self) -> None:
        cache = Cache(AuthSettings(cache_size=2))
        cache.add("alice", "h", b"a", 0.0)
        cache.add("bob", "h", b"b", 0.0)
        assert cache.knows("alice", "h", b"a", 1.0)
        cache.add("carol", "h", b"c", 1.0)
        assert len(cache) == 2
        assert cache.knows("alice", "h", b"a", 1.0)
        assert not cache.knows("bob", "h", b"b", 1.0)

    @pytest.mark.parametrize("off", [{"cache_size": 0}, {"cache_ttl": 0.0}])
    def test_off(self, off: dict[str, float]) -> None:
        cache = Cache(AuthSettings(**off))  # type: ignore[arg-type]
        cache.add("alice", "h", b"a", 0.0)
        assert not cache.knows("alice", "h", b"a", 0.0)


class TestThreads:
    def test_the_queue_is_bounded(self) -> None:
        threads = Threads(HASHES, 1, 2)
        release, answers = threading.Event(), list[Reply]()

        def check() -> Check:
            def compare() -> Verdict:
                release.wait()
                return Verdict.MATCH

            return Check(HASHES, compare, lambda verdict: Challenge(verdict.value.encode()))

        try:
            taken = [threads.submit(check(), answers.append) for _ in range(5)]
            assert taken == [True, True, True, False, False]
            release.set()
            while len(answers) < 3:
                select.select([threads.done_fd], [], [])
                threads.deliver()
            assert answers == [Challenge(b"match")] * 3
            assert threads.submit(check(), answers.append)
        finally:
            release.set()
            threads.close()

    def test_a_bug_in_a_check_is_an_answer(self, caplog: pytest.LogCaptureFixture) -> None:
        threads = Threads(HASHES, 2, 2)
        answers: list[Reply] = []
        try:
            assert threads.submit(Check(HASHES, lambda: 1 / 0, Found), answers.append)  # type: ignore
            select.select([threads.done_fd], [], [])
            threads.deliver()
        finally:
            threads.close()
        [answer] = answers
        assert isinstance(answer, Rejected)
        assert answer.code is Code.SERVERBUG
        assert answer.text.split()[-1] in caplog.text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
keys = st.sampled_from(["mechanism", "facts", "initial", "data", "user", "password", "name"])
FACTS_LIST = ["imap", "192.0.2.1", True, "x", "", ""]
likely = st.just(FACTS_LIST) | st.sampled_from(["PLAIN", "LOGIN", "YQ=="])


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["begin", "respond", "password", "lookup"]) | json_values,
            st.dictionaries(
                keys,
                json_values | st.just(FACTS_LIST) | st.sampled_from(["PLAIN", "LOGIN", "YQ=="]),
            ),
        ),
        max_size=4,
    )
)
def test_no_question_is_a_bug(questions: list[tuple[object, dict[str, object]]]) -> None:
    service = Service(AuthSettings(passwd_file=""), b"k" * 32)  # type: ignore[arg-type]
    conversation = Conversation()
    for ask, rest in questions:
        try:
            answer = service.ask({**rest, "ask": ask}, conversation)
        except BadFrame:
            continue
        assert not (isinstance(answer, Rejected) and answer.code is Code.SERVERBUG)


class TestSettings:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"mechanisms": ("PLAIN", "SCRAM")},
            {"masters": ("alice", "no body")},
            {"mail_path": "/mail/all"},
            {"mail_path": "/mail/{usr}"},
            {"mail_path": "/mail/{domain}"},
            {"hash_memory": 65536, "hash_parallelism": 64},
        ],
    )
    def test_wrong(self, wrong: dict[str, object]) -> None:
        with pytest.raises(ConfigError) as caught:
            AuthSettings(**wrong)  # type: ignore[arg-type]
        assert str(caught.value).startswith(next(iter(wrong)))

    def test_no_password_need_be_sent(self) -> None:
        assert AuthSettings(mechanisms=()).mechanisms == ()


class TestUnknownUsers:
    """Names that do not exist take the time of some that do."""

    def directory(self, tmp_path: Path, text: str) -> Directory:
        (tmp_path / "users").write_text(text)
        return open_directory(AuthSettings(passwd_file=str(tmp_path / "users")))  # type: ignore

    def test_the_decoy_is_one_of_the_stored_passwords(self, tmp_path: Path) -> None:
        stored = [f"{{PLAIN}}p{number}" for number in range(20)]
        lines = (f"user{number}:{text}\n" for number, text in enumerate(stored))
        directory = self.directory(tmp_path, "".join(lines) + "locked:\n")
        decoys = [directory.decoy(f"nobody{number}") for number in range(200)]
        assert decoys == [directory.decoy(f"nobody{number}") for number in range(200)]
        assert set(decoys) <= set(stored)
        assert len(set(decoys)) > 10

    def test_without_users_it_is_like_a_new_password(self, tmp_path: Path) -> None:
        decoy = self.directory(tmp_path, "").decoy("nobody")
        assert decoy.startswith("{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=4$")

    @pytest.mark.parametrize(
        ("stored", "slow"), [("{PLAIN}secret", False), (make_hash(b"secret", 65536, 1, 1), True)]
    )
    def test_both_are_checked_the_same_way(self, tmp_path: Path, stored: str, slow: bool) -> None:
        (tmp_path / "users").write_text(f"alice:{stored}\n")
        settings = AuthSettings(passwd_file=str(tmp_path / "users"))  # type: ignore[arg-type]
        service = Service(settings, b"k" * 32)
        for name in ("alice", "nobody"):
            answer = service.ask(
                {"ask": "password", "user": name, "password": "eA==", "facts": FACTS_LIST},
                Conversation(),
            )
            assert isinstance(answer, Check) is slow


def test_sources_that_are_not_there() -> None:
    nowhere = AuthSettings(passwd_file="")  # type: ignore[arg-type]
    assert open_directory(nowhere).find("alice") is None
    unreadable = replace(nowhere, system_users=True, shadow_file="/nonexistent/shadow")  # type: ignore[arg-type]
    with pytest.raises(SourceUnavailable):
        open_directory(unreadable).find("alice")
