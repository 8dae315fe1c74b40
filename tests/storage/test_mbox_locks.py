"""An mbox is locked as MTAs, mail readers and shell scripts lock it, and theirs are respected."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pymaild.core.errors import Refused
from pymaild.storage import mboxlocks, mboxrewrite
from pymaild.storage.mbox import Edit, Mbox, State
from pymaild.storage.mboxlocks import LockRules
from tests.storage.mboxes import append, made, mail, mbox_at, messages, numbering, octets, served

AT_ONCE = LockRules(write=("fcntl", "dotlock"), timeout=0.0)
NOBODY = 65534


def in_child(work: Callable[[], bool]) -> bool:
    """What ``work`` says in a process of its own."""
    child = os.fork()
    if child == 0:
        said = 2
        try:
            said = not work()
        finally:
            os._exit(said)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 1)
    return status == 0


def can_lock(path: str, how: int, flock: bool = False) -> bool:
    """Say whether another process has the lock at once; fcntl(2) as MTAs take it, or flock(2)."""

    def take() -> bool:
        with open(path, "rb+") as file:
            try:
                (fcntl.flock if flock else fcntl.lockf)(file, how | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    return in_child(take)


def can_write(path: Path, rules: LockRules = AT_ONCE) -> bool:
    try:
        with mbox_at(path, rules).writing():
            return True
    except Refused:
        return False


def test_a_writer_keeps_all_others_out(tmp_path: Path) -> None:
    box = made(tmp_path, mail(1))
    with box.writing():
        for how in (fcntl.LOCK_SH, fcntl.LOCK_EX):
            assert not can_lock(box.path, how)
        assert not can_write(tmp_path)
    assert can_lock(box.path, fcntl.LOCK_EX)
    assert can_write(tmp_path)
    assert not Path(f"{box.path}.lock").exists()


def test_readers_share(tmp_path: Path) -> None:
    box = made(tmp_path, mail(1))
    with box.reading(), mbox_at(tmp_path).reading():
        assert can_lock(box.path, fcntl.LOCK_SH)
        assert not can_lock(box.path, fcntl.LOCK_EX)
        assert not can_write(tmp_path)


def test_a_descriptor_that_is_closed_does_not_end_the_lock(tmp_path: Path) -> None:
    """fcntl(2): closing any descriptor of a file ends the locks that a process took the old way."""
    box = made(tmp_path, mail(1))
    with box.writing():
        octets(tmp_path)
        assert not can_lock(box.path, fcntl.LOCK_SH)


def test_flock_where_it_is_asked_for(tmp_path: Path) -> None:
    made(tmp_path, mail(1))
    rules = LockRules(read=("flock",), write=("flock",), timeout=0.0)
    with mbox_at(tmp_path, rules).writing():
        assert not can_lock(str(tmp_path / "box"), fcntl.LOCK_SH, flock=True)
    with mbox_at(tmp_path, rules).reading():
        assert can_lock(str(tmp_path / "box"), fcntl.LOCK_SH, flock=True)
        assert not can_lock(str(tmp_path / "box"), fcntl.LOCK_EX, flock=True)


@pytest.mark.parametrize("how", [fcntl.LOCK_SH, fcntl.LOCK_EX])
def test_others_fcntl_locks_are_respected(tmp_path: Path, how: int) -> None:
    box = made(tmp_path, mail(1))
    with open(box.path, "rb+") as file:
        fcntl.lockf(file, how)
        assert in_child(lambda: not can_write(tmp_path))
        rules = LockRules(timeout=0.0)
        assert in_child(lambda: how == fcntl.LOCK_SH or not can_read(tmp_path, rules))
    assert can_write(tmp_path)


def can_read(path: Path, rules: LockRules) -> bool:
    try:
        with mbox_at(path, rules).reading():
            return True
    except Refused:
        return False


def test_what_cannot_be_had_whole_is_not_held(tmp_path: Path) -> None:
    """Otherwise who takes the same locks in another order and we would wait for each other."""
    box = made(tmp_path, mail(1))
    Path(f"{box.path}.lock").write_text(f"{os.getpid()}\n")
    assert not can_write(tmp_path)
    assert can_lock(box.path, fcntl.LOCK_EX)


needs_dotlockfile = pytest.mark.skipif(
    shutil.which("dotlockfile") is None, reason="liblockfile-bin is not installed"
)
needs_procmail = pytest.mark.skipif(
    shutil.which("lockfile") is None, reason="procmail is not installed"
)


@needs_dotlockfile
def test_dotlockfile_and_we_respect_each_other(tmp_path: Path) -> None:
    box = made(tmp_path, mail(1))
    lock = f"{box.path}.lock"
    with mbox_at(tmp_path, AT_ONCE).writing():
        assert subprocess.run(["dotlockfile", "-r", "0", "-p", lock]).returncode != 0
    assert subprocess.run(["dotlockfile", "-r", "0", "-p", lock]).returncode == 0
    assert not can_write(tmp_path)
    subprocess.run(["dotlockfile", "-u", lock], check=True)
    assert can_write(tmp_path)


@needs_procmail
def test_lockfile_and_we_respect_each_other(tmp_path: Path) -> None:
    box = made(tmp_path, mail(1))
    lock = f"{box.path}.lock"
    with mbox_at(tmp_path, AT_ONCE).writing():
        assert subprocess.run(["lockfile", "-r0", lock], capture_output=True).returncode != 0
    assert subprocess.run(["lockfile", "-r0", lock]).returncode == 0
    assert not can_write(tmp_path)
    os.unlink(lock)


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


STALE = [
    ("of a dead process", lambda: f"{dead_pid()}\n", 0.0, True),
    ("of a dead process here", lambda: f"{dead_pid()}:{socket.gethostname()}", 0.0, True),
    ("of a process that lives", lambda: f"{os.getpid()}\n", 400.0, False),
    ("of another host", lambda: f"{dead_pid()}:elsewhere.example.org", 0.0, False),
    ("of another host, old", lambda: f"{dead_pid()}:elsewhere.example.org", 400.0, True),
    ("of nobody who is told", lambda: "0", 0.0, False),
    ("of nobody who is told, old", lambda: "0", 400.0, True),
    ("empty, old", lambda: "", 400.0, True),
    ("before this host has started", lambda: f"{os.getpid()}\n", 1e9, True),
]


@pytest.mark.parametrize(
    ("note", "age", "stale"), [row[1:] for row in STALE], ids=[row[0] for row in STALE]
)
def test_stale_dotlocks(tmp_path: Path, note: Callable[[], str], age: float, stale: bool) -> None:
    box = made(tmp_path, mail(1))
    lock = Path(f"{box.path}.lock")
    lock.write_text(note())
    then = time.time() - age
    for path in (box.path, lock):
        os.utime(path, (then, then))
    assert can_write(tmp_path) is stale
    assert lock.exists() is not stale
    left = {path.name for path in tmp_path.iterdir()} - {"box", "index"}
    assert left == (set() if stale else {"box.lock"})


def test_a_dotlock_is_in_use_while_the_mailbox_changes(tmp_path: Path) -> None:
    box = made(tmp_path, mail(1))
    Path(f"{box.path}.lock").write_text("0")
    os.utime(f"{box.path}.lock", (time.time() - 400, time.time() - 400))
    assert not can_write(tmp_path)


def test_a_dotlock_is_touched_during_long_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = made(tmp_path, b"".join(mail(number) for number in range(1, 9)))
    monkeypatch.setattr(mboxrewrite, "CHUNK", 100)
    monkeypatch.setattr(mboxlocks, "TOUCHED", -1.0)
    with box.writing():
        os.utime(f"{box.path}.lock", (1, 1))
        box.rewrite([Edit(0, None)], None)
        assert os.stat(f"{box.path}.lock").st_mtime > 1


def test_a_dotlock_that_others_broke_is_not_removed(tmp_path: Path) -> None:
    box = made(tmp_path, mail(1))
    lock = Path(f"{box.path}.lock")
    with mbox_at(tmp_path, AT_ONCE).writing():
        lock.unlink()
        lock.write_text("another's")
    assert lock.read_text() == "another's"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
@pytest.mark.parametrize(("kind", "possible"), [("dotlock-try", True), ("dotlock", False)])
def test_a_directory_that_is_not_ours(kind: str, possible: bool) -> None:
    """As /var/mail is where only the group mail may write: fcntl alone, where that is allowed."""
    base = Path(tempfile.mkdtemp())
    try:
        box = made(base, mail(1))
        os.chmod(base, 0o755)
        for path in (box.path, box.directory):
            os.chown(path, NOBODY, NOBODY)

        def work() -> bool:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            rules = LockRules(write=("fcntl", kind), timeout=0.0)
            try:
                append(mbox_at(base, rules), 2, b"Subject: new\n\n")
            except PermissionError:
                return False
            return not can_lock(box.path, fcntl.LOCK_EX) or True

        assert in_child(work) is possible
        assert len(messages(box)) == 1 + possible
    finally:
        shutil.rmtree(base)


SCRIPT = """
for n in $(seq 12); do
    until {take}; do :; done
    printf '{mail}' $n >> "$box"
    {release}
done
"""
MAIL = "From a@example.org Wed Dec  2 05:53:22 1992\\nSubject: %s %%s\\n\\nbody\\n\\n"
APPENDERS = {
    "dotlockfile": ("dotlockfile -r 0 -p $box.lock", "dotlockfile -u $box.lock"),
    "lockfile": ("lockfile -r0 $box.lock 2>/dev/null", "rm -f $box.lock"),
}


def script(name: str, path: str) -> subprocess.Popen[bytes]:
    take, release = APPENDERS[name]
    text = SCRIPT.format(take=take, release=release, mail=MAIL % name)
    return subprocess.Popen(["sh", "-c", text], env=os.environ | {"box": path})


@needs_dotlockfile
@needs_procmail
def test_appends_of_others_and_our_changes_at_once(tmp_path: Path) -> None:
    """Two scripts with dotlocks, one MTA with fcntl, two of us: nothing is lost, none doubled."""
    box = made(tmp_path, mail(1))
    rules = LockRules(write=("fcntl", "dotlock"), timeout=60.0)
    scripts = [script(name, box.path) for name in APPENDERS]
    children = [os.fork() or _child(work, tmp_path, rules) for work in (_mta, _appends, _flags)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert [process.wait() for process in scripts] == [0, 0]
    _flags(tmp_path, rules)
    subjects = [data.partition(b"\n")[0] for _, data in served(box)]
    expected = {b"Subject: message 1"} | {
        b"Subject: %s %d" % (name, number)
        for name in (b"dotlockfile", b"lockfile", b"fcntl", b"ours")
        for number in range(1, 13)
    }
    assert sorted(subjects) == sorted(expected)
    assert all(message.flags & 4 for message in messages(box))


def _child(work: Callable[[Path, LockRules], None], path: Path, rules: LockRules) -> int:
    done = 1
    try:
        work(path, rules)
        done = 0
    finally:
        os._exit(done)


def _mta(path: Path, _rules: LockRules) -> None:
    for number in range(1, 13):
        with open(path / "box", "ab") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            data = b"From a Wed Dec  2 05:53:22 1992\nSubject: fcntl %d\n\nbody\n\n" % number
            file.write(data)
            file.flush()


def _appends(path: Path, rules: LockRules) -> None:
    box = mbox_at(path, rules)
    for number in range(1, 13):
        append(box, 100 + number, b"Subject: ours %d\n\nbody\n" % number)


def _flags(path: Path, rules: LockRules) -> None:
    """Number and flag all that is there, again and again."""
    box = mbox_at(path, rules)
    for _ in range(20):
        with box.writing():
            edits = [Edit(m.offset, State(n, 4, (), True)) for n, m in enumerate(box.scan(), 1)]
            box.rewrite(edits, numbering(len(edits)))


def test_what_a_rewrite_keeps(tmp_path: Path) -> None:
    """Mode, owner, inode, and whether shells announce new mail: atime before mtime."""
    box = made(tmp_path, mail(1) + mail(2))
    os.chmod(box.path, 0o660)
    before = os.stat(box.path)
    for unread in (True, False):
        os.utime(box.path, (1e9 - unread, 1e9))
        with box.writing():
            offsets = [message.offset for message in box.scan()]
            box.rewrite(
                [Edit(offset, State(n)) for n, offset in enumerate(offsets, 1)], numbering(2)
            )
        found = os.stat(box.path)
        assert (found.st_ino, found.st_mode) == (before.st_ino, before.st_mode)
        assert (found.st_atime_ns < found.st_mtime_ns) is unread
        assert found.st_mtime > 1e9


def test_reading_is_not_the_users_reading(tmp_path: Path) -> None:
    box = made(tmp_path, mail(1))
    os.utime(box.path, (1e9 - 1, 1e9))
    served(box)
    assert os.stat(box.path).st_atime == 1e9 - 1
    with box.reading():
        box.seen()
    found = os.stat(box.path)
    assert found.st_atime_ns == found.st_mtime_ns == 10**18


def test_an_append_is_new_mail(tmp_path: Path) -> None:
    box = made(tmp_path, mail(1))
    os.utime(box.path, (1e9, 1e9))
    append(box, 2, b"Subject: new\n\n")
    found = os.stat(box.path)
    assert found.st_atime_ns < found.st_mtime_ns


def test_a_link_is_followed_and_its_lock_is_that_of_the_file(tmp_path: Path) -> None:
    made(tmp_path / "real", mail(1))
    (tmp_path / "index").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "box")
    box = Mbox(str(tmp_path / "link"), str(tmp_path / "index"), AT_ONCE)
    assert box.exists()
    with box.writing():
        assert (tmp_path / "real" / "box.lock").exists()
    append(box, 2, b"Subject: new\n\n")
    assert (tmp_path / "link").is_symlink()
    assert octets(tmp_path / "real").count(b"\nSubject: ") == 2


def test_a_file_that_others_replace_is_opened_again(tmp_path: Path) -> None:
    box = made(tmp_path, mail(1))
    assert len(messages(box)) == 1
    (tmp_path / "new").write_bytes(mail(1) + mail(2))
    (tmp_path / "new").rename(box.path)
    assert len(messages(box)) == 2


def test_locks_nest_and_readers_stay_readers(tmp_path: Path) -> None:
    box = made(tmp_path, mail(1))
    with box.writing() as outer, box.writing() as inner, box.reading() as innermost:
        assert outer == inner == innermost
    with box.reading(), pytest.raises(RuntimeError), box.writing():
        pass
    with box.reading(), pytest.raises(RuntimeError):
        box.rewrite([], None)
    with pytest.raises(RuntimeError):
        box.size()


def test_what_exists(tmp_path: Path) -> None:
    box = mbox_at(tmp_path)
    assert not box.exists()
    with pytest.raises(FileNotFoundError):
        box.stamp()
    box.create()
    assert (box.exists(), box.stamp()[1]) == (True, 0)
    assert os.stat(box.path).st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        box.create()
    with box.writing():
        assert box.rewrite([], numbering(1))(5) == 5


def test_drafts_of_the_dead_are_swept(tmp_path: Path) -> None:
    box = made(tmp_path, mail(1))
    old, new = box.write([b"old"]), box.write([b"new"], "named")
    os.utime(old.path, (0, 0))
    box.sweep(time.time())
    assert os.listdir(box.directory) == ["named.draft"]
    assert new.name == "named"
