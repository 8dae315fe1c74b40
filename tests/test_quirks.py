"""Every switch of [quirks], on and off: what is done for clients, and what the RFC has instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import pytest

from pymaild.core.quirks import Quirks, reasons
from pymaild.imap.record import ImapRecord
from pymaild.imap.session import ImapSession
from pymaild.imap.settings import ImapSettings
from pymaild.pop3.record import Pop3Record
from pymaild.pop3.session import Pop3Session
from pymaild.pop3.settings import Pop3Settings
from tests.imap.conftest import MESSAGES, Client, ImapBench
from tests.support.sessions import Bench, Running

ROOT = Path(__file__).resolve().parents[1]
BARE = b"Subject: nothing but a header\r\n"
WHOLE = b"Subject: both\r\n\r\nbody\r\n"


def said(client: Client, *commands: str | bytes) -> str:
    """What the last of these commands is answered: status and untagged replies."""
    for command in commands[:-1]:
        client.ok(command)
    answer = client.command(commands[-1])
    return f"{answer.status} {client.told(answer)}"


def search(client: Client, command: str) -> str:
    return said(client, "SELECT INBOX", command)


def upload(client: Client) -> str:
    message = "Subject: Größe\r\n\r\nbody\r\n".encode()
    return said(client, b"APPEND INBOX {%d+}\r\n%b" % (len(message), message))


def by_modseq(client: Client) -> str:
    return search(client, "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 0)")


def by_qresync(client: Client) -> str:
    return said(client, "ENABLE QRESYNC", "SELECT INBOX (QRESYNC (1 0))")


def grey(client: Client) -> str:
    return said(client, "CREATE a/b", "SUBSCRIBE a/b", "DELETE a/b", 'LSUB "" a/*')


def name(client: Client, wire: str) -> str:
    return said(client, "CREATE R&-D", "CREATE &APw-", f"STATUS {wire} (MESSAGES)")


#: The switch; what a client does; what it is answered while the switch is on, and while it is off.
IMAP: list[tuple[str, Callable[[Client], str], str, str]] = [
    ("absent_numbers", lambda c: search(c, "SEARCH 1:500"), "OK .*SEARCH 1 2 3'", "BAD"),
    ("absent_numbers", lambda c: search(c, "SEARCH NOT (SEEN 4)"), "OK .*SEARCH 1 2 3'", "BAD"),
    ("raw_search", lambda c: search(c, "SEARCH FROM Jörg"), "OK .*SEARCH 3'", "NO"),
    ("raw_names", lambda c: name(c, "R&D"), 'OK .*STATUS "R&-D"', "BAD"),
    ("raw_names", lambda c: name(c, "ü"), 'OK .*STATUS "&APw-"', "BAD"),
    ("raw_names", lambda c: name(c, "R&-D"), 'OK .*STATUS "R&-D"', 'OK .*STATUS "R&-D"'),
    ("raw_names", lambda c: said(c, "CREATE R&-D", 'LIST "" R&D*'), "OK .*LIST", "BAD"),
    ("append_8bit_headers", upload, "OK", "NO"),
    ("zero_modseq", by_modseq, r"OK .*3 FETCH", "BAD"),
    ("zero_modseq", by_qresync, r"OK .*3 EXISTS", "BAD"),
    (
        "zero_modseq",
        lambda c: search(c, "STORE 1 (UNCHANGEDSINCE 0) FLAGS.SILENT ()"),
        "OK",
        "OK",
    ),
    ("xlist", lambda c: said(c, 'XLIST "" *'), r"OK .*\\\\Inbox", "BAD"),
    ("lsub_special_use", lambda c: said(c, 'LSUB "" Sent'), r"OK .*\\\\Sent\)", r"Children\)"),
    ("lsub_noselect", grey, r"OK .*LSUB \(\\\\Noselect\)", r"OK .*LSUB \(\) "),
]


def bare_auth(client: Running) -> bytes:
    first = client.ask(b"AUTH")
    return b" ".join([first, *client.listing()]) if first.startswith(b"+OK") else first


def spaced_auth(client: Running) -> bytes:
    """Outlook leaves the space there."""
    first = client.ask(b"AUTH ")
    return b" ".join([first, *client.listing()]) if first.startswith(b"+OK") else first


def long_auth(client: Running) -> bytes:
    """A token of 3,000 octets, which is no valid one."""
    return client.ask(b"AUTH XOAUTH2 " + b"QUFB" * 750)


def retrieved(command: bytes, mode: bytes = b"USER alice") -> Callable[[Running], bytes]:
    def ask(client: Running) -> bytes:
        for before in (mode, b"USER alice", b"PASS secret"):
            assert client.ask(before).startswith(b"+OK")
        first = client.ask(command)
        return b"\n".join(client.listing()) if first.startswith(b"+OK") else first

    return ask


POP3: list[tuple[str, Callable[[Running], bytes], bytes, bytes]] = [
    ("pop3_bare_auth", bare_auth, rb"\+OK .* PLAIN", rb"-ERR"),
    ("pop3_bare_auth", spaced_auth, rb"\+OK .* PLAIN", rb"-ERR"),
    ("pop3_long_auth", long_auth, rb"-ERR .*mechanism", rb"-ERR .*too long"),
    ("pop3_raw_headers", retrieved(b"RETR 3"), rb"Gr\xc3\xbc", rb"-ERR \[UTF8\] "),
    ("pop3_raw_headers", retrieved(b"TOP 3 0"), rb"Gr\xc3\xbc", rb"-ERR \[UTF8\] "),
    ("pop3_raw_headers", retrieved(b"RETR 3", b"UTF8"), rb"Gr\xc3\xbc", rb"Gr\xc3\xbc"),
    ("pop3_end_of_header", retrieved(b"RETR 1"), rb"header\n\Z", rb"header\Z"),
    ("pop3_end_of_header", retrieved(b"RETR 2"), rb"both\n\nbody\Z", rb"both\n\nbody\Z"),
]


@contextmanager
def imap_with(folder: Path, **switches: bool) -> Iterator[Client]:
    with ImapBench(folder, (ImapRecord, ImapSession), ImapSettings()) as bench:
        bench.add_user("alice")
        bench.put("alice", *MESSAGES)
        bench.switch(**switches)
        yield bench.login()


@contextmanager
def pop3_with(folder: Path, **switches: bool) -> Iterator[Running]:
    with Bench(folder, (Pop3Record, Pop3Session), Pop3Settings()) as bench:
        bench.add_user("alice")
        bench.put("alice", BARE, WHOLE, "Subject: Grüße\r\n\r\n".encode())
        bench.switch(**switches)
        session = bench.start()
        assert session.line().startswith(b"+OK")
        yield session


@pytest.mark.parametrize("on", [True, False], ids=["on", "off"])
@pytest.mark.parametrize(("switch", "does", "with_it", "without"), IMAP)
def test_in_imap(
    tmp_path: Path, switch: str, does: Callable[[Client], str], with_it: str, without: str, on: bool
) -> None:
    with imap_with(tmp_path, **{switch: on}) as client:
        assert re.match(f".*{with_it if on else without}", does(client))
        client.ok("NOOP")


@pytest.mark.parametrize("on", [True, False], ids=["on", "off"])
@pytest.mark.parametrize(("switch", "does", "with_it", "without"), POP3)
def test_in_pop3(
    tmp_path: Path,
    switch: str,
    does: Callable[[Running], bytes],
    with_it: bytes,
    without: bytes,
    on: bool,
) -> None:
    with pop3_with(tmp_path, **{switch: on}) as client:
        assert re.search(with_it if on else without, does(client), re.DOTALL)
        assert client.ask(b"CAPA").startswith(b"+OK")


def test_each_switch_has_its_test_and_its_reason() -> None:
    names = {row.name for row in fields(Quirks)}
    assert {switch for switch, *_ in (*IMAP, *POP3)} == names
    assert reasons().keys() == names
    for name_, reason in reasons().items():
        assert re.fullmatch(r"RFC \d+ §[\d.]+(, [a-zA-Z-]+)?", reason.rfc), name_
        assert re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", reason.since), name_
        assert reason.clients, name_


def test_the_page_for_administrators_names_each_switch() -> None:
    told = (ROOT / "docs" / "clients.md").read_text()
    assert {switch for switch in reasons() if f"`{switch}`" not in told} == set()
