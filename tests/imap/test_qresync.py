"""QRESYNC (RFC 7162 §3.2): a client that comes back is told what it has missed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymaild.imap.responses import vanished
from pymaild.index import Index, View, mend
from pymaild.mail import sync as mail_sync
from tests.imap.conftest import Answer, Client, ImapBench
from tests.support.rfc import rfc

BODY = b"Subject: filler\r\n\r\nbody\r\n"


@pytest.fixture
def box(imap: ImapBench) -> ImapBench:
    """Alice has ten messages, UIDs 1 to 10."""
    imap.put("alice", *[BODY] * 10)
    return imap


def login(bench: ImapBench) -> Client:
    client = bench.login()
    assert client.ok("ENABLE QRESYNC").one("ENABLED").values[1:] == ["QRESYNC"]
    return client


def state(client: Client) -> tuple[int, int]:
    """UIDVALIDITY and HIGHESTMODSEQ, as a client remembers them."""
    told = client.ok("SELECT INBOX").codes()
    client.ok("UNSELECT")
    return int(told["UIDVALIDITY"][0]), int(told["HIGHESTMODSEQ"][0])


def back(client: Client, known: tuple[int, int], more: str = "") -> Answer:
    """Select with what is known."""
    return client.ok(f"SELECT INBOX (QRESYNC ({known[0]} {known[1]}{more}))")


def gone(answer: Answer, earlier: bool = True) -> list[str]:
    """The sets of VANISHED responses."""
    found = []
    for reply in answer.named("VANISHED"):
        assert (reply.values[1] == ["EARLIER"]) is earlier
        found.append(str(reply.values[-1]))
    return found


def changed(answer: Answer) -> dict[int, list[str]]:
    """UID to flags; UID and MODSEQ must be there."""
    found = {}
    for items in answer.fetched().values():
        assert items.keys() == {"UID", "FLAGS", "MODSEQ"}
        found[int(items["UID"])] = [str(flag) for flag in items["FLAGS"] if flag != "\\Recent"]
    return found


def stir(bench: ImapBench) -> None:
    """Another client: flags on 2 and 9, and 4, 5, 10 are gone."""
    other = bench.select()
    other.ok("UID STORE 2,9 +FLAGS.SILENT (\\Flagged)")
    other.ok("UID STORE 4:5,10 +FLAGS.SILENT (\\Deleted)")
    other.ok("EXPUNGE")
    other.ok("LOGOUT")


# -- SELECT ------------------------------------------------------------------------------------


@rfc("7162", "3.2.5", 2)
@rfc("7162", "3.2.5.1", 3)
def test_select_tells_what_changed_and_what_went(box: ImapBench) -> None:
    """The topmost message is among those that went."""
    client = login(box)
    known = state(client)
    stir(box)
    answer = back(client, known)
    assert gone(answer) == ["4:5,10"]
    assert changed(answer) == {2: ["\\Flagged"], 9: ["\\Flagged"]}
    names = [reply.name for reply in answer.untagged]
    assert names.index("VANISHED") < names.index("FETCH")
    assert {"EXISTS", "FLAGS", "RECENT"} <= set(names[: names.index("VANISHED")])
    assert {"UIDVALIDITY", "UIDNEXT", "HIGHESTMODSEQ", "READ-WRITE"} <= answer.codes().keys()
    again = back(client, (known[0], int(answer.codes()["HIGHESTMODSEQ"][0])))
    assert not gone(again)
    assert not changed(again)


def test_examine_can_do_so_too(box: ImapBench) -> None:
    client = login(box)
    known = state(client)
    stir(box)
    answer = client.ok(f"EXAMINE INBOX (QRESYNC ({known[0]} {known[1]}))")
    assert gone(answer) == ["4:5,10"]


@pytest.mark.parametrize(
    ("uids", "went", "flags"),
    [
        (" 1:4", ["4"], {2}),
        (" 5:*", ["5,10"], {9}),
        (" *", ["10"], {9}),  # "*" of a SELECT is the last message for flags, the last UID given
        (" 6:8", [], set()),
        (" 20:30", [], set()),
        (" 1:4294967295", ["4:5,10"], {2, 9}),
        (" 4,10,1:2", ["4,10"], {2}),
    ],
)
def test_only_of_known_uids(box: ImapBench, uids: str, went: list[str], flags: set[int]) -> None:
    """RFC 7162 §3.2.5.1; "*" is let through where §7 does not allow it."""
    client = login(box)
    known = state(client)
    stir(box)
    answer = back(client, known, uids)
    assert gone(answer) == went
    assert set(changed(answer)) == flags


@rfc("7162", "3.2.5", 3)
def test_another_uidvalidity_tells_nothing(box: ImapBench) -> None:
    client = login(box)
    validity, modseq = state(client)
    stir(box)
    answer = back(client, (validity + 1, modseq), " 1:10 (1:3 1:3)")
    assert not gone(answer)
    assert not changed(answer)
    assert answer.one("EXISTS").number == 7


@rfc("7162", "5.3", 1)
def test_a_deleted_mailbox_leaves_no_past(box: ImapBench) -> None:
    """Made anew under its name, it remembers nothing of what went before."""
    client = login(box)
    client.ok("CREATE Box")
    client.appended("Box", BODY)
    told = client.ok("SELECT Box").codes()
    client.ok("STORE 1 FLAGS.SILENT (\\Deleted)")
    client.ok("EXPUNGE")
    client.ok("UNSELECT")
    with box.account("alice").open("Box") as mailbox:
        directory = Path(mailbox.directory)
    client.ok("DELETE Box")
    assert not directory.exists()
    client.ok("CREATE Box")
    known = f"{told['UIDVALIDITY'][0]} {told['HIGHESTMODSEQ'][0]}"
    answer = client.ok(f"SELECT Box (QRESYNC ({known}))")
    assert answer.codes()["UIDVALIDITY"] != told["UIDVALIDITY"]
    assert not gone(answer)


@rfc("7162", "3.2.5", 1)
@rfc("7162", "3.2.3", 5)
@rfc("7162", "3.2.6", 2)
def test_it_has_to_be_enabled(box: ImapBench) -> None:
    client = box.login()
    client.bad("SELECT INBOX (QRESYNC (1 1))")
    client.bad("NOOP x")
    client.ok("SELECT INBOX (CONDSTORE)")
    client.bad("UID FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)")


@pytest.mark.parametrize(
    "parameters",
    [
        "QRESYNC",
        "(QRESYNC)",
        "(QRESYNC ())",
        "(QRESYNC (1))",
        "(QRESYNC (1 x))",
        "(QRESYNC (1 1 1:2 (1:2)))",
        "(QRESYNC (1 1 1:2 (1:2 1)))",
        "(QRESYNC (1 1 1:2 (* 1)))",
        "(QRESYNC (1 1 1:2 (1 1) 5))",
        "(QRESYNC (1 1 1:2 3))",
        "(CONDSTORE CONDSTORE)",
        "(FOO)",
        "()",
        "(CONDSTORE",
    ],
)
def test_what_is_malformed_leaves_the_mailbox_selected(box: ImapBench, parameters: str) -> None:
    """RFC 7162 §3.2.5: arguments are looked at before anything is done."""
    client = login(box)
    client.ok("SELECT Archive")
    client.bad(f"SELECT INBOX {parameters}")
    assert not client.ok("UID FETCH 1:* FLAGS").fetched()


def test_both_parameters_at_once(box: ImapBench) -> None:
    client = login(box)
    validity, modseq = state(client)
    stir(box)
    answer = client.ok(f"select INBOX (condstore qresync ({validity} {modseq}))")
    assert gone(answer) == ["4:5,10"]


@rfc("7162", "3.2.11", 1)
def test_closed_divides_two_mailboxes(box: ImapBench) -> None:
    client = box.select(mailbox="Archive")
    answer = client.ok("SELECT INBOX")
    assert answer.untagged[0].code == ["CLOSED"]
    assert "CLOSED" not in client.ok("UNSELECT").codes()
    assert "CLOSED" not in client.ok("SELECT INBOX").codes()


# -- where the server has forgotten ------------------------------------------------------------


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """What went is not remembered when the index is written anew."""
    monkeypatch.setattr(mail_sync, "REMEMBERED", -1)


def compacted(bench: ImapBench) -> None:
    with bench.account("alice").open("INBOX") as mailbox, mailbox.changing() as index:
        mail_sync.compact(mailbox, index)


def rebuilt(bench: ImapBench) -> None:
    with bench.account("alice").open("INBOX") as mailbox:
        mailbox.rebuild()


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("forget", [compacted, rebuilt])
@rfc("7162", "3.2.6", 6)
def test_what_is_forgotten_is_all_that_is_not_there(box: ImapBench, forget: object) -> None:
    client = login(box)
    known = state(client)
    stir(box)
    forget(box)  # type: ignore[operator]
    answer = back(client, known)
    assert gone(answer) == ["4:5,10"]
    assert {2, 9} <= set(changed(answer))
    assert gone(back(client, known, " 1:9")) == ["4:5"]
    fresh = int(answer.codes()["HIGHESTMODSEQ"][0])
    assert fresh > known[1]
    again = back(client, (known[0], fresh))
    assert not gone(again)
    assert not changed(again)


@pytest.mark.parametrize("forget", [compacted, rebuilt])
def test_what_is_remembered_is_told_exactly(box: ImapBench, forget: object) -> None:
    """RFC 7162 §3.2.6: an index that is written anew knows of the messages that went of late."""
    client = login(box)
    stir(box)
    known = state(client)
    other = box.select()
    other.ok("UID STORE 1,7 +FLAGS.SILENT (\\Deleted)")
    other.ok("UID STORE 3 +FLAGS.SILENT (\\Flagged)")
    other.ok("EXPUNGE")
    forget(box)  # type: ignore[operator]
    answer = back(client, known)
    assert gone(answer) == ["1,7"]
    assert set(changed(answer)) == {3}


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize(
    ("samples", "went"),
    [
        ("(1:3 1:3)", ["4:5,10"]),
        ("(4 6)", ["10"]),  # number 4 is UID 6 now, and was so for the client
        ("(3:4,7 3,6,9)", ["10"]),
        ("(1:10 1:10)", ["4:5,10"]),
        ("(4,8 6,10)", ["10"]),
        ("(1:4294967295 1:4294967295)", ["4:5,10"]),
        ("(100 100)", ["4:5,10"]),
    ],
)
def test_samples_narrow_what_is_told(box: ImapBench, samples: str, went: list[str]) -> None:
    """RFC 7162 §3.2.5.2: a message that kept number and UID has lost nobody before it."""
    client = login(box)
    known = state(client)
    stir(box)
    compacted(box)
    assert gone(back(client, known, f" 1:10 {samples}")) == went
    assert gone(back(client, known, f" {samples}")) == went


def test_a_session_resumes_across_a_compaction(box: ImapBench) -> None:
    client = login(box)
    client.ok("SELECT INBOX")
    other = box.select()
    other.ok("STORE 2 +FLAGS.SILENT (\\Flagged)")
    compacted(box)
    other.ok("STORE 3 +FLAGS.SILENT (\\Deleted)")
    other.ok("EXPUNGE")
    answer = client.ok("NOOP")
    assert gone(answer, earlier=False) == ["3"]
    assert changed(answer) == {2: ["\\Flagged"]}


@pytest.mark.usefixtures("forgetful")
def test_a_view_older_than_the_index_is_not_taken_up(box: ImapBench) -> None:
    """What a compaction has forgotten: that view cannot be had again."""
    with box.account("alice").open("INBOX") as mailbox:
        before = mailbox.index.snapshot
        mailbox.expunge([4])
        with mailbox.changing() as index:
            fresh = mail_sync.compact(mailbox, index)
    assert isinstance(fresh, Index)
    assert View.of(fresh, before) is None


def test_an_interrupted_writer_leaves_no_client_behind(box: ImapBench) -> None:
    """A transaction that was not finished is news to everybody."""
    client = login(box)
    known = state(client)
    with box.account("alice").open("INBOX") as mailbox:
        index = mailbox.index
        index.change(0, 1, 0)
        snapshot = index.commit()
        mend(index, 1, 1)
        assert index.snapshot == snapshot
    assert set(changed(back(client, known))) == {1}


# -- UID FETCH ---------------------------------------------------------------------------------


@rfc("7162", "3.2.6", 5)
def test_fetch_vanished(box: ImapBench) -> None:
    client = login(box)
    _, since = state(client)
    client.ok("SELECT INBOX")
    stir(box)
    client.ok("NOOP")
    answer = client.ok(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {since} VANISHED)")
    assert gone(answer) == ["4:5,10"]
    assert answer.untagged[0].name == "VANISHED"
    assert set(changed(answer)) == {2, 9}
    assert gone(client.ok(f"UID FETCH 5:9 FLAGS (VANISHED CHANGEDSINCE {since})")) == ["5"]
    last = client.ok(f"UID FETCH 1:* FLAGS (CHANGEDSINCE {since + 100} VANISHED)")
    assert not last.untagged


@rfc("7162", "3.2.6", 1, 3, 4)
def test_fetch_vanished_has_its_rules(box: ImapBench) -> None:
    client = login(box)
    client.ok("SELECT INBOX")
    client.bad("FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)")
    client.bad("UID FETCH 1:* FLAGS (VANISHED)")


@rfc("7162", "3.2.10", 3)
@rfc("7162", "3.2.10.2", 3, 4)
def test_the_two_kinds_of_vanished_stay_apart(box: ImapBench) -> None:
    """What the client still counts among its messages has not gone EARLIER."""
    client = login(box)
    _, since = state(client)
    client.ok("SELECT INBOX")
    stir(box)
    box.put("alice", BODY)
    quick = box.select()
    quick.ok("UID STORE 11 +FLAGS.SILENT (\\Deleted)")
    quick.ok("UID EXPUNGE 11")
    answer = client.ok(f"UID FETCH 1:* FLAGS (CHANGEDSINCE {since} VANISHED)")
    (reply,) = answer.named("VANISHED")
    assert reply.values[1:] == ["4:5,10"]
    assert not answer.named("EXISTS")


# -- VANISHED in place of EXPUNGE --------------------------------------------------------------


@rfc("7162", "3.2.3", 1, 2, 3)
@pytest.mark.parametrize("how", ["QRESYNC", "QRESYNC CONDSTORE", "CONDSTORE QRESYNC"])
@rfc("7162", "3.2.10", 1, 2)
@rfc("7162", "3.2.10.2", 1, 2)
def test_expunges_are_told_by_uid(box: ImapBench, how: str) -> None:
    client = box.login()
    client.ok(f"ENABLE {how}")
    client.ok("SELECT INBOX")
    stir(box)
    answer = client.ok("NOOP")
    assert gone(answer, earlier=False) == ["4:5,10"]
    assert not answer.named("EXPUNGE")
    assert not answer.named("EXISTS")
    assert client.ok("FETCH 4 (UID)").fetched()[4]["UID"] == "6"


@rfc("7162", "3.2", 1)
@rfc("7162", "3.2.7", 1, 2, 3)
def test_expunge_tells_the_new_highest(box: ImapBench) -> None:
    client = login(box)
    known = state(client)
    client.ok("SELECT INBOX")
    assert "HIGHESTMODSEQ" not in client.ok("EXPUNGE").codes()
    client.ok("STORE 3,4 +FLAGS.SILENT (\\Deleted)")
    answer = client.ok("EXPUNGE")
    assert gone(answer, earlier=False) == ["3:4"]
    assert answer.code == "HIGHESTMODSEQ"
    assert int(answer.tagged.code[1]) > known[1]
    client.ok("UNSELECT")
    assert gone(back(client, known)) == ["3:4"]
    assert not gone(back(client, (known[0], int(answer.tagged.code[1]))))


@rfc("7162", "3.2.9", 1, 2, 3)
def test_uid_expunge_tells_the_new_highest(box: ImapBench) -> None:
    client = login(box)
    known = state(client)
    client.ok("SELECT INBOX")
    client.ok("STORE 3,4 +FLAGS.SILENT (\\Deleted)")
    assert "HIGHESTMODSEQ" not in client.ok("UID EXPUNGE 5").codes()
    answer = client.ok("UID EXPUNGE 4:9")
    assert gone(answer, earlier=False) == ["4"]
    assert int(answer.tagged.code[1]) > known[1]
    assert gone(back(client, known)) == ["4"]


@rfc("7162", "3.2.8", 1, 2, 3)
def test_close_tells_nothing(box: ImapBench) -> None:
    client = login(box)
    known = state(client)
    client.ok("SELECT INBOX")
    client.ok("STORE 3,4 +FLAGS.SILENT (\\Deleted)")
    answer = client.ok("CLOSE")
    assert not answer.untagged
    assert answer.code == ""
    assert gone(back(client, known)) == ["3:4"]


def test_move_is_told_by_uid(box: ImapBench) -> None:
    """RFC 7162 §3.2, RFC 6851 §3.3."""
    client = login(box)
    known = state(client)
    client.ok("SELECT INBOX")
    answer = client.ok("MOVE 2,9 Archive")
    assert gone(answer, earlier=False) == ["2,9"]
    assert answer.untagged[0].code[0] == "COPYUID"
    assert int(answer.tagged.code[1]) > known[1]
    assert gone(back(client, known)) == ["2,9"]


@rfc("7162", "3.2", 3, 4)
@rfc("7162", "3.2.10.2", 5)
def test_a_modseq_does_not_run_ahead_of_an_expunge(box: ImapBench) -> None:
    """What a cut-off client would take for all it knows is corrected."""
    client = login(box)
    known = state(client)
    client.ok("SELECT INBOX")
    stir(box)
    other = box.select()
    other.ok("UID STORE 1 +FLAGS.SILENT (\\Answered)")
    for command in ("FETCH 1 (FLAGS MODSEQ)", "STORE 1 +FLAGS (word)", "SEARCH MODSEQ 1"):
        answer = client.ok(command)
        assert not answer.named("VANISHED")
        told = answer.codes()["HIGHESTMODSEQ"]
        assert gone(back(login(box), (known[0], int(told[0])))) == ["4:5,10"]
    answer = client.ok("NOOP")
    assert gone(answer, earlier=False) == ["4:5,10"]
    assert not client.ok("FETCH 1 (FLAGS MODSEQ)").codes()


@rfc("7162", "3.2.10.2", 6)
def test_no_vanished_where_a_search_names_numbers(box: ImapBench) -> None:
    client = login(box)
    client.ok("SELECT INBOX")
    for command in ("UID SEARCH 3:4", "UID SEARCH NOT (OR SEEN 2)"):
        stir_one(box)
        assert not client.ok(command).named("VANISHED")
        assert client.ok("UID SEARCH UID 3:4").named("VANISHED")


def stir_one(bench: ImapBench) -> None:
    other = bench.select()
    other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    other.ok("EXPUNGE")
    other.ok("LOGOUT")


def test_qresync_survives_a_resumed_session(box: ImapBench) -> None:
    client = login(box)
    client.ok("SELECT INBOX")
    client.leave("moved")
    client.wait()
    stir(box)
    again = box.connect(client.record)
    assert gone(again.ok("NOOP"), earlier=False) == ["4:5,10"]
    assert changed(again.ok("UID STORE 1 FLAGS (\\Seen)")) == {1: ["\\Seen"]}


def test_idle_tells_by_uid(box: ImapBench) -> None:
    client = login(box)
    client.ok("SELECT INBOX")
    tag = client.idle()
    stir_one(box)
    told = client.until("VANISHED")
    assert told[-1].values == ["VANISHED", "1"]
    client.done(tag)


def test_many_ranges_come_in_many_lines() -> None:
    """A reply is bounded, whatever went."""
    ranges = [(uid, uid + uid % 2) for uid in range(1, 20000, 3)]
    lines = list(vanished(iter(ranges), earlier=True))
    assert all(line.startswith(b"* VANISHED (EARLIER) ") for line in lines)
    assert max(map(len, lines)) < 1 << 16
    sets = b",".join(line.split()[3] for line in lines).split(b",")
    assert sets == [b"%d:%d" % pair if pair[0] < pair[1] else b"%d" % pair[0] for pair in ranges]
    assert len(lines) > 1
