"""Access control lists (RFC 4314): how they are told and changed, and what they mean for flags."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.imap.conftest import Client, ImapBench
from tests.support.rfc import rfc

WORK = "Users/alice/Work"


@pytest.fixture
def work(mail: ImapBench) -> ImapBench:
    """Alice has a mailbox Work with three messages, each with other flags."""
    alice = mail.login("alice")
    alice.ok("CREATE Work")
    for flags in ("\\Seen \\Draft", "\\Answered \\Deleted", "$Known"):
        alice.ok(f"APPEND Work ({flags}) {{9+}}\r\nA: b\r\n\r\nc")
    return mail


def allow(bench: ImapBench, rights: str, identifier: str = "bob", mailbox: str = "Work") -> None:
    """Let alice say what somebody may do."""
    bench.login("alice").ok(f'SETACL {mailbox} {identifier} "{rights}"')


def acl(client: Client, mailbox: str = "Work") -> dict[str, str]:
    """What GETACL tells."""
    (line,) = client.told(client.ok(f"GETACL {mailbox}"))
    words = line.replace('"', "").split()
    assert words[:2] == ["ACL", mailbox]
    return dict(zip(words[2::2], words[3::2], strict=True))


def mine(client: Client, mailbox: str = WORK) -> str:
    """What MYRIGHTS tells."""
    (line,) = client.told(client.ok(f"MYRIGHTS {mailbox}"))
    return line.rpartition(" ")[2]


def flags(client: Client, numbers: str = "1:*") -> list[set[str]]:
    """The flags of messages, one set for each."""
    told = client.told(client.ok(f"FETCH {numbers} FLAGS"))
    lists = [line.partition("FLAGS (")[2].partition(")")[0] for line in told if "FETCH" in line]
    return [set(words.split()) - {"\\Recent"} for words in lists]


# -- the list ------------------------------------------------------------------------------------


def test_rights_are_replaced_added_and_taken(work: ImapBench) -> None:
    alice = work.login()
    assert acl(alice) == {"alice": "lrswipkxtecda"}
    alice.ok("SETACL Work bob lr")
    assert acl(alice)["bob"] == "lr"
    alice.ok("SETACL Work bob +sw")
    assert acl(alice)["bob"] == "lrsw"
    alice.ok("SETACL Work bob -rw")
    assert acl(alice)["bob"] == "ls"
    alice.ok("SETACL Work bob x")
    assert acl(alice)["bob"] == "xc"
    alice.ok("DELETEACL Work bob")
    assert acl(alice) == {"alice": "lrswipkxtecda"}
    alice.ok("DELETEACL Work bob")


@rfc("4314", "2.1.1", 1, 2, 4, 5)
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("lrswida", "lrswiteda"),
        ("lrswikda", "lrswiktecda"),
        ("c", "kxc"),
        ("d", "ted"),
        ("dt", "ted"),
        ("e", "ed"),
        ("k", "kc"),
        ("lrswipkxtea", "lrswipkxtecda"),
    ],
)
def test_the_rights_of_rfc_2086_stand_for_others(work: ImapBench, given: str, told: str) -> None:
    alice = work.login()
    alice.ok(f"SETACL Work bob {given}")
    assert acl(alice)["bob"] == told
    assert mine(work.login("bob")) == told if set(told) & set("lrikxa") else True


@rfc("4314", "3.1", 1, 2)
@pytest.mark.parametrize("rights", ["lrQ", "lrq", "L", "lr1", "+z", "l r", "-?"])
def test_what_is_no_right_is_bad_and_changes_nothing(work: ImapBench, rights: str) -> None:
    alice = work.login()
    alice.ok("SETACL Work bob lr")
    alice.bad(f'SETACL Work bob "{rights}"')
    assert acl(alice)["bob"] == "lr"


@rfc("4314", "3", 1, 2)
@pytest.mark.parametrize("identifier", ['""', '"-"', '"$"', '"a b"', '"a/b"', '"--bob"', '"a:b"'])
@pytest.mark.parametrize(
    "command", ["SETACL Work {} lr", "DELETEACL Work {}", "LISTRIGHTS Work {}"]
)
def test_what_cannot_be_an_identifier_is_bad(
    work: ImapBench, command: str, identifier: str
) -> None:
    work.login().bad(command.format(identifier))


@rfc("4314", "3", 1)
def test_identifiers_are_prepared_as_logins_are(work: ImapBench) -> None:
    alice = work.login()
    alice.ok("SETACL Work BOB lr")
    alice.ok('SETACL Work "\uff22\uff2f\uff22" +s')  # full-width letters
    assert acl(alice)["bob"] == "lrs"
    assert mine(work.login("bob")) == "lrs"


@rfc("4314", "2.1.1", 3, 6)
@rfc("4314", "3.4", 1)
@rfc("4314", "3.7", 2)
def test_rights_that_can_be_given_are_listed(work: ImapBench) -> None:
    alice = work.login()
    every = "l r s w i p k x t e c d a"
    (line,) = alice.told(alice.ok("LISTRIGHTS Work BoB"))
    assert line == f'LISTRIGHTS "Work" BoB "" {every}'
    (line,) = alice.told(alice.ok("LISTRIGHTS Work alice"))
    assert line == 'LISTRIGHTS "Work" alice la r s w i p k x t e c d'
    (line,) = alice.told(alice.ok("LISTRIGHTS Work -alice"))
    assert line == f'LISTRIGHTS "Work" -alice "" {every}'


def test_an_owner_cannot_lock_himself_out(work: ImapBench) -> None:
    alice = work.login()
    alice.ok('SETACL Work alice ""')
    assert acl(alice) == {}
    assert mine(alice, "Work") == "la"
    alice.no("SELECT Work")
    alice.ok("SETACL Work -alice a")
    alice.ok("SETACL Work alice lrswipkxte")
    assert mine(alice, "Work") == "lrswipkxtecda"


def test_negative_rights_take_from_all_others(work: ImapBench) -> None:
    for identifier, rights in (("anyone", "lrs"), ("bob", "w"), ("-bob", "s")):
        allow(work, rights, identifier)
    bob = work.login("bob")
    assert mine(bob) == "lrw"
    work.login().ok("DELETEACL Work bob")
    assert mine(bob) == "lr"
    work.login().ok("DELETEACL Work -bob")
    assert mine(bob) == "lrs"


def test_groups_have_rights(work: ImapBench) -> None:
    text = work.auth.users.read_text().replace(
        "bob:{PLAIN}secret", "bob:{PLAIN}secret::::::userdb_acl_groups=staff,others"
    )
    work.auth.users.write_text(text)
    allow(work, "lr", "$staff")
    assert mine(work.login("bob")) == "lr"
    allow(work, "r", "-$others")
    assert mine(work.login("bob")) == "l"


def test_a_damaged_list_grants_nothing(work: ImapBench, tmp_path: Path) -> None:
    allow(work, "lr")
    path = tmp_path / "mail" / "alice" / "Maildir" / ".Work" / "pymaild.acl"
    path.write_bytes(b"something else\nbob\tlr\n")
    work.login("bob").no(f"MYRIGHTS {WORK}")
    assert mine(work.login(), "Work") == "la"


def test_a_list_has_bounds(work: ImapBench) -> None:
    alice = work.login()
    for number in range(999):
        alice.send(f"x SETACL Work u{number} l\r\n".encode())
        assert alice.read().name == "OK"
    assert alice.no("SETACL Work one.more l").code == "LIMIT"
    alice.ok("SETACL Work u0 +r")


# -- the mailbox and its list --------------------------------------------------------------------


@rfc("4314", "4", 4)
def test_new_mailboxes_inherit(work: ImapBench) -> None:
    allow(work, "lrk")
    bob = work.login("bob")
    bob.ok(f"CREATE {WORK}/a/b")
    assert mine(bob, f"{WORK}/a/b") == "lrkc"
    alice = work.login()
    assert acl(alice, "Work/a/b") == {"alice": "lrswipkxtecda", "bob": "lrkc"}
    alice.ok("CREATE Private")
    assert acl(alice, "Private") == {"alice": "lrswipkxtecda"}


@rfc("4314", "4", 6)
def test_lists_go_along_with_renamed_mailboxes(work: ImapBench) -> None:
    alice = work.login()
    alice.ok("CREATE Work/sub")
    alice.ok("SETACL Work bob lr")
    alice.ok("SETACL Work/sub bob lrs")
    alice.ok("RENAME Work Job")
    bob = work.login("bob")
    assert mine(bob, "Users/alice/Job") == "lr"
    assert mine(bob, "Users/alice/Job/sub") == "lrs"
    bob.no(f"MYRIGHTS {WORK}")


@rfc("4314", "4", 5)
def test_lists_go_with_deleted_mailboxes(work: ImapBench) -> None:
    allow(work, "lr")
    alice = work.login()
    alice.ok("DELETE Work")
    alice.ok("CREATE Work")
    assert acl(alice) == {"alice": "lrswipkxtecda"}
    work.login("bob").no(f"MYRIGHTS {WORK}")


# -- flags ---------------------------------------------------------------------------------------


@rfc("4314", "4", 7, 8, 9)
@pytest.mark.parametrize(
    ("rights", "kept"),
    [
        ("lri", [set(), set(), set()]),
        ("lris", [{"\\Seen"}, set(), set()]),
        ("lrit", [set(), {"\\Deleted"}, set()]),
        ("lriw", [{"\\Draft"}, {"\\Answered"}, {"$Known"}]),
        ("lristw", [{"\\Seen", "\\Draft"}, {"\\Answered", "\\Deleted"}, {"$Known"}]),
    ],
)
@pytest.mark.parametrize("command", ["COPY", "APPEND", "MOVE"])
def test_flags_come_along_as_far_as_rights_go(
    work: ImapBench, rights: str, kept: list[set[str]], command: str
) -> None:
    """RFC 4314 §4 and RFC 6851 §4.2: the transfer itself never fails for a flag."""
    work.login().ok("CREATE Inbox2")
    allow(work, rights, mailbox="Inbox2")
    bob = work.select("bob")
    for words in ("\\Seen \\Draft", "\\Answered \\Deleted", "$Known"):
        target = "Users/alice/Inbox2" if command == "APPEND" else "INBOX"
        bob.ok(f"APPEND {target} ({words}) {{9+}}\r\nA: b\r\n\r\nc")
    if command != "APPEND":
        bob.ok(f"{command} 1:3 Users/alice/Inbox2")
    assert flags(work.select("alice", "Inbox2")) == kept
    if "w" not in rights:  # a keyword that may not be set is not made known either
        alice = work.login()
        assert not any("$Known" in line for line in alice.told(alice.ok("SELECT Inbox2")))


@rfc("4314", "4", 12, 13)
@pytest.mark.parametrize(
    ("rights", "after"),
    [
        ("lrs", {"\\Seen"}),
        ("lrt", {"\\Deleted"}),
        ("lrw", {"\\Flagged", "$New"}),
        ("lrsw", {"\\Seen", "\\Flagged", "$New"}),
    ],
)
def test_store_changes_what_it_may(work: ImapBench, rights: str, after: set[str]) -> None:
    allow(work, rights)
    bob = work.select("bob", WORK)
    before = flags(bob, "3")[0]
    bob.ok("STORE 3 +FLAGS (\\Seen \\Deleted \\Flagged $New)")
    assert flags(bob, "3") == [before | after]
    bob.ok("STORE 3 -FLAGS (\\Seen \\Deleted \\Flagged $New)")
    assert flags(bob, "3") == [before]


def test_flags_that_replace_others_leave_alone_what_they_may_not_change(work: ImapBench) -> None:
    allow(work, "lrs")
    bob = work.select("bob", WORK)
    bob.ok("STORE 1:3 FLAGS (\\Flagged \\Seen)")
    assert flags(bob) == [
        {"\\Seen", "\\Draft"},
        {"\\Seen", "\\Answered", "\\Deleted"},
        {"\\Seen", "$Known"},
    ]
    bob.ok("STORE 1:3 FLAGS ()")
    assert flags(bob) == [{"\\Draft"}, {"\\Answered", "\\Deleted"}, {"$Known"}]


@rfc("4314", "4", 11)
@pytest.mark.parametrize(("rights", "seen"), [("lrw", False), ("lrsw", True)])
def test_reading_marks_as_seen_with_that_right_only(
    work: ImapBench, rights: str, seen: bool
) -> None:
    allow(work, rights)
    bob = work.select("bob", WORK)
    bob.ok("FETCH 3 BODY[]")
    assert ("\\Seen" in flags(bob, "3")[0]) == seen


@rfc("4314", "4", 10)
@pytest.mark.parametrize(("rights", "left"), [("lrstw", 3), ("lrstwe", 2)])
def test_close_expunges_with_that_right_and_succeeds_without(
    work: ImapBench, rights: str, left: int
) -> None:
    allow(work, rights)
    work.select("bob", WORK).ok("CLOSE")
    alice = work.login()
    assert f"(MESSAGES {left})" in alice.told(alice.ok("STATUS Work (MESSAGES)"))[0]


# -- what is told of the rights ------------------------------------------------------------------


@rfc("9051", "6.3.2", 8)
@rfc("3501", "6.3.1", 5)
@rfc("4314", "5.2", 1, 2)
@pytest.mark.parametrize(
    ("rights", "code"),
    [
        ("lr", "READ-ONLY"),
        ("lrpkxa", "READ-ONLY"),
        *((f"lr{letter}", "READ-WRITE") for letter in "ieswt"),
    ],
)
def test_a_mailbox_is_read_only_without_any_right_to_change_it(
    work: ImapBench, rights: str, code: str
) -> None:
    allow(work, rights)
    assert work.login("bob").ok(f"SELECT {WORK}").code == code


@rfc("4314", "5.1.1", 2)
@pytest.mark.parametrize(
    ("rights", "permanent"),
    [
        ("lr", "()"),
        ("lri", "()"),
        ("lrs", "(\\Seen)"),
        ("lrt", "(\\Deleted)"),
        ("lrw", "(\\Answered \\Flagged \\Draft $Known \\*)"),
        ("lrstw", "(\\Answered \\Flagged \\Deleted \\Seen \\Draft $Known \\*)"),
    ],
)
def test_permanent_flags_are_those_that_can_be_changed(
    work: ImapBench, rights: str, permanent: str
) -> None:
    allow(work, rights)
    bob = work.login("bob")
    told = bob.told(bob.ok(f"SELECT {WORK}"))
    assert any(f"[PERMANENTFLAGS {permanent}]" in line for line in told)
    assert any(line.startswith("FLAGS (") and "\\Seen" in line for line in told)


@rfc("4314", "5.1.1", 3)
def test_rights_that_change_are_told_and_hold_at_once(work: ImapBench) -> None:
    allow(work, "lrs")
    bob = work.select("bob", WORK)
    allow(work, "lrw")
    told = bob.told(bob.ok("NOOP"))
    assert any(
        "[PERMANENTFLAGS (\\Answered \\Flagged \\Draft $Known \\*)]" in line for line in told
    )
    assert bob.told(bob.ok("NOOP")) == []
    assert bob.no("STORE 1 +FLAGS \\Seen").code == "NOPERM"


def test_who_may_no_longer_read_is_sent_away(work: ImapBench) -> None:
    allow(work, "lrs")
    bob = work.select("bob", WORK)
    allow(work, "")
    bob.send(b"x NOOP\r\n")
    assert bob.read().name == "BYE"


def test_what_is_hidden_again_is_not_known_from_before(work: ImapBench) -> None:
    """STATUS keeps mailboxes open."""
    allow(work, "lr")
    bob = work.login("bob")
    bob.ok(f"STATUS {WORK} (MESSAGES)")
    allow(work, "")
    assert bob.no(f"STATUS {WORK} (MESSAGES)").code == "NONEXISTENT"
    allow(work, "l")
    assert bob.no(f"STATUS {WORK} (MESSAGES)").code == "NOPERM"
    allow(work, "lr")
    bob.ok(f"STATUS {WORK} (MESSAGES)")


def test_rights_hold_in_a_session_that_was_resumed(work: ImapBench) -> None:
    allow(work, "lrs")
    bob = work.resume(work.select("bob", WORK))
    bob.ok("STORE 3 +FLAGS \\Seen")
    assert bob.no("STORE 1 +FLAGS \\Flagged").code == "NOPERM"


@rfc("4314", "5.1.1", 5)
def test_a_pipeline_of_changes_and_questions_is_answered_in_order(work: ImapBench) -> None:
    alice = work.login()
    alice.send(b"1 SETACL Work bob lr\r\n2 GETACL Work\r\n3 SETACL Work bob l\r\n4 GETACL Work\r\n")
    lines = [alice.read() for _ in range(6)]
    assert [line.raw.rstrip().rpartition(b" ")[2] for line in lines if line.tag == "*"] == [
        b"lr",
        b"l",
    ]


@rfc("4314", "2", 1)
@rfc("4314", "2.1.1", 8)
@rfc("4314", "5.1.1", 1)
@rfc("4314", "7", 2, 3)
def test_the_rights_beyond_rfc_2086_are_announced(work: ImapBench) -> None:
    alice = work.login()
    words = alice.told(alice.ok("CAPABILITY"))[0].split()
    assert "ACL" in words
    (rights,) = [word for word in words if word.startswith("RIGHTS=")]
    assert set(rights.removeprefix("RIGHTS=")) == set("texk")


@rfc("4314", "7", 1)
def test_commands_match_in_any_case(work: ImapBench) -> None:
    alice = work.login()
    for command in ("setacl Work bob lr", "GetAcl Work", "myRights Work", "listrights Work bob"):
        alice.ok(command)
    alice.ok("deleteACL Work bob")


@rfc("8440", "3", 1, 2)
def test_rights_come_with_list(work: ImapBench) -> None:
    allow(work, "lrs")
    bob = work.login("bob")
    told = bob.told(bob.ok('LIST "" (INBOX "Users/*") RETURN (MYRIGHTS)'))
    assert told == [
        'LIST (\\HasNoChildren) "/" "INBOX"',
        'MYRIGHTS "INBOX" lrswipkxtecda',
        'LIST (\\NonExistent \\HasChildren) "/" "Users/alice"',
        'LIST (\\HasNoChildren) "/" "Users/alice/Work"',
        'MYRIGHTS "Users/alice/Work" lrs',
    ]
    words = bob.told(bob.ok("CAPABILITY"))[0].split()
    assert "LIST-MYRIGHTS" in words


def test_administrators_are_no_owners(work: ImapBench) -> None:
    work.mail = replace(work.mail, admins=("bob",))
    work.login("bob").no(f"MYRIGHTS {WORK}")
