"""`pymaild deliver`: one message from a pipe, and exit codes that MTAs understand."""

from __future__ import annotations

import errno
import io
import os
import pwd
from collections.abc import Callable
from typing import Any

import pytest

from pymaild.core.errors import Code, Refused, from_oserror
from pymaild.core.session import User
from pymaild.lmtp.mda import Order, Place, deliver_command, own_user
from pymaild.lmtp.settings import LmtpSettings
from tests.lmtp.conftest import mailbox
from tests.support import stores
from tests.support.sessions import Bench

MESSAGE = b"Subject: hello\n\nline\n.\nend\n"
CRLF = MESSAGE.replace(b"\n", b"\r\n")


class Desk:
    """Runs the command as an MTA would."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.settings = LmtpSettings()
        self.became: list[User] = []
        self.limit = 100_000
        self._client = bench.auth.client()
        self.lookup: Callable[[str], User | None] = self._client.lookup

    def __call__(self, message: bytes = MESSAGE, **options: Any) -> int:
        place = Place(
            self.lookup, self.bench.open_account, self.became.append, self.limit, self.settings
        )
        return deliver_command(io.BytesIO(message), Order(**options), place)

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def desk(lmtp: Bench) -> Any:
    made = Desk(lmtp)
    yield made
    made.close()


def test_delivery(desk: Desk) -> None:
    assert desk(user="alice") == os.EX_OK
    assert mailbox(desk.bench, "alice") == [CRLF]
    assert [user.name for user in desk.became] == ["alice"]


def test_sender_and_address_become_header_lines(desk: Desk) -> None:
    assert desk(user="alice", sender="a@b", address="alice@example.org") == os.EX_OK
    added = b"Return-Path: <a@b>\r\nDelivered-To: alice@example.org\r\n"
    assert mailbox(desk.bench, "alice") == [added + CRLF]


def test_lines_that_the_mta_has_written_are_not_doubled(desk: Desk) -> None:
    given = b"RETURN-PATH: <x@y>\nDelivered-To: ALICE@example.org\n" + MESSAGE
    assert desk(given, user="alice", sender="a@b", address="alice@example.org") == os.EX_OK
    assert mailbox(desk.bench, "alice") == [given.replace(b"\n", b"\r\n")]


def test_the_body_is_no_header(desk: Desk) -> None:
    given = b"Subject: x\n\nReturn-Path: <x@y>\n"
    assert desk(given, user="alice", sender="") == os.EX_OK
    assert mailbox(desk.bench, "alice")[0].startswith(b"Return-Path: <>\r\nSubject: x\r\n")


@pytest.mark.parametrize(
    ("line", "sender", "path"),
    [
        (b"From a@b Thu Jan  1 00:00:00 1970\n", None, b"<a@b>"),
        (b"From a@b Thu Jan  1 00:00:00 1970\r\n", None, b"<a@b>"),
        (b">From a@b  Thu Jan  1 00:00:00 1970\n", None, b"<a@b>"),
        (b"From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n", None, b"<>"),
        (b"From a@b Thu Jan  1 00:00:00 1970\n", "c@d", b"<c@d>"),
    ],
)
def test_the_line_of_an_mbox(desk: Desk, line: bytes, sender: str | None, path: bytes) -> None:
    assert desk(line + MESSAGE, user="alice", sender=sender) == os.EX_OK
    assert mailbox(desk.bench, "alice") == [b"Return-Path: " + path + b"\r\n" + CRLF]


def test_arguments_cannot_add_header_lines(desk: Desk) -> None:
    assert desk(user="alice", sender="a@b>\nX-Evil: yes\r") == os.EX_OK
    assert mailbox(desk.bench, "alice") == [b"Return-Path: <a@b>X-Evil: yes>\r\n" + CRLF]


@pytest.mark.parametrize(
    "options",
    [
        {"user": "alice", "folder": "lists"},
        {"user": "alice", "address": "alice+lists@example.org"},
        {"user": "alice+lists@example.org"},
        {"user": "alice+other", "folder": "lists"},
    ],
)
def test_folders(desk: Desk, options: dict[str, str]) -> None:
    desk.bench.account("alice").create("lists")
    assert desk(**options) == os.EX_OK
    assert len(mailbox(desk.bench, "alice", "lists")) == 1


def test_a_folder_that_is_not_there_means_inbox(desk: Desk) -> None:
    assert desk(user="alice", folder="none") == os.EX_OK
    assert len(mailbox(desk.bench, "alice")) == 1


def raising(error: Exception) -> Callable[[Any], Any]:
    def call(_: Any) -> Any:
        raise error

    return call


def broken_disk(number: int) -> Exception:
    return from_oserror(OSError(number, os.strerror(number)))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (broken_disk(errno.ENOSPC), os.EX_TEMPFAIL),
        (broken_disk(errno.EDQUOT), os.EX_TEMPFAIL),
        (broken_disk(errno.EACCES), os.EX_TEMPFAIL),
        (Refused(Code.EXPIRED, "gone"), os.EX_NOPERM),
        (ZeroDivisionError("a bug"), os.EX_TEMPFAIL),
    ],
)
def test_exit_codes_of_failures(desk: Desk, error: Exception, code: int) -> None:
    desk.bench.open_account = raising(error)
    assert desk(user="alice") == code


def test_quota_may_bounce(desk: Desk) -> None:
    desk.settings = LmtpSettings(quota_full="bounce")
    desk.bench.open_account = raising(broken_disk(errno.EDQUOT))
    assert desk(user="alice") == os.EX_CANTCREAT


@pytest.mark.parametrize("user", ["nobody", "nobody@example.org", "not an address", "<>", ""])
def test_no_such_user(desk: Desk, user: str) -> None:
    assert desk(user=user) == os.EX_NOUSER
    assert desk.became == []


def test_auth_that_is_down_is_temporary(desk: Desk) -> None:
    os.unlink(desk.bench.auth.path)
    assert desk(user="alice") == os.EX_TEMPFAIL


def test_too_big_a_message_leaves_nothing(desk: Desk) -> None:
    assert desk(b"x" * 200_000, user="alice") == os.EX_DATAERR
    assert mailbox(desk.bench, "alice") == []
    assert stores.drafts(desk.bench.folder / "mail" / "alice" / "Maildir") == []


@pytest.mark.parametrize("message", [b"", b"From a@b Thu Jan  1 00:00:00 1970\n"])
def test_no_message(desk: Desk, message: bytes) -> None:
    assert desk(message, user="alice") == os.EX_NOINPUT


def test_a_pipe_that_breaks_is_temporary(desk: Desk) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(errno.EIO, "broken")

    place = Place(desk.lookup, desk.bench.open_account, desk.became.append, 1000, desk.settings)
    assert deliver_command(Broken(), Order(user="alice"), place) == os.EX_TEMPFAIL
    assert mailbox(desk.bench, "alice") == []


def test_without_a_user_it_is_the_callers_own_mail(desk: Desk) -> None:
    """And nobody has to be asked for it."""
    desk.lookup = raising(AssertionError("asked"))
    opened: list[User] = []

    def open_account(user: User) -> Any:
        opened.append(user)
        return desk.bench.account("bob")

    desk.bench.open_account = open_account
    assert desk() == os.EX_OK
    assert len(mailbox(desk.bench, "bob")) == 1
    entry = pwd.getpwuid(os.getuid())
    assert opened == [own_user()]
    assert (opened[0].name, opened[0].mail) == (entry.pw_name, entry.pw_dir + "/Maildir")
