"""The host's own users: each session, and each delivery, in a process that has become the user."""

from __future__ import annotations

import os
import poplib
import pwd
import secrets
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support import instance as support
from tests.support.deflated import compress
from tests.support.imap import Imap
from tests.support.instance import Instance, instance
from tests.support.lmtp import deliver

from .conftest import eventually

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")

MAIL = b"Subject: to a system user\r\n\r\nbody\r\n"


@pytest.fixture
def local_user() -> Iterator[pwd.struct_passwd]:
    """A user of this host, with a home and a password."""
    name = "pm" + secrets.token_hex(4)
    made = ["openssl", "passwd", "-6", "-stdin"]
    stored = subprocess.run(made, input="pw", check=True, capture_output=True, text=True).stdout
    subprocess.run(["useradd", "-m", "--password", stored.strip(), name], check=True)
    try:
        yield pwd.getpwnam(name)
    finally:
        subprocess.run(["userdel", "--force", "--remove", name], check=True, capture_output=True)


@pytest.fixture
def rooted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    """An instance as an administrator runs it: the master is root, nobody else is."""
    monkeypatch.setattr(support, "become", lambda program=None: {})
    monkeypatch.setattr(support, "give", lambda path: None)
    with instance({"alice": "secret"}) as made:
        made.settings["server"] |= {"user": "mail", "tls_user": "nobody", "auth_user": "root"}
        made.settings["server"] |= {"park_after": 0.5}
        made.settings["auth"] |= {"system_users": True}
        for path in (made.base, *made.base.parents):
            if path.is_relative_to("/tmp") and path != Path("/tmp"):
                path.chmod(0o755)
        for folder in ("mail", "spool"):
            (made.base / folder).mkdir()
            os.chown(made.base / folder, pwd.getpwnam("mail").pw_uid, -1)
        made.start()
        yield made


def test_mail_is_delivered_and_read_as_the_user(
    rooted: Instance, local_user: pwd.struct_passwd
) -> None:
    codes = deliver(rooted.lmtp, [local_user.pw_name, "alice"], MAIL)
    assert set(codes.values()) == {250}
    [path] = (Path(local_user.pw_dir) / "Maildir" / "new").iterdir()
    assert path.stat().st_uid == local_user.pw_uid
    [virtual] = (rooted.maildir("alice") / "new").iterdir()
    assert virtual.owner() == "mail"
    with Imap(rooted.imap).login(local_user.pw_name, "pw") as client:
        client.ok("SELECT INBOX")
        assert local_user.pw_uid in {process.uids().real for process in rooted.pids()}
        assert "body" in str(client.ok("FETCH 1 BODY[TEXT]"))
        client.ok("LOGOUT")


def test_compression_for_the_user(rooted: Instance, local_user: pwd.struct_passwd) -> None:
    """The process that became the user passes its client on, and goes on."""
    with Imap(rooted.imap).login(local_user.pw_name, "pw") as client:
        client.ok("SELECT INBOX")
        compress(client)
        assert local_user.pw_uid in {process.uids().real for process in rooted.pids()}
        client.appended("INBOX", MAIL)
        assert "body" in str(client.ok("FETCH 1 BODY[TEXT]"))
        client.ok("LOGOUT")
        assert client.ended()


def test_a_user_whose_home_cannot_be_written_delays_only_their_own_mail(
    rooted: Instance, local_user: pwd.struct_passwd
) -> None:
    os.chown(local_user.pw_dir, 0, 0)
    os.chmod(local_user.pw_dir, 0o755)
    codes = deliver(rooted.lmtp, [local_user.pw_name, "alice"], MAIL)
    assert codes == {local_user.pw_name: 451, "alice": 250}
    assert len(list((rooted.maildir("alice") / "new").iterdir())) == 1


def test_a_silent_session_needs_no_process(rooted: Instance, local_user: pwd.struct_passwd) -> None:
    """It goes on in another process of its user, also when its process is killed."""
    with Imap(rooted.imap) as imap:
        imap.login(local_user.pw_name, "pw")
        imap.ok("SELECT INBOX")
        for _ in range(2):
            eventually(lambda: rooted.control("status")["parked"]["silent"] == 1, "silence")
            eventually(lambda: not rooted.workers("user"), "the end of its process")
            imap.ok("NOOP")
            (row,) = rooted.control("who")
            assert psutil.Process(row["pid"]).uids().real == local_user.pw_uid
            os.kill(row["pid"], signal.SIGKILL)
            imap.ok("NOOP")
            tag = imap.idle()
            imap.done(tag)


def test_sessions_wait_for_a_process(rooted: Instance, local_user: pwd.struct_passwd) -> None:
    """One that wakes, and one that logs in, while there are as many processes as there may be."""
    rooted.stop()
    rooted.settings["server"] |= {"user_processes": 1, "workers_spare": 3, "park_after": 0.01}
    rooted.start()
    name = local_user.pw_name
    with Imap(rooted.imap) as woken, Imap(rooted.imap) as working, Imap(rooted.imap) as fresh:
        woken.login(name, "pw")
        eventually(lambda: not rooted.workers("user"), "the end of its process")
        working.login(name, "pw")
        tag = working.start(b"APPEND INBOX {%d}" % len(MAIL))
        assert working.read().tag == "+"
        noop = woken.start("NOOP")
        login = fresh.start(f"LOGIN {name} pw")
        eventually(lambda: "sessions have to wait" in rooted.log(), "waiting")
        assert len(rooted.workers("user")) == 1
        working.send(MAIL + b"\r\n")
        assert working.finish(tag).status == "OK"
        assert woken.finish(noop).status == "OK"
        assert fresh.finish(login).status == "OK"
        fresh.ok("SELECT INBOX")


def pop3(rooted: Instance, user: str) -> poplib.POP3:
    assert isinstance(rooted.pop3, tuple)
    client = poplib.POP3(*rooted.pop3, timeout=20)
    client.user(user)
    return client


def test_the_maildrop_stays_locked(rooted: Instance, local_user: pwd.struct_passwd) -> None:
    """While the session waits, and when another process goes on with it."""
    client, other = (pop3(rooted, local_user.pw_name) for _ in range(2))
    client.pass_("pw")
    for _ in range(2):
        eventually(lambda: silent(rooted) == 2, "both wait")
        with pytest.raises(poplib.error_proto, match="IN-USE"):
            other.pass_("pw")
        other.close()
        other = pop3(rooted, local_user.pw_name)
        eventually(lambda: silent(rooted) == 2, "both wait")
        assert client.stat() == (0, 0)
    client.quit()
    other.pass_("pw")
    other.quit()


def silent(rooted: Instance) -> int:
    return int(rooted.control("status")["parked"]["silent"])


def test_no_process_but_the_master_stays_root(rooted: Instance) -> None:
    master, *children = rooted.pids()
    assert master.uids().real == 0
    roles = {row["pid"]: row["role"] for row in rooted.control("status")["roles"]}
    names = dict.fromkeys(("tls", "deflate", "keeper", "vault"), "nobody")
    names |= {"worker": "mail", "auth": "root"}
    for child in children:
        role = roles[child.pid]
        assert psutil.Process(child.pid).uids().real == pwd.getpwnam(names[role]).pw_uid, role
