"""Command lines that need no server: what they do, say, and end with."""

from __future__ import annotations

import json
import socket
import ssl
import stat
from pathlib import Path

import pytest

from pymaild.auth import schemes
from tests.admin.conftest import Programs

MBOX = (
    b"From a@example.org  Tue Jul 23 19:39:23 2002\n"
    b"Subject: one\nStatus: RO\nX-Status: F\nX-Keywords: work\n\nbody\n>From here\n\n"
    b"From b@example.org  Tue Jul 23 19:39:24 2002\nSubject: two\n\n\n"
)


def test_init_makes_an_instance_for_its_owner_s_eyes(programs: Programs) -> None:
    base = programs.base / "instance"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in base.rglob("*")}
    assert modes["users"] == modes["key.pem"] == 0o600
    assert modes["mail"] == modes["spool"] == 0o700
    assert programs.json("pymailctl", "user", "list")[0]["user"] == "demo"
    boxes = {row["name"]: row for row in programs.json("pymailctl", "mailbox", "list", "demo")}
    assert set(boxes) == {"INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"}
    assert all(row["subscribed"] for row in boxes.values())


def test_the_certificate_is_good_for_localhost(programs: Programs) -> None:
    tls = programs.base / "instance" / "tls"
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tls / "cert.pem", tls / "key.pem")
    client = ssl.create_default_context(cafile=str(tls / "cert.pem"))
    ends = socket.socketpair()
    ours = server.wrap_socket(ends[0], server_side=True, do_handshake_on_connect=False)
    theirs = client.wrap_socket(ends[1], server_hostname="localhost", do_handshake_on_connect=False)
    with ours, theirs:
        for end in (ours, theirs):
            end.setblocking(False)
        for _ in range(10):
            for end in (theirs, ours):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        assert theirs.getpeercert()


def test_init_touches_nothing_that_is_there(programs: Programs) -> None:
    before = programs.config.read_text()
    code, text = programs.fails("pymaild", "init", "instance")
    assert code == 73
    assert "is there already" in text
    assert programs.config.read_text() == before


def test_a_failed_init_leaves_nothing(programs: Programs) -> None:
    (programs.base / "file").write_text("x")
    assert programs.fails("pymaild", "init", "file")[0] == 73
    assert sorted(path.name for path in programs.base.iterdir()) == ["file", "instance"]


def test_check_config_names_every_problem(programs: Programs) -> None:
    assert "no problem found" in programs("pymaild", "check-config")
    bad = programs.base / "bad.toml"
    bad.write_text('[server]\nworker_min = 3\n[imap]\n\n[[tls.certificate]]\ncert = "no.pem"\n')
    done = programs.run("pymaild", "check-config", "-c", bad)
    assert done.returncode == 78
    assert done.stdout.decode().splitlines() == [
        f"{bad}:2: server.worker_min: unknown key; did you mean workers_min?"
    ]
    bad.write_text('[[tls.certificate]]\ncert = "no.pem"\n')
    done = programs.run("pymaild", "check-config", "--json", "-c", bad)
    assert done.returncode == 78
    found = [(p["line"], p["key"]) for p in json.loads(done.stdout)["problems"]]
    assert (2, "tls.certificate.cert") in found
    bad.write_text('[[listener]]\naddress = "127.0.0.1:0"\ntls = true\n')
    done = programs.run("pymaild", "check-config", "-c", bad)
    assert f"{bad}:3: listener.tls: needs a [[tls.certificate]], and" in done.stdout.decode()


def test_check_config_compares_listeners(programs: Programs) -> None:
    bad = programs.base / "bad.toml"
    bad.write_text(
        '[server]\ncontrol_group = "group-of-no-name"\n'
        '[[listener]]\nname = "a"\naddress = "127.0.0.1:1143"\n'
        '[[listener]]\nname = "b"\naddress = "127.0.0.1:1143"\n'
        '[[listener]]\nname = "a"\naddress = "127.0.0.1:0"\n'
    )
    done = programs.run("pymaild", "check-config", "-c", bad)
    assert done.returncode == 78
    text = done.stdout.decode()
    assert f"{bad}:2: server.control_group: there is no group 'group-of-no-name'" in text
    assert f"{bad}:8: listener.address: another listener has the same address\n" in text
    assert f"{bad}:10: listener.name: another listener has the same name\n" in text


def test_serve_refuses_a_broken_configuration_in_one_line(programs: Programs) -> None:
    bad = programs.base / "bad.toml"
    bad.write_text("[server]\nworkers_min = 0\n")
    code, text = programs.fails("pymaild", "serve", "-c", bad)
    assert code == 78
    assert text == f"pymaild: {bad}:2: server.workers_min: must be at least 1\n"


@pytest.mark.parametrize(
    "words", [[], ["no-such"], ["user"], ["user", "add"], ["kick", "--idd", "3"]], ids=str
)
def test_a_wrong_command_line(programs: Programs, words: list[str]) -> None:
    code, text = programs.fails("pymailctl", *words)
    assert code == 64
    assert text.startswith("usage: pymailctl")


def test_common_options_stand_before_or_behind_the_command(programs: Programs) -> None:
    rows = programs.json("pymailctl", "user", "list")
    before = programs.run("pymailctl", "-c", programs.config, "--json", "user", "list")
    behind = programs.run("pymailctl", "-c", "/none", "user", "list", "-c", programs.config)
    assert json.loads(before.stdout) == rows
    assert behind.returncode == 0


def test_no_server_is_running(programs: Programs) -> None:
    done = programs.run("pymailctl", "status", "--json")
    assert done.returncode == 69
    assert json.loads(done.stdout)["exit"] == 69
    assert "no server is running" in json.loads(done.stdout)["error"]


def test_the_life_of_a_user(programs: Programs) -> None:
    users = programs.base / "instance" / "users"
    programs("pymailctl", "user", "add", "Alice", "--stdin", data=b"first\n")
    stored = users.read_text().splitlines()[-1].partition(":")[2]
    assert schemes.verify(stored, b"first")
    programs("pymailctl", "user", "passwd", "alice", "--stdin", data=b"second\n")
    stored = users.read_text().splitlines()[-1].partition(":")[2]
    assert schemes.verify(stored, b"second")
    assert [row["user"] for row in programs.json("pymailctl", "user", "list")] == ["demo", "alice"]
    programs("pymailctl", "user", "remove", "alice")
    assert [row["user"] for row in programs.json("pymailctl", "user", "list")] == ["demo"]


def test_users_that_cannot_be(programs: Programs) -> None:
    add = ("pymailctl", "user", "add")
    assert programs.fails(*add, "demo", "--stdin", data=b"x\n")[0] == 73
    assert programs.fails(*add, "../x", "--stdin", data=b"x\n")[0] == 65
    assert programs.fails(*add, "x", "--stdin", data=b"\n")[0] == 65
    assert programs.fails(*add, "x")[0] == 64
    assert programs.fails("pymailctl", "user", "remove", "x")[0] == 67
    assert programs.fails("pymailctl", "user", "passwd", "x", "--stdin", data=b"x\n")[0] == 67


def names(programs: Programs) -> list[str]:
    return [row["name"] for row in programs.json("pymailctl", "mailbox", "list", "demo")]


def test_mailboxes_are_made_renamed_and_deleted(programs: Programs) -> None:
    programs("pymailctl", "mailbox", "create", "demo", "Lists/Grüße")
    assert "Lists/Grüße" in names(programs)
    programs("pymailctl", "mailbox", "rename", "demo", "Lists/Grüße", "Lists/b")
    assert "Lists/b" in names(programs)
    programs("pymailctl", "mailbox", "delete", "demo", "Lists/b")
    assert "Lists/b" not in names(programs)
    assert programs.fails("pymailctl", "mailbox", "delete", "demo", "Lists/b")[0] == 66
    assert programs.fails("pymailctl", "mailbox", "create", "demo", "Sent")[0] == 73
    assert programs.fails("pymailctl", "mailbox", "list", "nobody-here")[0] == 67


def test_the_index_is_verified_and_made_again(programs: Programs) -> None:
    before = programs.json("pymailctl", "mailbox", "status", "demo", "INBOX")
    assert programs.json("pymailctl", "index", "verify", "demo") == {
        name: [] for name in names(programs)
    }
    assert programs.json("pymailctl", "index", "rebuild", "demo", "INBOX") == ["INBOX"]
    after = programs.json("pymailctl", "mailbox", "status", "demo", "INBOX")
    for key in ("uidvalidity", "messages", "unseen", "size"):
        assert [row[key] for row in after] == [row[key] for row in before]
    assert after[0]["uidnext"] >= before[0]["uidnext"]


def status(programs: Programs, mailbox: str) -> dict[str, int]:
    (found,) = programs.json("pymailctl", "mailbox", "status", "demo", mailbox)
    assert isinstance(found, dict)
    return found


def test_mail_goes_in_and_out_unchanged(programs: Programs) -> None:
    (programs.base / "in.mbox").write_bytes(MBOX)
    out, folder, again = (programs.base / name for name in ("out.mbox", "maildir", "again.mbox"))
    said = programs.json("pymailctl", "import", "demo", "in.mbox", "--mailbox", "New")
    assert said == {"imported": 2, "mailboxes": {"New": 2}}
    assert (status(programs, "New")["messages"], status(programs, "New")["unseen"]) == (2, 1)
    programs("pymailctl", "export", "demo", "New", out)
    programs("pymailctl", "export", "demo", "New", folder, "--format", "maildir")
    programs("pymailctl", "import", "demo", folder, "--mailbox", "Copy")
    programs("pymailctl", "export", "demo", "Copy", again)
    assert out.read_bytes() == again.read_bytes()
    assert out.read_bytes() == (
        b"From MAILER-DAEMON Tue Jul 23 19:39:23 2002\n"
        b"Status: RO\nX-Status: F\nX-Keywords: work\nSubject: one\n\nbody\n>From here\n\n"
        b"From MAILER-DAEMON Tue Jul 23 19:39:24 2002\nStatus: O\nSubject: two\n\n\n"
    )
    assert programs("pymailctl", "export", "demo", "New", "-").encode() == out.read_bytes()


def test_subfolders_of_a_maildir_come_along(programs: Programs) -> None:
    root = programs.base / "old"
    for folder in (root, root / ".Lists.gr&APwA3w-e"):
        for part in ("cur", "new", "tmp"):
            (folder / part).mkdir(parents=True)
    (root / "cur" / "1.a:2,S").write_bytes(b"Subject: a\n\n")
    (root / ".Lists.gr&APwA3w-e" / "new" / "2.b").write_bytes(b"Subject: b\n\n")
    said = programs.json("pymailctl", "import", "demo", root, "--mailbox", "Old", "--subfolders")
    assert said["mailboxes"] == {"Old": 1, "Lists/grüße": 1}


def test_what_is_no_mail_is_not_imported(programs: Programs) -> None:
    (programs.base / "text").write_text("hello\n")
    before = status(programs, "INBOX")
    assert programs.fails("pymailctl", "import", "demo", "text")[0] == 65
    assert programs.fails("pymailctl", "import", "demo", programs.base)[0] == 65
    assert programs.fails("pymailctl", "import", "demo", "nothing")[0] == 66
    assert status(programs, "INBOX") == before


def test_an_export_overwrites_nothing(programs: Programs) -> None:
    (programs.base / "out").write_text("mine")
    assert programs.fails("pymailctl", "export", "demo", "INBOX", "out")[0] == 73
    assert (programs.base / "out").read_text() == "mine"


def test_deliver(programs: Programs) -> None:
    mail = b"From a@b  Tue Jul 23 19:39:23 2002\nSubject: delivered\n\nx\n"
    before = status(programs, "INBOX")["messages"]
    programs("pymaild", "deliver", "-d", "demo", "-a", "demo@example.org", data=mail)
    assert status(programs, "INBOX")["messages"] == before + 1
    stored = newest(programs.base / "instance" / "mail" / "demo" / "Maildir")
    assert b"Return-Path: <a@b>" in stored
    assert b"Delivered-To: demo@example.org" in stored
    programs("pymaild", "deliver", "-d", "demo+junk", data=mail)
    assert programs.fails("pymaild", "deliver", "-d", "nobody-here", data=mail)[0] == 67


def newest(maildir: Path) -> bytes:
    files = [path for part in ("new", "cur") for path in (maildir / part).iterdir()]
    return max(files, key=lambda path: path.stat().st_mtime_ns).read_bytes()


def test_the_mta_keeps_the_message_while_the_configuration_is_broken(programs: Programs) -> None:
    programs.config.write_text("[imap\n")
    assert programs.fails("pymaild", "deliver", "-d", "demo", data=b"Subject: x\n\n")[0] == 75


def test_version(programs: Programs) -> None:
    assert set(programs.json("pymaild", "version")) == {"pymaild", "python", "openssl"}


def test_fulltext(programs: Programs) -> None:
    """Made, shown, written anew and removed; small mailboxes get none."""
    config = programs.config.read_text()
    programs("pymailctl", "fulltext", "build", "demo")
    [row] = programs.json("pymailctl", "fulltext", "status", "demo", "INBOX")
    assert row["segments"] == 0
    programs.config.write_text(config.replace("[mail]\n", "[mail]\nfulltext = 1\n", 1))
    assert "INBOX" in programs.json("pymailctl", "fulltext", "build", "demo")
    [row] = programs.json("pymailctl", "fulltext", "status", "demo", "INBOX")
    assert (row["indexed"], row["left"], row["gone"]) == (row["messages"], 0, 0)
    assert row["segments"] == 1
    assert row["size"] > 0
    assert "INBOX" in programs.json("pymailctl", "fulltext", "optimise", "demo")
    assert "INDEXED" in programs("pymailctl", "fulltext", "status", "demo")
    assert programs.json("pymailctl", "fulltext", "drop", "demo", "INBOX") == ["INBOX"]
    [row] = programs.json("pymailctl", "fulltext", "status", "demo", "INBOX")
    assert row["segments"] == 0
