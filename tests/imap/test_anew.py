"""Sessions that wait while the index of their mailbox is written anew: they do not notice."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pymaild.mail import sync
from pymaild.mail.flags import FLAGGED, Flags
from pymaild.mail.mailbox import Mailbox
from tests.imap.conftest import MESSAGES, Client, ImapBench
from tests.imap.test_parking import waits

Anew = Callable[[Mailbox], None]


def compacted(box: Mailbox) -> None:
    with box.changing() as index:
        sync.compact(box, index)


def rebuilt(box: Mailbox) -> None:
    box.rebuild()


def damaged(box: Mailbox) -> None:
    os.unlink(os.path.join(box.directory, "pymaild.log"))


def meanwhile(bench: ImapBench, anew: Anew) -> None:
    """Others change flags, remove and deliver, before the index is made anew and behind it."""
    other = bench.select()
    other.ok("STORE 2 +FLAGS.SILENT (\\Flagged)")
    other.ok("STORE 4:5 +FLAGS.SILENT (\\Deleted)")
    other.ok("EXPUNGE")
    other.ok("LOGOUT")
    bench.put("alice", MESSAGES[0])
    with bench.account("alice").open("INBOX") as box:
        anew(box)
    other = bench.select()
    other.ok("UID STORE 3 +FLAGS.SILENT (\\Answered)")
    other.ok("UID STORE 7 +FLAGS.SILENT (\\Deleted)")
    other.ok("EXPUNGE")
    other.ok("LOGOUT")


def resumed(bench: ImapBench, client: Client, between: Callable[[], None]) -> Client:
    record = waits(bench, client)
    between()
    again = bench.connect(record)
    again.count = client.count
    return again


@pytest.mark.parametrize("anew", [compacted, rebuilt, damaged])
def test_what_happened_is_told(imap: ImapBench, anew: Anew) -> None:
    imap.put("alice", *MESSAGES, *MESSAGES, *MESSAGES)
    client = resumed(imap, imap.select(), lambda: meanwhile(imap, anew))
    assert client.ok("FETCH 6 UID").fetched()[6]["UID"] == "6"
    told = client.told(client.ok("NOOP"))
    assert told[:4] == ["7 EXPUNGE", "5 EXPUNGE", "4 EXPUNGE", "7 EXISTS"]
    assert [line for line in told if "FETCH" in line] == [
        "2 FETCH (UID 2 FLAGS (\\Flagged \\Recent))",
        "3 FETCH (UID 3 FLAGS (\\Answered \\Recent))",
    ]
    assert client.told(client.ok("NOOP")) == []
    numbers = [int(items["UID"]) for items in client.ok("FETCH 1:* UID").fetched().values()]
    assert numbers == [1, 2, 3, 6, 8, 9, 10]


@pytest.mark.parametrize("anew", [compacted, rebuilt, damaged])
def test_what_happened_is_told_with_qresync(imap: ImapBench, anew: Anew) -> None:
    imap.put("alice", *MESSAGES, *MESSAGES, *MESSAGES)
    client = imap.login()
    client.ok("ENABLE QRESYNC")
    client.ok("SELECT INBOX")
    client = resumed(imap, client, lambda: meanwhile(imap, anew))
    told = client.told(client.ok("NOOP"))
    assert told[:2] == ["VANISHED 4:5,7", "7 EXISTS"]
    assert [line.split(" MODSEQ")[0] for line in told if "FETCH" in line] == [
        "2 FETCH (UID 2 FLAGS (\\Flagged \\Recent)",
        "3 FETCH (UID 3 FLAGS (\\Answered \\Recent)",
    ]


def test_one_that_idles_is_told_at_once(imap: ImapBench) -> None:
    imap.put("alice", *MESSAGES)
    client = imap.select()
    tag = client.idle()

    def between() -> None:
        with imap.account("alice").open("INBOX") as box:
            box.expunge([2])
            compacted(box)

    again = resumed(imap, client, between)
    assert [reply.name for reply in again.until("EXPUNGE")] == ["EXPUNGE"]
    again.done(tag)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["come", "flag", "flag", "go", "go", "compact", "rebuild", "damage"]),
        st.integers(0, 30),
    ),
    max_size=20,
)


def change(bench: ImapBench, folder: str, kind: str, number: int) -> None:
    if kind == "come":
        bench.put("alice", MESSAGES[0], folder=folder)
        return
    with bench.account("alice").open(folder) as box:
        view = box.view()
        seq = number % len(view) + 1 if len(view) else 0
        if kind == "flag" and seq:
            bit = Flags(FLAGGED)
            box.store(view, [seq], "remove" if view.flags(seq) & FLAGGED else "add", bit)
        elif kind == "go" and seq:
            box.expunge([view.uid(seq)])
        elif kind in ANEW:
            ANEW[kind](box)


ANEW: dict[str, Anew] = {"compact": compacted, "rebuild": rebuilt, "damage": damaged}


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS, qresync=st.booleans())
def test_who_waited_is_told_what_who_did_not_is_told(
    imap: ImapBench, steps: list[tuple[str, int]], qresync: bool
) -> None:
    account = imap.account("alice")
    folder = f"box{len(os.listdir(account.root))}"
    account.create(folder)
    imap.put("alice", *[MESSAGES[0]] * 6, folder=folder)
    clients = [imap.login(), imap.login()]
    for client in clients:
        if qresync:
            client.ok("ENABLE QRESYNC")
        client.ok(f"SELECT {folder}")

    def between() -> None:
        for kind, number in steps:
            change(imap, folder, kind, number)

    clients[0] = resumed(imap, clients[0], between)
    heard = []
    for client in clients:
        said = client.told(client.ok("NOOP"))
        known = client.ok("UID FETCH 1:* (UID FLAGS)").fetched()
        state = [
            (seq, items["UID"], set(items["FLAGS"]) - {"\\Recent"})
            for seq, items in sorted(known.items())
        ]
        said = [line.replace(" \\Recent", "").replace("\\Recent", "") for line in said]
        heard.append(([line for line in said if not line.endswith("RECENT")], state))
        client.ok("LOGOUT")
    assert heard[0] == heard[1]
