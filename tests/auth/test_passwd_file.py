"""The passwd-file is read tolerantly, read again when it changes, and changed safely."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymaild.auth import passwd_edit
from pymaild.auth.passwd_file import PasswdFile, Table, parse
from pymaild.auth.schemes import verify
from pymaild.auth.settings import AuthSettings
from pymaild.auth.users import SourceUnavailable
from pymaild.core.errors import Code, Refused
from pymaild.storage import atomic
from tests.auth.conftest import COSTS

SAMPLE = """\
# users of example.org

alice:{PLAIN}secret
Bob@Example.org:{PLAIN}hidden:5000:5000:Bob:/home/bob:/bin/false:
carol:{PLAIN}c::::/srv/carol::userdb_mail=maildir:~/mail:INBOX=/x nologin allow_nets=10.0.0.0/8,::1
dave::::::
"""


def table(text: str, **changes: object) -> Table:
    return parse(text, AuthSettings(mail_path="/mail/{user}", **changes))  # type: ignore[arg-type]


def settings_for(folder: Path, text: str | None = None) -> AuthSettings:
    path = folder / "users"
    if text is not None:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    memory, time, parallelism = COSTS
    return AuthSettings(
        passwd_file=str(path),  # type: ignore[arg-type]
        hash_memory=memory,  # type: ignore[arg-type]
        hash_time=time,
        hash_parallelism=parallelism,
    )


class TestParsing:
    def test_fields(self) -> None:
        entries = table(SAMPLE).entries
        assert list(entries) == ["alice", "bob@example.org", "carol", "dave"]
        assert entries["alice"].user.mail == "/mail/alice"
        bob = entries["bob@example.org"].user
        assert (bob.home, bob.mail, bob.uid) == ("/home/bob", "/home/bob/Maildir", -1)
        assert not bob.system

    def test_extra_fields(self) -> None:
        carol = table(SAMPLE).entries["carol"]
        assert carol.user.mail == "/srv/carol/mail"
        assert not carol.login
        assert carol.admits("10.1.2.3")
        assert carol.admits("::ffff:10.1.2.3")
        assert carol.admits("::1")
        assert not carol.admits("192.0.2.1")
        assert not carol.admits("")

    def test_homes_can_be_passed_over(self) -> None:
        entries = table(SAMPLE, home_mail="").entries
        assert entries["bob@example.org"].user.mail == "/mail/bob@example.org"

    @pytest.mark.parametrize(
        ("line", "fatal", "words"),
        [
            ("no/name:{PLAIN}x", True, "character"),
            (":{PLAIN}x", True, "empty"),
            ("alice:{PLAIN}again", True, "twice"),
            ("erin:{ROT13}x", False, "ROT13"),
            ("erin", False, "no password"),
            ("erin:{PLAIN}x::::home::", True, "absolute"),
            ("erin:{PLAIN}x::::::userdb_mail=mdbox:/x", True, "userdb_mail"),
            ("erin:{PLAIN}x::::::userdb_mail=maildir:/m/%u", True, "variables"),
            ("erin:{PLAIN}x::::::allow_nets=10.0.0.0/33", True, "allow_nets"),
            ("erin:{PLAIN}x::::::color=1 other", False, "color, other"),
        ],
    )
    def test_bad_lines_are_named_and_hide_no_other(
        self, line: str, fatal: bool, words: str
    ) -> None:
        found = table(f"alice:{{PLAIN}}secret\n{line}\nbob:{{PLAIN}}x\n")
        [problem] = found.problems
        assert (problem.line, problem.fatal) == (2, fatal)
        assert words in problem.text
        assert {"alice", "bob"} <= found.entries.keys()
        assert ("erin" in found.entries) is (line.startswith("erin") and not fatal)

    def test_secrets_are_not_in_problems(self) -> None:
        found = table("erin:{ROT13}frperg\nal ice:{PLAIN}secret\nfred:hash!\n")
        assert len(found.problems) == 2
        assert not any(word in p.text for p in found.problems for word in ("frperg", "secret"))

    @settings(deadline=None)
    @given(st.text(max_size=200))
    def test_no_text_breaks_it(self, text: str) -> None:
        found = table(text)
        assert all(1 <= problem.line <= text.count("\n") + 1 for problem in found.problems)


class TestReading:
    def test_changes_count_at_once(self, tmp_path: Path) -> None:
        settings = settings_for(tmp_path, "alice:{PLAIN}a\n")
        source = PasswdFile(settings)
        assert source.find("alice")
        for number in range(20):  # in place and of one size: only the times differ, if they do
            Path(settings.passwd_file).write_text(f"user{number:02d}:{{PLAIN}}a\n")
            assert source.find(f"user{number:02d}")
            assert source.find("alice") is None

    def test_a_file_that_cannot_be_read_says_nothing(self, tmp_path: Path) -> None:
        settings = settings_for(tmp_path, "alice:{PLAIN}a\n")
        source = PasswdFile(settings)
        assert source.find("alice")
        os.rename(settings.passwd_file, tmp_path / "away")
        with pytest.raises(SourceUnavailable):
            source.find("alice")
        os.rename(tmp_path / "away", settings.passwd_file)
        assert source.find("alice")

    def test_undecodable_octets_hide_no_line(self, tmp_path: Path) -> None:
        text = b"# caf\xe9\nalice:{PLAIN}a:::\xe9:::\n".decode("utf-8", "surrogateescape")
        assert PasswdFile(settings_for(tmp_path, text)).find("alice")


class TestEditing:
    def test_add(self, tmp_path: Path) -> None:
        settings = settings_for(tmp_path)
        user = passwd_edit.add_user(settings, "Alice@Example.ORG", b"secret")
        assert (user.name, user.mail) == (
            "alice@example.org",
            "/var/mail/pymaild/alice@example.org/Maildir",
        )
        passwd_edit.add_user(settings, "bob", b"hidden", home="/home/bob")
        source = PasswdFile(settings)
        alice, bob = source.find("alice@example.org"), source.find("bob")
        assert alice
        assert verify(alice.stored, b"secret")
        assert bob
        assert bob.user.mail == "/home/bob/Maildir"
        assert os.stat(settings.passwd_file).st_mode & 0o777 == 0o600

    def test_everything_else_stays(self, tmp_path: Path) -> None:
        text = "# caf\udce9\r\n\nalice:{PLAIN}a:1:2:g:/h:/s:x=y\r\nno/name:x\nbob:{PLAIN}b"
        settings = settings_for(tmp_path, text)
        passwd_edit.set_password(settings, "ALICE", b"new")
        changed = Path(settings.passwd_file).read_bytes().decode("utf-8", "surrogateescape")
        before, after = text.split("\n"), changed.split("\n")
        assert after[-1] == ""
        assert [before[i] for i in (0, 1, 3, 4)] == [after[i] for i in (0, 1, 3, 4)]
        assert after[2].startswith("alice:{ARGON2ID}$argon2id$")
        assert after[2].endswith(":1:2:g:/h:/s:x=y\r")
        passwd_edit.remove_user(settings, "alice")
        left = Path(settings.passwd_file).read_bytes().decode("utf-8", "surrogateescape")
        assert left == "\n".join([*before[:2], *before[3:], ""])

    def test_a_short_line_gets_a_new_password(self, tmp_path: Path) -> None:
        settings = settings_for(tmp_path, "alice\n")
        passwd_edit.set_password(settings, "alice", b"secret")
        alice = PasswdFile(settings).find("alice")
        assert alice
        assert verify(alice.stored, b"secret")

    def test_owner_rights_and_link_stay(self, tmp_path: Path) -> None:
        settings = settings_for(tmp_path, "alice:{PLAIN}a\n")
        real = tmp_path / "real"
        os.rename(settings.passwd_file, real)
        os.chmod(real, 0o640)
        os.symlink("real", settings.passwd_file)
        passwd_edit.add_user(settings, "bob", b"hidden")
        assert os.path.islink(settings.passwd_file)
        assert os.stat(real).st_mode & 0o777 == 0o640
        assert sorted(os.listdir(tmp_path)) == ["real", "users"]

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
    def test_a_file_of_another_owner_stays_his(self, tmp_path: Path) -> None:
        settings = settings_for(tmp_path, "alice:{PLAIN}a\n")
        os.chown(settings.passwd_file, 12, 34)
        passwd_edit.add_user(settings, "bob", b"hidden")
        status = os.stat(settings.passwd_file)
        assert (status.st_uid, status.st_gid) == (12, 34)

    def test_what_cannot_be_done(self, tmp_path: Path) -> None:
        settings = settings_for(tmp_path, "alice:{PLAIN}a\n")
        nowhere = AuthSettings(passwd_file="")  # type: ignore[arg-type]
        for code, call in (
            (Code.ALREADYEXISTS, lambda: passwd_edit.add_user(settings, "Alice", b"x")),
            (Code.NONEXISTENT, lambda: passwd_edit.set_password(settings, "bob", b"x")),
            (Code.NONEXISTENT, lambda: passwd_edit.remove_user(settings, "bob")),
            (Code.CANNOT, lambda: passwd_edit.add_user(settings, "b/b", b"x")),
            (Code.CANNOT, lambda: passwd_edit.add_user(settings, "bob", b"")),
            (Code.CANNOT, lambda: passwd_edit.add_user(settings, "bob", b"x", "/a:b")),
            (Code.CANNOT, lambda: passwd_edit.add_user(settings, "bob", b"x", "home")),
            (Code.CANNOT, lambda: passwd_edit.add_user(nowhere, "bob", b"x")),
        ):
            with pytest.raises(Refused) as caught:
                call()
            assert caught.value.code is code
        assert Path(settings.passwd_file).read_text() == "alice:{PLAIN}a\n"

    def test_at_once(self, tmp_path: Path) -> None:
        """Several administrators add users at the same time: nobody is lost."""
        settings = settings_for(tmp_path, "# first\n")
        children = []
        for number in range(8):
            pid = os.fork()
            if pid == 0:
                passwd_edit.add_user(settings, f"user{number}", b"secret")
                os._exit(0)
            children.append(pid)
        assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 8
        rows, problems = passwd_edit.list_users(settings)
        assert sorted(row.user.name for row in rows) == [f"user{n}" for n in range(8)]
        assert problems == []

    def test_stopped_at_any_step_the_file_is_old_or_new(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old = "# first\nalice:{PLAIN}a\n"
        stops = 0
        for stop in range(20):
            settings = settings_for(tmp_path, old)
            steps: list[str] = []

            def halt(kind: str, path: str, steps: list[str] = steps, stop: int = stop) -> None:
                steps.append(kind)
                if len(steps) == stop:
                    raise InterruptedError(kind)

            monkeypatch.setattr(atomic, "observer", halt)
            try:
                passwd_edit.remove_user(settings, "alice")
            except InterruptedError:
                stops += 1
            monkeypatch.setattr(atomic, "observer", None)
            assert Path(settings.passwd_file).read_text() in (old, "# first\n")
        assert stops >= 4  # create, write, fsync, rename, fsync of the directory

    def test_list(self, tmp_path: Path) -> None:
        rows, problems = passwd_edit.list_users(settings_for(tmp_path, SAMPLE))
        assert [(row.user.name, row.scheme, row.login) for row in rows] == [
            ("alice", "PLAIN", True),
            ("bob@example.org", "PLAIN", True),
            ("carol", "PLAIN", False),
            ("dave", "", False),
        ]
        assert [problem.line for problem in problems] == [6]

    def test_passwords_come_from_a_stream(self) -> None:
        assert passwd_edit.read_password(io.BytesIO(b"sec ret\r\nmore\n")) == b"sec ret"
        assert passwd_edit.read_password(io.BytesIO(b"secret")) == b"secret"
        for nothing in (b"", b"\n", b"p" * 2000):
            with pytest.raises(Refused):
                passwd_edit.read_password(io.BytesIO(nothing))
