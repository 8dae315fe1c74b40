"""The namespaces of other users and of shared mailboxes (RFC 2342)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pymaild.core.session import User
from pymaild.mail.account import Account
from pymaild.mail.grants import Grants
from pymaild.mail.settings import MailSettings
from pymaild.mail.sharing import SharingAccount
from tests.imap.conftest import Client, ImapBench
from tests.support.rfc import rfc

MESSAGE = "{9+}\r\nA: b\r\n\r\nc"


@pytest.fixture
def shared(imap: ImapBench, tmp_path: Path) -> ImapBench:
    """There are shared mailboxes, and bob is their administrator."""
    imap.mail = replace(imap.mail, shared_directory=str(tmp_path / "shared"), admins=("bob",))
    return imap


def names(client: Client, pattern: str = "*") -> list[str]:
    """The names of LIST, those that are no mailboxes in parentheses."""
    told = client.told(client.ok(f'LIST "" "{pattern}" RETURN (CHILDREN)'))
    pairs = [(line, line.rpartition(' "/" ')[2].strip('"')) for line in told]
    return [f"({name})" if "\\NonExistent" in line else name for line, name in pairs]


def grant(
    bench: ImapBench, mailbox: str, rights: str, to: str = "bob", owner: str = "alice"
) -> None:
    bench.login(owner).ok(f'SETACL {mailbox} {to} "{rights}"')


# -- NAMESPACE -----------------------------------------------------------------------------------


@rfc("9051", "6.3.10", 1)
@rfc("9051", "5.1.2", 2, 4)
@rfc("2342", "2", 1, 2, 4)
@rfc("2342", "5", 1)
def test_each_kind_has_one_namespace(shared: ImapBench) -> None:
    client = shared.login()
    assert client.told(client.ok("NAMESPACE")) == [
        'NAMESPACE (("" "/")) (("Users/" "/")) (("Shared/" "/"))'
    ]
    assert "INBOX" in names(client)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, '(("Users/" "/")) NIL'),
        ({"others": ""}, "NIL NIL"),
        ({"others": "Andere"}, '(("Andere/" "/")) NIL'),
        ({"shared": ""}, '(("Users/" "/")) NIL'),
    ],
)
def test_namespaces_can_be_named_and_turned_off(
    imap: ImapBench, settings: dict[str, str], told: str
) -> None:
    imap.mail = replace(imap.mail, **settings)
    grant(imap, "INBOX", "lr")
    client = imap.login("bob")
    assert client.told(client.ok("NAMESPACE")) == [f'NAMESPACE (("" "/")) {told}']
    assert any("alice" in name for name in names(client)) == (told[0] == "(")


@rfc("2342", "6", 1)
def test_the_prefix_is_in_the_clients_encoding(imap: ImapBench) -> None:
    imap.mail = replace(imap.mail, others="Ändere")
    client = imap.login()
    assert client.told(client.ok("NAMESPACE")) == ['NAMESPACE (("" "/")) (("&AMQ-ndere/" "/")) NIL']
    client.ok("ENABLE UTF8=ACCEPT")
    assert client.told(client.ok("NAMESPACE")) == ['NAMESPACE (("" "/")) (("Ändere/" "/")) NIL']


def test_system_users_have_a_personal_namespace_alone(tmp_path: Path) -> None:
    """Their files have other owners: no process of one can read those of another."""
    user = User("u", 1000, 1000, "/home/u", str(tmp_path / "Maildir"), system=True)
    settings = MailSettings(shared_directory=str(tmp_path / "shared"))  # type: ignore[arg-type]
    account = SharingAccount(user, settings, lambda name: User(name), Grants(str(tmp_path / "g")))
    assert (account.others_prefix, account.shared_prefix) == ("", "")


# -- other users ---------------------------------------------------------------------------------


@rfc("9051", "11.5", 1)
@rfc("9051", "6.3.10", 5)
@rfc("2342", "2", 3)
@rfc("2342", "5", 4, 5)
@rfc("2342", "7", 1)
def test_what_others_have_opened_is_listed_and_nothing_else(imap: ImapBench) -> None:
    imap.add_user("carl")
    bob = imap.login("bob")
    assert names(bob, "Users*") == []
    imap.login().ok("CREATE Work/Deep")
    grant(imap, "Work/Deep", "lr")
    above = ["(Users)", "(Users/alice)", "(Users/alice/Work)"]
    assert names(bob, "Users*") == [*above, "Users/alice/Work/Deep"]
    assert names(bob, "Users/%") == ["(Users/alice)"]
    assert names(imap.login("carl"), "Users*") == []
    grant(imap, "INBOX", "lr")
    assert names(bob, "Users/%") == ["Users/alice"]
    grant(imap, "INBOX", "r")  # without "l" it is not listed, but can be read
    assert names(bob, "Users/%") == ["(Users/alice)"]
    bob.ok("SELECT Users/alice")
    bob.ok("UNSELECT")
    grant(imap, "Work/Deep", "")
    grant(imap, "INBOX", "")
    assert names(bob, "Users*") == []


def test_anyone_is_everyone(imap: ImapBench) -> None:
    imap.add_user("carl")
    grant(imap, "Sent", "lr", "anyone")
    for user in ("bob", "carl"):
        assert names(imap.login(user), "Users*") == ["(Users)", "(Users/alice)", "Users/alice/Sent"]
    assert names(imap.login(), "Users*") == []


@rfc("4314", "4", 2, 3)
def test_subscriptions_reach_into_other_namespaces(imap: ImapBench) -> None:
    grant(imap, "Sent", "lr")
    bob = imap.login("bob")
    bob.ok("SUBSCRIBE Users/alice/Sent")
    assert bob.no("SUBSCRIBE Users/alice/Trash").code == "NONEXISTENT"
    assert bob.told(bob.ok('LSUB "" "Users*"')) == ['LSUB (\\HasNoChildren) "/" "Users/alice/Sent"']
    grant(imap, "Sent", "")
    assert bob.told(bob.ok('LSUB "" "Users*"')) == ['LSUB (\\Noselect) "/" "Users/alice/Sent"']
    bob.ok("UNSUBSCRIBE Users/alice/Sent")
    assert bob.told(bob.ok('LSUB "" "Users*"')) == []


def test_work_on_another_users_mailboxes(imap: ImapBench) -> None:
    """All that one does with mailboxes of one's own."""
    grant(imap, "INBOX", "lrswipkxte")
    bob = imap.login("bob")
    bob.ok("CREATE Users/alice/New/Sub")
    bob.ok(f"APPEND Users/alice/New/Sub {MESSAGE}")
    bob.ok("RENAME Users/alice/New/Sub Users/alice/Other")
    bob.ok("SELECT Users/alice/Other")
    bob.ok("RENAME Users/alice/Other Users/alice/Third")
    assert bob.record.mailbox == "Users/alice/Third"
    bob.ok("STORE 1 +FLAGS \\Deleted")
    bob.ok("COPY 1 INBOX")
    bob.ok("MOVE 1 Users/alice")
    assert "(MESSAGES 1)" in bob.told(bob.ok("STATUS Users/alice (MESSAGES)"))[0]
    bob.ok("DELETE Users/alice/Third")
    alice = imap.login()
    assert not any("Third" in name or "New" in name for name in names(alice))
    assert "(MESSAGES 1)" in alice.told(alice.ok("STATUS INBOX (MESSAGES)"))[0]


def test_a_selected_mailbox_of_another_user_follows_what_happens_there(imap: ImapBench) -> None:
    grant(imap, "INBOX", "lr")
    bob = imap.select("bob", "Users/alice")
    imap.put("alice", b"Subject: new\r\n\r\nx\r\n")
    assert "1 EXISTS" in bob.told(bob.ok("NOOP"))
    bob = imap.resume(bob)
    imap.put("alice", b"Subject: second\r\n\r\nx\r\n")
    assert "2 EXISTS" in bob.told(bob.ok("NOOP"))


def test_flags_are_shared(imap: ImapBench) -> None:
    """\\Seen too: there is one state of a mailbox, and "s" says who may change it."""
    imap.put("alice", b"Subject: x\r\n\r\nx\r\n")
    grant(imap, "INBOX", "lrs")
    imap.select("bob", "Users/alice").ok("STORE 1 +FLAGS \\Seen")
    alice = imap.select("alice")
    assert "\\Seen" in alice.told(alice.ok("FETCH 1 FLAGS"))[-1]


@pytest.mark.parametrize("command", ["RENAME Drafts Users/alice/x", "RENAME Users/alice/Sent x"])
def test_mailboxes_do_not_change_hands(imap: ImapBench, command: str) -> None:
    grant(imap, "INBOX", "lrswipkxtea")
    grant(imap, "Sent", "lrswipkxtea")
    assert imap.login("bob").no(command).code == "CANNOT"


def test_names_of_namespaces_are_taken(shared: ImapBench) -> None:
    client = shared.login()
    for name in ("Users", "Users/", "Shared"):
        assert client.no(f"CREATE {name}").code == "CANNOT"
    assert client.no("CREATE Users/bob").code == "NOPERM"
    assert client.no("CREATE Users/nobody").code == "NOPERM"
    assert client.no("SELECT Users/alice").code == "NONEXISTENT"  # oneself is no other user
    assert client.no("SELECT Users/bob/INBOX").code == "NONEXISTENT"


def test_an_own_mailbox_of_such_a_name_stays_ones_own(imap: ImapBench) -> None:
    own = Account(imap.user("alice"), imap.mail)
    own.create("Users/bob")
    grant(imap, "INBOX", "lr", "alice", owner="bob")
    client = imap.login()
    client.ok(f"APPEND Users/bob {MESSAGE}")
    assert own.status("Users/bob").messages == 1
    client.ok("RENAME Users/bob Mine")
    assert "(MESSAGES 0)" in client.told(client.ok("STATUS Users/bob (MESSAGES)"))[0]


def test_special_uses_are_for_mailboxes_of_ones_own(imap: ImapBench) -> None:
    grant(imap, "INBOX", "lrk")
    grant(imap, "Sent", "lr")
    bob = imap.login("bob")
    assert bob.no("CREATE Users/alice/x (USE (\\Archive))").code == "USEATTR"
    assert "\\Sent" not in bob.told(bob.ok('LIST "" Users/alice/Sent'))[0]


def test_a_user_whose_name_has_the_separator_in_it(imap: ImapBench) -> None:
    imap.mail = MailSettings(separator=".", prefix="INBOX.", fsync=False)
    imap.add_user("john.doe@example.org")
    grant(imap, "INBOX.Sent", "lr", "bob", owner="john.doe@example.org")
    bob = imap.login("bob")
    told = bob.told(bob.ok('LIST "" "Users*"'))
    assert told[-1].endswith('"Users.john^doe@example^org.Sent"')
    bob.ok("SELECT Users.john^doe@example^org.Sent")


# -- what LIST looks at --------------------------------------------------------------------------


def test_the_index_only_says_where_to_look(imap: ImapBench, tmp_path: Path) -> None:
    """Lost or wrong, it never opens a mailbox; made anew, it is complete."""
    grant(imap, "Sent", "lr")
    (tmp_path / "grants" / "bob" / "alice").unlink()
    bob = imap.login("bob")
    assert names(bob, "Users*") == []
    bob.ok("SELECT Users/alice/Sent")
    (tmp_path / "grants" / "bob" / "nobody").touch()
    assert names(bob, "Users*") == []
    accounts = [Account(imap.user(name), imap.mail) for name in ("alice", "bob")]
    imap.grants.rebuild((account.user.name, account.granted()) for account in accounts)
    assert names(bob, "Users*") == ["(Users)", "(Users/alice)", "Users/alice/Sent"]
    assert not (tmp_path / "grants" / "bob" / "nobody").exists()


def test_the_index_forgets_what_is_deleted(imap: ImapBench, tmp_path: Path) -> None:
    grant(imap, "Sent", "lr")
    grant(imap, "Junk", "lr")
    imap.login().ok("DELETE Sent")
    assert (tmp_path / "grants" / "bob" / "alice").exists()
    imap.login().ok("DELETE Junk")
    assert not (tmp_path / "grants" / "bob").exists()


def test_a_list_is_changed_where_the_index_cannot_be(imap: ImapBench, tmp_path: Path) -> None:
    (tmp_path / "grants").write_bytes(b"no directory")
    grant(imap, "Sent", "lr")
    imap.login("bob").ok("SELECT Users/alice/Sent")


# -- commands on many mailboxes ------------------------------------------------------------------


def test_searches_and_events_reach_what_may_be_read(imap: ImapBench) -> None:
    """RFC 7377 §2.1 and RFC 5465 §6: mailboxes without rights are left out."""
    grant(imap, "Sent", "lr")
    grant(imap, "Junk", "l")
    bob = imap.login("bob")
    for mailbox in ("Sent", "Junk"):
        imap.login().ok(f"APPEND {mailbox} {MESSAGE}")
    told = bob.told(bob.ok("ESEARCH IN (subtree Users) RETURN (COUNT) ALL"))
    assert [line for line in told if "ESEARCH" in line and "Users/alice/Sent" in line]
    assert not any("Junk" in line for line in told)
    bob.ok("NOTIFY SET (mailboxes (Users/alice/Sent Users/alice/Junk) (MessageNew MessageExpunge))")
    for mailbox in ("Junk", "Sent"):
        imap.login().ok(f"APPEND {mailbox} {MESSAGE}")
    told = bob.told(bob.ok("NOOP"))
    assert any(line.startswith('STATUS "Users/alice/Sent"') for line in told)
    assert not any("Junk" in line for line in told)


# -- shared mailboxes ----------------------------------------------------------------------------


def test_administrators_make_shared_mailboxes_and_open_them(shared: ImapBench) -> None:
    bob, alice = shared.login("bob"), shared.login("alice")
    assert names(bob, "Shared*") == []
    bob.ok("CREATE Shared/General")
    bob.ok("SETACL Shared/General anyone lrip")
    assert names(alice, "Shared*") == ["(Shared)", "Shared/General"]
    alice.ok(f"APPEND Shared/General {MESSAGE}")
    alice.ok("SELECT Shared/General")
    assert alice.no("STORE 1 +FLAGS \\Deleted").code == "NOPERM"
    alice.ok("UNSELECT")
    assert alice.no("CREATE Shared/General/Sub").code == "NOPERM"
    assert alice.no("CREATE Shared/Mine").code == "NOPERM"
    assert alice.no("DELETE Shared/General").code == "NOPERM"
    bob.ok("DELETE Shared/General")
    assert names(alice, "Shared*") == []


def test_the_shared_root_says_who_may_make_mailboxes_there(shared: ImapBench) -> None:
    bob, alice = shared.login("bob"), shared.login("alice")
    assert alice.no("GETACL Shared").code == "NONEXISTENT"
    bob.ok("SETACL Shared alice lrk")
    alice.ok("CREATE Shared/Mine")
    (line,) = alice.told(alice.ok("MYRIGHTS Shared/Mine"))
    assert line == 'MYRIGHTS "Shared/Mine" lrkc'
    assert alice.no("SELECT Shared").code == "NONEXISTENT"
    assert alice.no("SELECT Shared/INBOX").code == "NONEXISTENT"


def test_the_rights_that_administrators_always_have(shared: ImapBench) -> None:
    bob = shared.login("bob")
    bob.ok("CREATE Shared/General")
    (line,) = bob.told(bob.ok("LISTRIGHTS Shared/General bob"))
    assert line == 'LISTRIGHTS "Shared/General" bob lkxa r s w i p t e c d'
    assert bob.no("SELECT Shared/General").code == "NOPERM"  # and no more than these


# -- mail --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rights", "arrived"), [("lp", True), ("lri", False), ("", False)])
def test_mail_is_posted_to_others_mailboxes_with_that_right(
    imap: ImapBench, rights: str, arrived: bool
) -> None:
    """RFC 4314 §2.1, "p": mail to bob+Users/alice/Work is bob's, and goes there if he may."""
    from pymaild.mail.delivery import deliver

    imap.login().ok("CREATE Work")
    grant(imap, "Work", rights)
    name, _ = deliver(imap.sharing(imap.user("bob")), [b"A: b\r\n\r\nc"], "Users/alice/Work")
    assert name == ("Users/alice/Work" if arrived else "INBOX")
