"""UIDBATCHES (RFC 10022): the mailbox in ranges of UIDs of equal weight."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.imap.conftest import Client, ImapBench

BODY = b"Subject: filler\r\n\r\nbody\r\n"


@pytest.fixture
def box(imap: ImapBench) -> ImapBench:
    """Alice has 1,100 messages, of UIDs 1 to 1200 without every twelfth."""
    with imap.account("alice").open("INBOX") as mailbox:
        flags = mailbox.flags(["\\Seen"])
        mailbox.commit([(mailbox.write([BODY]), flags, None) for _ in range(1200)])
        mailbox.expunge(range(12, 1201, 12))
    return imap


def batches(client: Client, arguments: str) -> list[tuple[int, int]]:
    """The ranges of a reply."""
    tag = client.start(f"UIDBATCHES {arguments}")
    answer = client.finish(tag)
    assert answer.status == "OK", answer.tagged.raw
    values = answer.one("UIDBATCHES").values
    assert values[1] == ["TAG", tag.encode()]
    found = str(values[2]).split(",") if len(values) > 2 else []
    return [(int(high), int(low)) for high, _, low in (one.partition(":") for one in found)]


def test_it_is_announced(box: ImapBench) -> None:
    assert "UIDBATCHES" in box.login().ok("CAPABILITY").one("CAPABILITY").values


def test_batches_come_from_the_top(box: ImapBench) -> None:
    """RFC 10022 §3.1: they cover all UIDs, and each holds as many messages as were asked for."""
    client = box.select()
    found = batches(client, "500")
    assert found[0][0] == 1199
    assert found[-1][1] == 1
    assert all(lower[0] == upper[1] - 1 for upper, lower in pairwise(found))
    counts = [len(client.ok(f"UID FETCH {low}:{high} UID").fetched()) for high, low in found]
    assert counts == [500, 500, 100]


def test_some_of_the_batches(box: ImapBench) -> None:
    client = box.select()
    whole = batches(client, "500")
    assert batches(client, "500 1:1") == whole[:1]
    assert batches(client, "500 2:3") == whole[1:]
    assert batches(client, "500 3:4294967295") == whole[2:]
    assert batches(client, "500 4:9") == []


def test_one_batch_holds_a_small_mailbox(box: ImapBench) -> None:
    client = box.select()
    assert batches(client, "100000") == [(1199, 1)]
    assert batches(client, "4294967295 1:4294967295") == [(1199, 1)]
    client.ok("SELECT Archive")
    assert batches(client, "500") == []


def test_batches_that_are_too_small(box: ImapBench) -> None:
    """RFC 10022 §3.1.3.2: they would be sequence numbers in disguise."""
    assert box.select().no("UIDBATCHES 499").code == "TOOFEW"


def test_a_range_the_wrong_way_round(box: ImapBench) -> None:
    assert box.select().bad("UIDBATCHES 500 3:2").code == "CLIENTBUG"


@pytest.mark.parametrize("arguments", ["", " x", " 500 ", " 500 1", " 500 0:1", " 500 1:2 3", " 0"])
def test_malformed(box: ImapBench, arguments: str) -> None:
    client = box.select()
    assert client.command(f"UIDBATCHES{arguments}").status == ("NO" if arguments == " 0" else "BAD")


def test_a_mailbox_has_to_be_selected(box: ImapBench) -> None:
    box.login().bad("UIDBATCHES 500")


def test_it_is_possible_without_sequence_numbers(box: ImapBench) -> None:
    """RFC 10022 §3.5, RFC 9586."""
    client = box.login()
    client.ok("ENABLE UIDONLY")
    client.ok("SELECT INBOX")
    assert len(batches(client, "500")) == 3


def test_saved_results_stay(box: ImapBench) -> None:
    client = box.select()
    client.ok("SEARCH RETURN (SAVE) UID 3")
    batches(client, "500")
    assert list(client.ok("FETCH $ UID").fetched()) == [3]
