"""Searches that stand on the server by name (RFC 5466)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pymaild.mail.metadata import encode, load
from tests.imap.conftest import Client, ImapBench
from tests.support.imap import quote
from tests.support.rfc import rfc


def keep(client: Client, name: str, program: str | None, kind: str = "private") -> None:
    value = quote(program) if program is not None else "NIL"
    client.ok(f'SETMETADATA "" (/{kind}/filters/values/{name} {value})')


def found(client: Client, keys: str) -> list[int]:
    return [int(number) for number in client.ok(f"SEARCH {keys}").one("SEARCH").values[1:]]


@rfc("5466", "3.2", 1)
@rfc("5466", "4", 1)
def test_a_filter_stands_for_its_keys(mail: ImapBench) -> None:
    client = mail.select()
    keep(client, "on-the-road", 'OR SMALLER 100 FROM "carl@example.org"')
    assert found(client, "filter On-The-Road") == [2, 3]
    assert found(client, "UID 1:2 FILTER ON-THE-ROAD NOT SUBJECT one") == [2]
    assert found(client, "NOT FILTER on-the-road") == [1]
    keep(client, "on-the-road", "SUBJECT three NOT 1")
    assert found(client, "OR 1 FILTER on-the-road") == [1, 3]
    keep(client, "on-the-road", None)
    assert client.no("SEARCH FILTER on-the-road").tagged.code == ["UNDEFINED-FILTER", "on-the-road"]


@rfc("5466", "3.1", 1)
@pytest.mark.parametrize("command", ["SEARCH", "UID SEARCH", "SEARCH RETURN (COUNT)", "ESEARCH"])
def test_unknown_filters(mail: ImapBench, command: str) -> None:
    client = mail.select()
    assert client.no(f"{command} FILTER no-one").tagged.code == ["UNDEFINED-FILTER", "no-one"]
    for name in ("a/b", "", '"x"', "a*", "(x)", "x]"):
        client.bad(f"{command} FILTER {name}")


@rfc("5466", "1", 1)
def test_private_filters_go_before_shared_ones(mail: ImapBench) -> None:
    client = mail.select()
    path = client.running.session.account.annotations("").path
    keep(client, "mine", "1")
    stored = load(path)
    stored[""] = {"/shared/filters/values/mine": b"2", "/shared/filters/values/ours": b"3"}
    with open(path, "wb") as file:
        file.write(encode(stored))
    assert found(client, "FILTER mine") == [1]
    assert found(client, "FILTER ours") == [3]
    keep(client, "mine", None)
    assert found(client, "FILTER mine") == [2]


@rfc("5466", "3.1", 3)
def test_filters_in_filters(mail: ImapBench) -> None:
    client = mail.select()
    keep(client, "f0", "SUBJECT t")
    for depth in range(1, 8):
        keep(client, f"f{depth}", f"NOT FILTER f{depth - 1}")
    assert [found(client, f"FILTER f{depth}") for depth in range(4)] == [[2, 3], [1]] * 2
    assert client.no("SEARCH FILTER f7").code == "UNDEFINED-FILTER"


@rfc("5466", "3.1", 4, 5)
def test_loops_are_found(mail: ImapBench) -> None:
    client = mail.select()
    keep(client, "self", "OR SEEN FILTER self")
    keep(client, "ping", "FILTER pong")
    keep(client, "pong", "FILTER PING")
    for name in ("self", "ping"):
        assert client.no(f"SEARCH FILTER {name}").tagged.code[0] == "UNDEFINED-FILTER"
    keep(client, "twice", "SEEN")
    assert found(client, "FILTER twice FILTER twice") == []


@rfc("5466", "3.2", 4)
def test_too_many_filters(mail: ImapBench) -> None:
    mail.mail = replace(mail.mail, metadata_entries=2)
    client = mail.login()
    keep(client, "a", "SEEN")
    keep(client, "b", "SEEN")
    answer = client.no('SETMETADATA "" (/private/filters/values/c "SEEN")')
    assert answer.tagged.code == ["METADATA", "TOOMANY"]


def test_filters_cannot_grow_without_bound(mail: ImapBench) -> None:
    """Each one names the one before it many times."""
    client = mail.select()
    keep(client, "w0", "SEEN")
    for depth in range(1, 5):
        keep(client, f"w{depth}", " ".join([f"FILTER w{depth - 1}"] * 60))
    assert client.no("SEARCH FILTER w4").code == "LIMIT"


@rfc("5466", "3.1", 2)
@rfc("5466", "3.2", 3)
@pytest.mark.parametrize(
    "program", ["OR SMALLER", "", "FROB", "SEEN)", "CHARSET UTF-8 SEEN", "FILTER a/b", "FROM {5}"]
)
def test_only_whole_searches_are_taken(mail: ImapBench, program: str) -> None:
    client = mail.select()
    keep(client, "good", "SEEN")
    text = f'SETMETADATA "" (/private/filters/values/good {quote(program)})'
    assert client.no(text).code == "CANNOT"
    assert found(client, "FILTER good") == []
    stored = load(path := client.running.session.account.annotations("").path)
    stored["alice"]["/private/filters/values/good"] = program.encode()
    with open(path, "wb") as file:
        file.write(encode(stored))
    assert client.no("SEARCH FILTER good").code == "UNDEFINED-FILTER"


@rfc("5466", "1", 2)
@rfc("5466", "3.2", 2)
def test_values_are_utf8(mail: ImapBench) -> None:
    client = mail.select()
    client.ok(b'SETMETADATA "" (/private/filters/values/joerg {10+}\r\nFROM J\xc3\xb6rg)')
    assert found(client, "FILTER joerg") == [3]
    tag = client.start(b'SETMETADATA "" (/private/filters/values/bad {6+}\r\nFROM \xff)')
    assert client.finish(tag).code == "CANNOT"


def test_values_with_literals_and_line_ends(mail: ImapBench) -> None:
    client = mail.select()
    inner = b"SUBJECT {3+}\r\ntwo NOT SEEN"
    client.ok(b'SETMETADATA "" (/private/filters/values/x {%d+}\r\n%b)' % (len(inner), inner))
    assert found(client, "FILTER x") == [2]
    two = b"SEEN\r\nDELETED"
    command = b'SETMETADATA "" (/private/filters/values/y {%d+}\r\n%b)' % (len(two), two)
    assert client.command(command).code == "CANNOT"


@rfc("5466", "3.1", 6, 7)
def test_other_charsets_are_bad(mail: ImapBench) -> None:
    client = mail.select()
    keep(client, "f", "SEEN")
    for charset in ("UTF-8", "US-ASCII"):
        client.ok(f"SEARCH CHARSET {charset} FILTER f")
    answer = client.bad("SEARCH CHARSET ISO-8859-1 FILTER f")
    assert "[BADCHARSET]" in answer.tagged.raw.decode()


def test_names_of_filters(mail: ImapBench) -> None:
    """RFC 5466 §4: an atom without "/"."""
    client = mail.select()
    for name in ("a/b", "x]"):
        text = f'SETMETADATA "" ("/private/filters/values/{name}" SEEN)'
        assert client.command(text).status in ("NO", "BAD")
    client.ok('SETMETADATA "" (/private/filters/descriptions/f "Not a {search")')


def test_contexts_keep_what_a_filter_was(mail: ImapBench) -> None:
    client = mail.select()
    keep(client, "hot", "FLAGGED SUBJECT t UID 1:2")
    tag = client.start("UID SEARCH RETURN (UPDATE) FILTER hot UNSEEN")
    client.finish(tag)
    keep(client, "hot", "SEEN")
    client = mail.resume(client)
    told = client.told(client.ok("STORE 1:3 +FLAGS.SILENT (\\Flagged)"))
    assert told == [f'ESEARCH (TAG "{tag}") UID ADDTO (0 2)']
