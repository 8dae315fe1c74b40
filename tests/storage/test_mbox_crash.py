"""A process that changes an mbox dies before each of its steps in turn, or in the middle of one.

Then an MTA may append, knowing nothing of it, and whoever opens the mbox next, who may die as
well, ends what was begun: the mbox is as it was before or as it was to be, and no mail of the MTA
is lost or there twice.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pymaild.storage import atomic, mboxrewrite
from pymaild.storage.mbox import Edit, Mbox, State
from pymaild.storage.mboxjournal import NAME
from tests.storage.mboxes import addition, dies_at, made, mail, mbox_at, numbering, octets

ROOM = ["X-UID: %d", "Status: O", "X-Keywords:" + " " * 40]
FOREIGN = b"".join(mail(number) for number in range(1, 7))
NUMBERED = b"".join(
    mail(
        number,
        fields=["X-IMAPbase: 1700000000 0000000006"] * (number == 1)
        + [ROOM[0] % number, *ROOM[1:]],
    )
    for number in range(1, 7)
)
LATER = mail(9, "from an MTA\n" * 30)


def number_all(box: Mbox) -> None:
    """All headers grow: everything moves towards the end."""
    with box.writing():
        edits = [Edit(m.offset, State(n, 1, (b"$Todo",))) for n, m in enumerate(box.scan(), 1)]
        box.rewrite(edits, numbering(6, b"$Todo"))


def flag(box: Mbox) -> None:
    """All fits where it is."""
    with box.writing():
        edits = [Edit(m.offset, State(m.uid, 5, (b"$Todo",), True)) for m in box.scan()]
        box.rewrite(edits, numbering(6))


def expunge(box: Mbox) -> None:
    """Some go, the first among them: the others move towards the start."""
    with box.writing():
        edits = [Edit(m.offset, None) for m in box.scan() if m.uid in (1, 3, 4)]
        box.rewrite(edits, numbering(6))


def expunge_last(box: Mbox) -> None:
    with box.writing():
        box.rewrite([Edit([m.offset for m in box.scan()][-1], None)], numbering(6))


def expunge_all(box: Mbox) -> None:
    with box.writing():
        box.rewrite([Edit(m.offset, None) for m in box.scan()], numbering(6))


def mixed(box: Mbox) -> None:
    """What stands between moves towards the start, then towards the end, and back."""
    with box.writing():
        states: dict[int, State | None] = {1: None, 4: State(4, 31, (b"k" * 900,)), 5: None}
        edits = [Edit(m.offset, states[m.uid]) for m in box.scan() if m.uid in states]
        box.rewrite(edits, numbering(6))


def append(box: Mbox) -> None:
    drafts = [addition(box, uid, b"Subject: new\n\n" + b"new\n" * 50) for uid in (7, 8)]
    with box.writing():
        box.append(drafts, numbering(8))


WORKS: list[tuple[Callable[[Mbox], None], bytes]] = [
    (number_all, FOREIGN),
    (flag, NUMBERED),
    (expunge, NUMBERED),
    (expunge_last, NUMBERED),
    (expunge_all, NUMBERED),
    (mixed, NUMBERED),
    (append, NUMBERED),
    (append, b""),
    (append, NUMBERED[:-2]),
]


def recover(path: Path) -> None:
    with mbox_at(path, durable=False).writing():
        pass


@pytest.fixture(autouse=True, params=[100, 1 << 21], ids=["many-steps", "one-step"])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(mboxrewrite, "CHUNK", request.param)
    return int(request.param)


def expected(path: Path, work: Callable[[Mbox], None], before: bytes) -> set[bytes]:
    """What may be found: nothing done, or all of it, and what an MTA has added to each."""
    work(made(path / "whole", before))
    after = result(path / "whole")
    return {before, after, before + LATER, after + LATER}


def result(path: Path) -> bytes:
    """What is found; that UIDs of an append that did not come about are not used again is right."""
    return octets(path).replace(b"0000000008", b"0000000006")


@pytest.mark.parametrize("later", [b"", LATER], ids=["alone", "mta-appends"])
@pytest.mark.parametrize(
    ("work", "before"), WORKS, ids=lambda value: getattr(value, "__name__", "")
)
def test_no_stop_loses_or_doubles(
    tmp_path: Path, work: Callable[[Mbox], None], before: bytes, later: bytes
) -> None:
    allowed = {data for data in expected(tmp_path, work, before) if data.endswith(later)}
    found, step, stopped = set(), 0, True
    while stopped:
        step, stopped = step + 1, False
        for tear in (False, True):
            box = made(tmp_path / "box", before)
            stopped |= dies_at(step, lambda box=box: work(box), tear)  # type: ignore[misc]
            with open(box.path, "ab") as file:
                file.write(later)
            recover(tmp_path / "box")
            assert result(tmp_path / "box") in allowed, f"at step {step}, torn: {tear}"
            found.add(result(tmp_path / "box"))
            shutil.rmtree(tmp_path / "box")
    print(f"{work.__name__}: stopped at {step - 1} steps")
    assert step > 4
    assert len(found) == 2, "neither nothing nor all of it was ever found"


@pytest.mark.parametrize("work", [number_all, expunge, mixed, append], ids=lambda w: w.__name__)
def test_who_ends_it_may_die_too(tmp_path: Path, work: Callable[[Mbox], None], chunk: int) -> None:
    """At some steps of the first, at every other step of the second, with an MTA after each."""
    before = FOREIGN if work is number_all else NUMBERED
    work(made(tmp_path / "whole", before))
    after = result(tmp_path / "whole")
    first, stopped = 2, True
    while stopped:
        first += 5 if chunk == 100 else 1
        second, again = first % 2, True
        while again:
            second += 2
            box = made(tmp_path / "box", before)
            stopped = dies_at(first, lambda box=box: work(box))  # type: ignore[misc]
            with open(box.path, "ab") as file:
                file.write(LATER)
            again = dies_at(second, lambda: recover(tmp_path / "box"), tear=True)
            with open(box.path, "ab") as file:
                file.write(LATER)
            recover(tmp_path / "box")
            assert result(tmp_path / "box") in (before + 2 * LATER, after + 2 * LATER), (
                f"{first}, then {second}"
            )
            shutil.rmtree(tmp_path / "box")


class Disk:
    """What was written, synced and cut, in its order; a power failure keeps what it likes of it.

    Of a file, all that was before its last sync is kept, and of what came later any part.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[tuple[str, str, bytes, int]] = []
        pwrite, ftruncate = os.pwrite, os.ftruncate

        def write(fd: int, data: memoryview, offset: int) -> int:
            self.steps.append(("write", self._path(fd), bytes(data), offset))
            return pwrite(fd, data, offset)

        def cut(fd: int, size: int) -> None:
            self.steps.append(("cut", self._path(fd), b"", size))
            ftruncate(fd, size)

        monkeypatch.setattr(os, "pwrite", write)
        monkeypatch.setattr(os, "ftruncate", cut)
        monkeypatch.setattr(
            os, "fdatasync", lambda fd: self.steps.append(("sync", self._path(fd), b"", 0))
        )

    @staticmethod
    def _path(fd: int) -> str:
        return os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))

    def after(self, count: int, choose: random.Random) -> dict[str, bytes]:
        """Return the files as they may be when the power fails behind ``count`` steps."""
        steps = self.steps[:count]
        synced = {path: place for place, (kind, path, _, _) in enumerate(steps) if kind == "sync"}
        files: dict[str, bytearray] = {}
        for place, (kind, path, data, offset) in enumerate(steps):
            if kind == "sync" or (place > synced.get(path, -1) and choose.random() < 0.5):
                continue
            file = files.setdefault(path, bytearray())
            end = offset + len(data) if kind == "write" else offset
            file.extend(bytes(max(0, end - len(file))))
            if kind == "write":
                file[offset:end] = data
            else:
                del file[offset:]
        return {path: bytes(file) for path, file in files.items()}


@pytest.mark.parametrize(
    ("work", "before"), WORKS, ids=lambda value: getattr(value, "__name__", "")
)
def test_no_power_failure_loses_or_doubles(
    tmp_path: Path,
    work: Callable[[Mbox], None],
    before: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What has not been synced may be on disk or not, in any order."""
    allowed = expected(tmp_path, work, before)
    box = made(tmp_path / "box", b"")
    with monkeypatch.context() as patched:
        disk = Disk(patched)
        fd = os.open(box.path, os.O_RDWR)
        os.pwrite(fd, before, 0)
        os.fdatasync(fd)
        os.close(fd)
        work(box)
    inode = os.stat(box.path).st_ino
    for count in range(2, len(disk.steps) + 1):
        for seed in range(5):
            files = disk.after(count, random.Random(seed))
            Path(box.path).write_bytes(files["box"])
            Path(box.directory, NAME).write_bytes(files.get(NAME, b""))
            assert os.stat(box.path).st_ino == inode
            recover(tmp_path / "box")
            assert result(tmp_path / "box") in allowed, f"behind step {count}, {seed}"
    assert result(tmp_path / "box") == result(tmp_path / "whole")


@pytest.mark.parametrize("work", [number_all, expunge, mixed], ids=lambda work: work.__name__)
def test_what_others_made_of_a_half_changed_file_stays(
    tmp_path: Path, work: Callable[[Mbox], None], chunk: int
) -> None:
    """A journal that fits the file no more is kept, and the file is left as it is."""
    before = FOREIGN if work is number_all else NUMBERED
    step = kept = 0
    while True:
        step += 1
        box = made(tmp_path / "box", before)
        if not dies_at(step, lambda box=box: work(box)):  # type: ignore[misc]
            break
        data = octets(tmp_path / "box").replace(b"\n\n", b"\nStatus: RO\n\n", 1)
        Path(box.path).write_bytes(data)
        recover(tmp_path / "box")
        assert octets(tmp_path / "box") == data
        kept += any(name.endswith(".unfit") for name in os.listdir(box.directory))
        shutil.rmtree(tmp_path / "box")
    assert kept


class Failing:
    """So many steps fail from one on, as on a disk that fills and is emptied."""

    def __init__(self, step: int, count: int) -> None:
        self._failing = range(step, step + count)
        self._taken = 0

    def __call__(self, kind: str, path: str) -> None:
        self._taken += 1
        if self._taken in self._failing:
            raise OSError(errno.ENOSPC, "No space left on device", path)


@pytest.mark.parametrize("count", [1, 2, 1000])
@pytest.mark.parametrize(
    ("work", "before"), WORKS, ids=lambda value: getattr(value, "__name__", "")
)
def test_no_failed_step_loses_or_doubles(
    tmp_path: Path,
    work: Callable[[Mbox], None],
    before: bytes,
    count: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The process lives, and an MTA appends before anybody can go on."""
    allowed = {data for data in expected(tmp_path, work, before) if data.endswith(LATER)}
    step, failed = 0, True
    while failed:
        step += 1
        box = made(tmp_path / "box", before)
        box.durable = False
        with monkeypatch.context() as patched:
            patched.setattr(atomic, "observer", Failing(step, count))
            failed = False
            try:
                work(box)
            except OSError as error:
                failed = error.errno == errno.ENOSPC
        with open(box.path, "ab") as file:
            file.write(LATER)
        with box.writing():
            pass
        assert result(tmp_path / "box") in allowed, f"at step {step}"
        shutil.rmtree(tmp_path / "box")
    assert step > 4
