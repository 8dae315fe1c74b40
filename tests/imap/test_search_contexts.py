"""Contexts: searches whose changes are told (RFC 5267)."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from pymaild.imap.responses import sequence_set
from tests.imap.conftest import MESSAGES, Answer, Client, ImapBench, Reply
from tests.support.rfc import rfc


def told(client: Client, command: str = "NOOP") -> list[str]:
    """What a command tells of contexts and their causes, in its order."""
    lines = client.told(client.ok(command))
    return [line for line in lines if not line.endswith("RECENT") and "[" not in line]


def watch(client: Client, keys: str, by_uid: bool = True, returns: str = "UPDATE") -> str:
    """Begin a context; returns its correlator."""
    tag = client.start(f"{'UID ' if by_uid else ''}SEARCH RETURN ({returns}) {keys}")
    assert client.finish(tag).status == "OK"
    return f'ESEARCH (TAG "{tag}"){" UID" if by_uid else ""}'


@rfc("5267", "4.3.3", 1, 2)
def test_arrivals_are_added_behind_exists(mail: ImapBench) -> None:
    client = mail.select()
    uids, numbers = watch(client, "SUBJECT three"), watch(client, "SUBJECT three", by_uid=False)
    mail.put("alice", MESSAGES[0], MESSAGES[2], MESSAGES[2])
    assert told(client) == ["6 EXISTS", f"{uids} ADDTO (0 5:6)", f"{numbers} ADDTO (0 5:6)"]
    assert told(client) == []


@rfc("5267", "4.3", 3)
@rfc("5267", "4.3.4", 1)
def test_changed_flags_add_and_remove(mail: ImapBench) -> None:
    client, other = mail.select(), mail.select()
    flagged, unseen = watch(client, "FLAGGED"), watch(client, "UNSEEN SUBJECT t")
    other.ok("STORE 1:3 +FLAGS (\\Flagged)")
    assert told(client)[-1] == f"{flagged} ADDTO (0 1:3)"
    other.ok("STORE 1:3 FLAGS (\\Seen)")
    assert told(client)[-2:] == [f"{flagged} REMOVEFROM (0 1:3)", f"{unseen} REMOVEFROM (0 2:3)"]
    other.ok("STORE 1 +FLAGS (\\Answered)")
    assert not [line for line in told(client) if line.startswith("ESEARCH")]


def test_own_changes_are_told_too(mail: ImapBench) -> None:
    client = mail.select()
    flagged = watch(client, "FLAGGED", by_uid=False)
    assert told(client, "STORE 2 +FLAGS.SILENT (\\Flagged)") == [f"{flagged} ADDTO (0 2)"]
    assert told(client, "STORE 2 -FLAGS (\\Flagged)")[-1] == f"{flagged} REMOVEFROM (0 2)"


@rfc("5267", "4.3.4", 2)
def test_expunged_results_leave_before_their_numbers_change(mail: ImapBench) -> None:
    client, other = mail.select(), mail.select()
    every, numbers = watch(client, "ALL"), watch(client, "NOT SUBJECT two", by_uid=False)
    other.ok("STORE 1:3 +FLAGS (\\Deleted)")
    other.ok("EXPUNGE")
    assert told(client) == [
        f"{every} REMOVEFROM (0 1:3)",
        f"{numbers} REMOVEFROM (0 1,3)",
        *("3 EXPUNGE", "2 EXPUNGE", "1 EXPUNGE"),
    ]


def test_nothing_is_told_where_expunge_may_not_be(mail: ImapBench) -> None:
    """The view waits, and so do its contexts."""
    client, other = mail.select(), mail.select()
    every = watch(client, "ALL", by_uid=False)
    other.ok("UID STORE 2 +FLAGS (\\Deleted)")
    other.ok("EXPUNGE")
    lines = told(client, "STORE 1 +FLAGS.SILENT (\\Seen)")
    assert not [line for line in lines if "FETCH" not in line]
    assert told(client) == [f"{every} REMOVEFROM (0 2)", "2 EXPUNGE"]


def test_idle_tells_updates(mail: ImapBench) -> None:
    client, other = mail.select(), mail.select()
    seen = watch(client, "SEEN")
    tag = client.idle()
    other.ok("STORE 3 +FLAGS (\\Seen)")
    replies = client.until("FETCH", "ESEARCH")
    assert replies[-1].raw.decode() == f"* {seen} ADDTO (0 3)\r\n"
    client.done(tag)


@rfc("5267", "4.3", 2)
def test_a_tag_names_one_context(mail: ImapBench) -> None:
    client = mail.select()
    client.send(b"x SEARCH RETURN (UPDATE) ALL\r\n")
    assert client.finish("x").status == "OK"
    client.send(b"x SEARCH RETURN (UPDATE) SEEN\r\n")
    assert client.finish("x").status == "BAD"
    client.send(b"x SEARCH RETURN (COUNT) ALL\r\n")
    assert client.finish("x").status == "OK"
    client.ok('CANCELUPDATE "x"')
    client.send(b"x SEARCH RETURN (UPDATE) SEEN\r\n")
    assert client.finish("x").status == "OK"


@rfc("5267", "4.3.1", 1, 2)
def test_too_many_contexts_are_refused(mail: ImapBench) -> None:
    """The search itself is answered all the same."""
    mail.configure(contexts=2)
    client = mail.select()
    first, second = watch(client, "SEEN"), watch(client, "SEEN")
    answer = client.ok("UID SEARCH RETURN (UPDATE COUNT) ALL")
    tag = answer.tagged.tag
    assert client.told(answer) == [
        f'ESEARCH (TAG "{tag}") UID COUNT 3',
        f'NO [NOUPDATE "{tag}"] Too many searches are updated',
    ]
    lines = told(client, "STORE 1 +FLAGS (\\Seen)")[1:]
    assert lines == [f"{first} ADDTO (0 1)", f"{second} ADDTO (0 1)"]


def test_a_search_can_be_too_long_to_be_updated(mail: ImapBench) -> None:
    client = mail.select()
    answer = client.ok(f"SEARCH RETURN (UPDATE COUNT) {'OR SEEN ' * 40}SUBJECT {'x' * 8192}")
    assert answer.codes().keys() == {"NOUPDATE"}


def test_cancelled_contexts_tell_nothing(mail: ImapBench) -> None:
    client = mail.select()
    one, two, three = (watch(client, keys) for keys in ("SEEN", "ALL", "SEEN"))
    client.ok(f'CANCELUPDATE "{one.split(chr(34))[1]}" "{two.split(chr(34))[1]}"')
    assert told(client, "STORE 1 +FLAGS.SILENT (\\Seen)") == [f"{three} ADDTO (0 1)"]
    client.ok('CANCELUPDATE "never-used"')
    client.bad("CANCELUPDATE")


def test_contexts_end_with_the_selection(mail: ImapBench) -> None:
    """RFC 5267 §4.3: when the mailbox is no longer selected."""
    client = mail.select()
    watch(client, "SEEN")
    client.ok("SELECT INBOX")
    assert told(client, "STORE 1 +FLAGS.SILENT (\\Seen)") == []
    assert client.record.contexts == []


@pytest.mark.parametrize("keys", ["1:2", "NOT 3", "UID 1:2", "$", "OR 1 $", "*"])
def test_numbers_mean_what_they_meant_at_first(mail: ImapBench, keys: str) -> None:
    """RFC 5267 §4.3: also after an expunge, and in another process."""
    client = mail.select()
    client.ok("SEARCH RETURN (SAVE) 1:2")
    watched = watch(client, f"SEEN ({keys}) UNDELETED")
    before = {int(uid) for uid in client.ok(f"UID SEARCH {keys}").one("SEARCH").values[1:]}
    client.ok("SEARCH RETURN (SAVE) 3")
    client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    client.ok("EXPUNGE")
    client = mail.resume(client)
    mail.put("alice", *MESSAGES)
    client.ok("NOOP")
    lines = told(client, "STORE 1:* +FLAGS.SILENT (\\Seen)")
    wanted = sorted(before - {1})
    if keys == "NOT 3":  # what comes is not the third message either
        wanted += [4, 5, 6]
    assert lines == ([f"{watched} ADDTO (0 {sequence_set(wanted).decode()})"] if wanted else [])


def test_an_open_set_of_uids_takes_new_messages_in(mail: ImapBench) -> None:
    client = mail.select()
    later, _ = watch(client, "UID 3:*"), watch(client, "UID *")
    mail.put("alice", MESSAGES[0])
    assert told(client) == ["4 EXISTS", f"{later} ADDTO (0 4)"]


def test_an_open_set_in_an_empty_mailbox(mail: ImapBench) -> None:
    client = mail.select(mailbox="Archive")
    later = watch(client, "UID 2:*")
    answer = client.append("Archive", MESSAGES[0])
    assert f"{later} ADDTO (0 1)" in client.told(answer)


def test_a_keyword_can_come_up_later(mail: ImapBench) -> None:
    client, other = mail.select(), mail.select()
    label = watch(client, "KEYWORD label UNKEYWORD other")
    other.ok("STORE 2:3 +FLAGS (label)")
    assert told(client)[-1] == f"{label} ADDTO (0 2:3)"
    other.ok("STORE 2 +FLAGS (other)")
    assert told(client)[-1] == f"{label} REMOVEFROM (0 2)"


@pytest.mark.parametrize(
    "keys", ["UNSEEN TEXT body", "CHARSET UTF-8 TEXT {4+}\r\nbody UNSEEN", 'UNSEEN TEXT "body"']
)
def test_contexts_go_on_in_another_process(mail: ImapBench, keys: str) -> None:
    client = mail.select()
    watched = watch(client, keys)
    client.ok("STORE 2 +FLAGS.SILENT (\\Seen)")
    client = mail.resume(client)
    mail.put("alice", MESSAGES[2])
    assert told(client) == ["4 EXISTS", f"{watched} ADDTO (0 4)"]
    assert told(client, "STORE 1:2 FLAGS.SILENT ()") == [f"{watched} ADDTO (0 2)"]
    client.ok(f'CANCELUPDATE "{watched.split(chr(34))[1]}"')
    assert mail.resume(client).record.contexts == []


def test_a_program_that_cannot_be_read_again_is_given_up(mail: ImapBench) -> None:
    client = mail.select()
    tag = watch(client, "(SEEN (SEEN (SEEN (SEEN (SEEN (SEEN))))))").split('"')[1]
    mail.configure(nesting=5)
    client = mail.resume(client)
    answer = client.ok("STORE 1 +FLAGS.SILENT (\\Seen)")
    assert client.told(answer) == [f'NO [NOUPDATE "{tag}"] This search is no longer possible']
    assert client.told(client.ok("NOOP")) == []


def test_time_that_passes_is_noticed(mail: ImapBench) -> None:
    """RFC 5032 §2: as if many days had gone by since the search."""
    client = mail.select()
    young = watch(client, "YOUNGER 1000000000")
    old = watch(client, "OLDER 1000000000 UNSEEN")
    client.ok("NOOP")
    client = mail.resume(client)
    record = client.record
    contexts = [dict(context) for context in record.contexts]
    contexts[0]["text"] = contexts[0]["text"].replace("YOUNGER 1000000000", "OLDER 1000000000")
    contexts[1]["text"] = contexts[1]["text"].replace("OLDER 1000000000", "YOUNGER 1000000000")
    client = mail.resume(client, contexts=contexts)
    assert told(client) == [f"{young} REMOVEFROM (0 1:3)", f"{old} ADDTO (0 1:3)"]
    assert told(client) == []


@rfc("5267", "4.5", 1)
def test_context_is_a_hint(mail: ImapBench) -> None:
    """RFC 5267 §4.2: nothing is remembered that could be out of date."""
    client = mail.select()
    client.ok("SEARCH RETURN (CONTEXT COUNT) NOT DELETED SUBJECT t")
    client.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
    answer = client.ok("SEARCH RETURN (COUNT) NOT DELETED SUBJECT t")
    assert answer.one("ESEARCH").values[2:] == ["COUNT", "1"]
    answer = client.ok("SEARCH RETURN (CONTEXT COUNT ALL) NOT 2")
    assert client.told(answer) == [f'ESEARCH (TAG "{answer.tagged.tag}") COUNT 2 ALL 1,3']
    assert client.told(client.ok("SEARCH RETURN (CONTEXT) ALL"))[0].endswith('")')


# -- a client that believes what it is told ----------------------------------------------------

PROGRAMS = [
    "SEARCH RETURN (UPDATE ALL) UNSEEN",
    "UID SEARCH RETURN (UPDATE ALL) OR FLAGGED KEYWORD a",
    "SEARCH RETURN (UPDATE ALL) NOT KEYWORD a SUBJECT t",
    "UID SEARCH RETURN (UPDATE ALL) 2:4 UNDELETED",
    "SEARCH RETURN (UPDATE ALL) ALL",
]


@dataclass
class Watched:
    """A context as its client knows it: results as UIDs, and keys that find them anew."""

    by_uid: bool
    keys: str
    results: set[int] = field(default_factory=set)


class Believer:
    """Keeps results by what is told alone."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.uids = self.present()
        self.watched: dict[str, Watched] = {}

    def present(self) -> list[int]:
        """The UIDs that the session has told its client of, in their order."""
        view = self.client.running.session.selection.selected.view
        return [view.uid(number) for number in range(1, len(view) + 1)]

    def watch(self, program: str) -> None:
        reply = self.client.ok(program).one("ESEARCH")
        found = Watched(program.startswith("UID"), program.partition(") ")[2])
        if "2:4" in found.keys:
            found.keys = found.keys.replace("2:4", f"UID {self.uids[1]}:{self.uids[3]}")
        self.watched[reply.values[1][1].decode()] = found
        if "ALL" in reply.values:
            found.results = self.named(found, reply.values[-1])

    def named(self, watched: Watched, text: str) -> set[int]:
        """The UIDs of a set, whose numbers must all be there."""
        spans = [tuple(map(int, piece.split(":"))) for piece in text.split(",")]
        numbers = {n for span in spans for n in range(span[0], span[-1] + 1)}
        if watched.by_uid:
            return numbers
        return {self.uids[number - 1] for number in numbers}

    def follow(self, replies: list[Reply]) -> None:
        now = self.present()
        for reply in replies:
            if reply.name == "EXPUNGE":
                gone = self.uids.pop(reply.number - 1)
                assert not [w for w in self.watched.values() if gone in w.results]
            elif reply.name == "EXISTS":
                self.uids += now[len(self.uids) : reply.number]
            elif reply.name == "ESEARCH":
                self.update(reply)
        assert self.uids == now

    def update(self, reply: Reply) -> None:
        watched = self.watched[reply.values[1][1].decode()]
        position, text = reply.values[-1]
        assert position == "0"
        uids = self.named(watched, text)
        if reply.values[-2] == "ADDTO":
            assert not uids & watched.results
            assert uids <= set(self.uids)
        else:
            assert uids <= watched.results
        watched.results ^= uids

    def check(self) -> None:
        self.follow(self.client.ok("NOOP").untagged)
        for watched in self.watched.values():
            found = self.client.ok(f"UID SEARCH {watched.keys}").one("SEARCH").values[1:]
            assert sorted(watched.results) == [int(uid) for uid in found], watched.keys


CHANGES = ["+FLAGS (\\Seen)", "-FLAGS (\\Seen)", "+FLAGS (\\Flagged)", "FLAGS (a)", "-FLAGS (a)"]


@rfc("5267", "4.3", 3)
@pytest.mark.parametrize("seed", range(8))
def test_what_is_told_adds_up_to_the_results(mail: ImapBench, seed: int) -> None:
    chance = random.Random(seed)
    mail.put("alice", *MESSAGES, *MESSAGES)
    client, other = mail.select(), mail.select()
    believer = Believer(client)
    for program in PROGRAMS:
        believer.watch(program)
    for step in range(40):
        if step == 20:
            client = believer.client = mail.resume(client)
        actor = chance.choice((client, other))
        answer = act(actor, chance)
        if actor is client:
            believer.follow(answer.untagged)
        if chance.random() < 0.4:
            believer.check()
    believer.check()


def act(actor: Client, chance: random.Random) -> Answer:
    """Something that changes the mailbox."""
    kind = chance.random()
    if kind < 0.15:
        return actor.append("INBOX", chance.choice(MESSAGES), chance.choice(("", "(\\Seen)")))
    if kind < 0.25:
        return actor.ok("EXPUNGE")
    verb = chance.choice(CHANGES) if kind < 0.85 else "+FLAGS (\\Deleted)"
    silent = verb.replace("FLAGS", chance.choice(("FLAGS", "FLAGS.SILENT")))
    low = chance.randrange(1, 15)
    return actor.ok(f"UID STORE {low}:{low + chance.randrange(3)} {silent}")


# -- items of new mail ---------------------------------------------------------------------------


def news(client: Client) -> list[str]:
    """What NOOP tells, numbers of messages left out."""
    told = client.told(client.ok("NOOP"))
    return [line for line in told if not line.endswith(("EXISTS", "RECENT"))]


@rfc("5465", "5.2", 5)
@pytest.mark.parametrize(
    ("command", "result"),
    [
        ("SEARCH RETURN (COUNT UPDATE (UID FLAGS)) SUBJECT one", "ADDTO (0 4)"),
        ("SEARCH RETURN (UPDATE(UID FLAGS) COUNT) SUBJECT one", "ADDTO (0 4)"),
        ("UID SORT RETURN (UPDATE (UID FLAGS)) (SUBJECT) UTF-8 SUBJECT one", "UID ADDTO (2 4)"),
        ("ESEARCH IN (selected) RETURN (UPDATE (UID FLAGS)) SUBJECT one", "UID ADDTO (0 4)"),
    ],
)
def test_items_of_new_results(mail: ImapBench, command: str, result: str) -> None:
    """RFC 5465 §7: behind the change of the search (§5.2), and for new mail alone."""
    client = mail.select()
    client.ok(command)
    mail.put("alice", MESSAGES[0])
    change, items = news(client)
    assert change.startswith("ESEARCH (TAG ")
    assert change.endswith(result)
    assert items == "4 FETCH (UID 4 FLAGS (\\Recent))"
    mail.put("alice", MESSAGES[1])
    assert news(client) == []


@rfc("5465", "7", 2)
def test_results_that_are_no_new_mail_have_no_items(mail: ImapBench) -> None:
    client = mail.select()
    client.ok("SEARCH RETURN (UPDATE (UID ENVELOPE)) FLAGGED")
    mail.select().ok("STORE 2 +FLAGS.SILENT (\\Flagged)")
    assert [line.split()[0] for line in news(client)] == ["2", "ESEARCH"]
    assert client.told(client.append("INBOX", MESSAGES[0], "(\\Flagged)"))[-1].startswith("ESEARCH")


@rfc("5465", "5.2", 3, 4)
def test_all_that_is_asked_for_of_new_mail_comes_at_once(mail: ImapBench) -> None:
    client = mail.select()
    client.ok("NOTIFY SET (selected-delayed (MessageNew (FLAGS UID) MessageExpunge))")
    client.ok("SEARCH RETURN (UPDATE (UID RFC822.SIZE)) SUBJECT one")
    client.ok("SEARCH RETURN (UPDATE (RFC822.SIZE INTERNALDATE)) SUBJECT three")
    for message, items in (
        (MESSAGES[0], ["UID", "FLAGS", "RFC822.SIZE"]),
        (MESSAGES[1], ["UID", "FLAGS"]),
        (MESSAGES[2], ["UID", "FLAGS", "RFC822.SIZE", "INTERNALDATE"]),
    ):
        mail.put("alice", message)
        fetched = [reply for reply in client.ok("NOOP").untagged if reply.name == "FETCH"]
        assert len(fetched) == 1
        assert [str(item) for item in fetched[0].values[2][::2]] == items


@rfc("5465", "8", 1)
@pytest.mark.parametrize("option", ["UPDATE ()", "UPDATE (NOTHING)", "UPDATE UID", "UPDATE (UID"])
def test_what_is_no_list_of_items_is_bad(mail: ImapBench, option: str) -> None:
    client = mail.select()
    client.bad(f"SEARCH RETURN ({option}) ALL")
    client.ok("SEARCH return (update (uid)) all")
