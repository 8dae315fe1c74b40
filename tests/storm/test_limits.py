"""Input at and beyond the limits: refused by name, the session kept, the process unharmed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from tests.support import corpus
from tests.support.imap import Closed, Imap
from tests.support.instance import Instance, instance


@pytest.fixture
def client(shared: Instance, request: pytest.FixtureRequest) -> Iterator[Imap]:
    """A client of a user of its own, INBOX selected with one message."""
    user = shared.add_user(request.node.name.replace("[", "-").replace("]", ""))
    with shared.client(user) as made:
        made.appended("INBOX", corpus.simple(1))
        made.ok("SELECT INBOX")
        yield made


def refused(client: Imap, line: bytes) -> str:
    """Send a line that must be refused with the session kept; returns status and code."""
    answer = client.command(line)
    assert answer.status in ("NO", "BAD"), answer.tagged.raw
    client.ok("NOOP")
    return f"{answer.status} {answer.code}".strip()


def test_command_of_just_under_64_kib(client: Imap) -> None:
    """A long UID set is what clients really send."""
    uids = ",".join(["1"] * 32_000).encode()
    assert client.ok(b"UID FETCH " + uids + b" (UID)").fetched() == {1: {"UID": "1"}}


@pytest.mark.parametrize("size", [70_000, 1_000_000])
def test_line_too_long(client: Imap, size: int) -> None:
    """Read to its end, refused, and the next command is understood."""
    refused(client, b"SEARCH SUBJECT " + b"x" * size)


@pytest.mark.parametrize("depth", [51, 500, 20_000])
def test_nested_too_deep(client: Imap, depth: int) -> None:
    """Parentheses of a SEARCH."""
    refused(client, b"SEARCH " + b"(" * depth + b"ALL" + b")" * depth)


def test_nested_deep_enough(client: Imap) -> None:
    """Forty are fine."""
    answer = client.ok(b"SEARCH " + b"(" * 40 + b"ALL" + b")" * 40)
    assert answer.one("SEARCH").values[1:] == ["1"]


def test_nested_before_login(shared: Instance) -> None:
    """Nobody in particular can make the server recurse."""
    with Imap(shared.imap) as anyone:
        assert anyone.command(b"LOGIN " + b"(" * 500).status == "BAD"
        anyone.ok("NOOP")


def test_literal_too_big_is_refused_before_it_is_sent(client: Imap) -> None:
    """The client asks, the server says no, nothing was sent (RFC 9051 §6.3.12, RFC 7889 §4)."""
    tag = client.tag()
    client.send(f"{tag} APPEND INBOX {{{200 * 1024 * 1024}}}\r\n".encode())
    answer = client.finish(tag)
    assert (answer.status, answer.code) == ("NO", "TOOBIG")
    assert not [reply for reply in answer.untagged if reply.tag == "+"]
    client.ok("NOOP")


def test_literal_in_the_wrong_place(client: Imap) -> None:
    """A literal of 100 MiB as a password or a mailbox name is never taken."""
    tag = client.tag()
    client.send(f"{tag} STATUS {{100000000}}\r\n".encode())
    assert client.finish(tag).status in ("NO", "BAD")
    client.ok("NOOP")


def test_literal_split_at_every_octet(client: Imap) -> None:
    """The whole APPEND with LITERAL+ comes one octet a segment."""
    body = corpus.simple(5)
    head = b"z APPEND INBOX (\\Seen) {%d+}\r\n" % len(body)
    client.trickle(head + body + b"\r\n")
    assert client.finish("z").status == "OK"
    assert client.ok("UID FETCH 2 BODY.PEEK[]").fetched()[2]["BODY[]"] == body


def test_too_many_bad_commands(client: Imap) -> None:
    """The connection ends with BYE."""
    client.send(b"x NONSENSE\r\n" * 1000)
    names = [client.read().name]
    while names[-1] == "BAD":
        names.append(client.read().name)
    assert names[-1] == "BYE"
    assert 3 < len(names) < 500
    assert client.ended()


def test_no_line_end_ever(shared: Instance) -> None:
    """Ten megabytes without a line end cost the server nothing."""
    before = sum(process.memory_info().rss for process in shared.pids())
    with Imap(shared.imap) as anyone:
        block = b"a" * 65536
        with suppress(ConnectionError):  # the server may have had enough
            for _ in range(160):
                anyone.send(block)
        after = sum(process.memory_info().rss for process in shared.pids())
        assert after - before < 8 << 20


@pytest.fixture
def narrow() -> Iterator[Instance]:
    """A server with room for few."""
    with instance({"alice": "secret", "bob": "hidden"}) as server:
        server.settings["server"].update(
            user_connections=3, address_unauthenticated=4, workers_max=20
        )
        server.start()
        yield server


def test_connections_of_one_user(narrow: Instance) -> None:
    """The fourth login of a user is refused, another user is not; a place freed is a place."""
    with ExitStack() as stack:
        three = [stack.enter_context(narrow.client("alice")) for _ in range(3)]
        with Imap(narrow.imap) as fourth:
            answer = fourth.no("LOGIN alice secret")
            assert answer.code in ("LIMIT", "UNAVAILABLE", "INUSE")
        narrow.client("bob").close()
        three[0].ok("LOGOUT")
        assert three[0].ended()
        narrow.client("alice").close()


def test_unauthenticated_connections_of_one_address(narrow: Instance) -> None:
    """The fifth stranger is sent away; a user who is logged in does not count."""
    with ExitStack() as stack:
        stack.enter_context(narrow.client("alice"))
        for _ in range(4):
            stack.enter_context(Imap(narrow.imap))
        try:
            with Imap(narrow.imap) as fifth:
                assert fifth.greeting.name == "BYE"
                assert fifth.ended()
        except Closed:
            pytest.fail("closed without a word")
