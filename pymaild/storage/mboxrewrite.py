"""Changing an mbox in place, in one pass, so that no crash leaves it half changed.

A plan is a row of holes: each says which octets of the old file give way to which new ones. What
stands between two holes moves by the sum of the changes before it. What moves towards the start
is moved from the front on, what moves towards the end from the back on, so that nothing is
overwritten that is still to be moved. A step of bounded size is on disk in the journal before it
is done; done again, it does no harm.

An octet NUL where the file will end says that it has not been cut yet, and one where it ended that
it has been extended: no other program begins its mail with one. So whoever finishes the work of
the dead tells what he finds from what an MTA has appended since.
"""

from __future__ import annotations

import bisect
import itertools
import mmap
import os
import secrets
import struct
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pymaild.storage import atomic
from pymaild.storage._mbox import reserve
from pymaild.storage.mboxjournal import HEAD_SIZE, REWRITE, Journal, Work

CHUNK = 1 << 21  # octets of one step, about
_NONCE = 8  # octets with which the plan begins; a step of another plan has others
_HOLE = struct.Struct("<qqI")  # start and end in the old file, octets of the new text behind this
_LENGTH = struct.Struct("<I")  # behind the text: of all of it, for reading backwards
_STEP = struct.Struct("<I8sIII")  # check of the rest, nonce, number, kind, count of pieces
_PIECE = struct.Struct("<qI")  # where to, octets
_BEGIN, _DO, _CUT = 0, 1, 2


class Hole(NamedTuple):
    """Octets from ``start`` to ``end`` of the old file give way to ``text``."""

    start: int
    end: int
    text: bytes


class _Planned(NamedTuple):
    """``text``: where the new octets stand in the plan; ``before``: by how many octets moves what
    stands before the hole, ``behind``: what stands behind it."""

    start: int
    end: int
    text: int
    length: int
    before: int
    behind: int


class _Piece(NamedTuple):
    """``length`` octets for ``target``, from ``source`` in the old file or ``text`` in the plan."""

    target: int
    length: int
    source: int
    text: int = -1


@dataclass(slots=True)
class _Step:
    number: int
    kind: int
    pieces: list[tuple[int, bytes]]  # target, octets


class Moves:
    """Where octets of the old file are after a rewrite: ``moves(offset)``."""

    def __init__(self) -> None:
        self.ends = array("q")  # of holes, in the old file
        self.by = array("q")  # by how many octets moves what is behind them

    def __call__(self, offset: int) -> int:
        place = bisect.bisect_right(self.ends, offset)
        return offset + (self.by[place - 1] if place else 0)


class Plan:
    """The holes of a rewrite, as the journal has them. ``end``: the old file's size."""

    def __init__(self, data: memoryview, end: int, total: int) -> None:
        self._data, self._end, self._total = data, end, total
        self.nonce = bytes(data[:_NONCE])

    def octets(self, place: int, count: int) -> bytes:
        """Return new octets."""
        return bytes(self._data[place : place + count])

    def _forwards(self) -> Iterator[_Planned]:
        place, moved = _NONCE, 0
        while place < len(self._data):
            start, end, length = _HOLE.unpack_from(self._data, place)
            place += _HOLE.size
            behind = moved + length - (end - start)
            yield _Planned(start, end, place, length, moved, behind)
            moved, place = behind, place + length + _LENGTH.size

    def _backwards(self) -> Iterator[_Planned]:
        place, moved = len(self._data), self._total
        while place > _NONCE:
            (size,) = _LENGTH.unpack_from(self._data, place - _LENGTH.size)
            place -= size
            start, end, length = _HOLE.unpack_from(self._data, place)
            before = moved - length + end - start
            yield _Planned(start, end, place + _HOLE.size, length, before, moved)
            moved = before

    def pieces(self) -> Iterator[_Piece]:
        """Yield what has to be written, in an order that destroys nothing still needed."""
        yield from self._towards_start()
        yield from self._towards_end()
        for hole in self._forwards():
            if hole.before < 0 < hole.behind:
                yield _new_text(hole)
        if self._total < 0:
            yield _Piece(self._end + self._total, 1, -1)

    def _towards_start(self) -> Iterator[_Piece]:
        last, moved = 0, 0
        for hole in self._forwards():
            if moved < 0:
                yield from _moved(last, hole.start, moved)
            if hole.behind <= 0 and hole.length:
                yield _new_text(hole)
            last, moved = hole.end, hole.behind
        if moved < 0:
            yield from _moved(last, self._end, moved)

    def _towards_end(self) -> Iterator[_Piece]:
        end = self._end
        for hole in self._backwards():
            if hole.behind > 0:
                yield from _moved(hole.end, end, hole.behind)
                if hole.before >= 0:
                    yield _new_text(hole)
            end = hole.start

    def moves(self) -> Moves:
        """Return where what is kept will be."""
        moves = Moves()
        for hole in self._forwards():
            moves.ends.append(hole.end)
            moves.by.append(hole.behind)
        return moves


def _new_text(hole: _Planned) -> _Piece:
    return _Piece(hole.start + hole.before, hole.length, -1, hole.text)


def _moved(start: int, end: int, by: int) -> Iterator[_Piece]:
    """Split what moves: from the front when it moves towards it, else from the back."""
    if by < 0:
        for place in range(start, end, CHUNK):
            yield _Piece(place + by, min(CHUNK, end - place), place)
        return
    while end > start:
        place = max(start, end - CHUNK)
        yield _Piece(place + by, end - place, place)
        end = place


def _steps(pieces: Iterable[_Piece]) -> Iterator[list[_Piece]]:
    batch: list[_Piece] = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += piece.length + _PIECE.size
        if size >= CHUNK:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class Rewrite:
    """One rewrite of the file ``fd``; the caller has its write lock and calls from one thread.

    ``touch`` is called between the steps of long work.
    """

    def __init__(
        self, fd: int, path: str, journal: Journal, durable: bool, touch: Callable[[], None]
    ) -> None:
        self._fd, self._path, self._journal = fd, path, journal
        self._durable, self._touch = durable, touch

    def run(self, holes: Iterable[Hole]) -> Moves:
        """Change the file; the holes are told from its start on, and do not overlap.

        Raises OSError: what could not be begun has changed nothing, what was begun is ended by
        who locks the file next.
        """
        found = os.fstat(self._fd)
        length, check, moved = self._write_plan(holes)
        if length == _NONCE:
            return Moves()
        end = found.st_size
        work = Work(REWRITE, found.st_dev, found.st_ino, end, end + moved, length, check)
        if moved > 0:
            reserve(self._fd, end, moved)
        with _mapped(self._journal, work) as plan:
            moves = plan.moves()  # while the journal has the plan
            steps = _steps(plan.pieces())
            first = self._prepare(plan, 0, [] if moved > 0 else next(steps))
            self._write_step(work, plan, first)
            self._journal.begin(work)
            self._journal.sync()
            if moved > 0:
                self._extend(work)
            self._finish(work, plan, first, steps)
            return moves

    def _write_plan(self, holes: Iterable[Hole]) -> tuple[int, int, int]:
        """Write the plan; returns its octets, its check, and by how much the file grows."""
        buffer = bytearray(secrets.token_bytes(_NONCE))
        place = check = moved = 0
        for start, end, text in holes:
            if start == end and not text:
                continue
            buffer += _HOLE.pack(start, end, len(text)) + text
            buffer += _LENGTH.pack(_HOLE.size + len(text) + _LENGTH.size)
            moved += len(text) - (end - start)
            if len(buffer) > CHUNK:
                self._journal.write(bytes(buffer), place)
                place, check = place + len(buffer), zlib.crc32(buffer, check)
                buffer.clear()
        self._journal.write(bytes(buffer), place)
        return place + len(buffer), zlib.crc32(buffer, check), moved

    def _prepare(self, plan: Plan, number: int, pieces: list[_Piece]) -> _Step:
        """Read what a step will write, before any of it is overwritten."""
        read = [(piece.target, self._octets(plan, piece)) for piece in pieces]
        return _Step(number, _DO if read else _BEGIN, read)

    def _octets(self, plan: Plan, piece: _Piece) -> bytes:
        if piece.text >= 0:
            return plan.octets(piece.text, piece.length)
        if piece.source < 0:
            return bytes(piece.length)
        data = os.pread(self._fd, piece.length, piece.source)
        if len(data) != piece.length:
            raise OSError(f"{self._path} became shorter while it was locked")
        return data

    def _write_step(self, work: Work, plan: Plan, step: _Step) -> None:
        """Put a step into the journal, in the place of the last but one."""
        table = b"".join(_PIECE.pack(target, len(data)) for target, data in step.pieces)
        rest = _STEP.pack(0, plan.nonce, step.number, step.kind, len(step.pieces))[4:] + table
        rest += b"".join(data for _, data in step.pieces)
        record = struct.pack("<I", zlib.crc32(rest)) + rest
        self._journal.write(record, _slot(work, step.number))

    def _extend(self, work: Work) -> None:
        atomic.truncate(self._fd, self._path, work.new_end)
        self._sync()

    def _sync(self) -> None:
        if self._durable:
            atomic.sync_file(self._fd, self._path)

    def _do(self, step: _Step) -> None:
        for target, data in step.pieces:
            atomic.write_at(self._fd, self._path, data, target)
        if step.pieces:
            self._sync()

    def _finish(self, work: Work, plan: Plan, step: _Step, steps: Iterator[list[_Piece]]) -> None:
        """Do a step that the journal has, and those behind it."""
        self._do(step)
        for pieces in steps:
            self._touch()
            step = self._prepare(plan, step.number + 1, pieces)
            self._write_step(work, plan, step)
            self._journal.sync()
            self._do(step)
        if work.new_end < work.end:
            self._write_step(work, plan, _Step(step.number + 1, _CUT, []))
            self._journal.sync()
            self._cut(work)
        self._journal.end(sync=True)

    def _cut(self, work: Work) -> None:
        """Take off what the file has no more: before what an MTA has appended since, if it has."""
        size = os.fstat(self._fd).st_size
        if size == work.end:
            atomic.truncate(self._fd, self._path, work.new_end)
            self._sync()
            return
        self.succeed([Hole(work.new_end, work.end, b"")])

    def succeed(self, holes: Iterable[Hole]) -> None:
        """Run another rewrite, whose journal takes this one's place when it counts."""
        journal = self._journal.successor()
        try:
            Rewrite(self._fd, self._path, journal, self._durable, self._touch).run(holes)
        finally:
            journal.close()

    def finish(self, work: Work) -> bool:
        """End the work of a dead process; false where it does not fit the file.

        It fits no more where another program has changed the file since, other than at its end.
        """
        size = os.fstat(self._fd).st_size
        with _mapped(self._journal, work) as plan:
            step = self._last_step(work, plan)
            if step is None:
                return False
            if not self._begun(work, step, size):
                self._journal.end(sync=True)
                return True
            edge = max(work.end, work.new_end)
            if size < edge or not self._ends_at(edge, size):
                return False
            if step.kind == _CUT:
                self._cut(work)
                self._journal.end(sync=True)
                return True
            done = step.number + (work.new_end <= work.end)
            self._finish(work, plan, step, itertools.islice(_steps(plan.pieces()), done, None))
            return True

    def _begun(self, work: Work, step: _Step, size: int) -> bool:
        """Say whether there is something to do: the file is extended already, or not yet cut."""
        if step.kind == _CUT:
            return size >= work.end and self._is_nul(work.new_end)
        return step.kind == _DO or (size >= work.new_end and self._is_nul(work.end))

    def _ends_at(self, offset: int, size: int) -> bool:
        """Say whether the file ends there, but for whole mail that others have added."""
        if size == offset:
            return True
        return os.pread(self._fd, 64, offset).lstrip(b"\r\n").startswith(b"From ")

    def _is_nul(self, offset: int) -> bool:
        return os.pread(self._fd, 1, offset) == b"\0"

    def _last_step(self, work: Work, plan: Plan) -> _Step | None:
        found = [self._read_step(work, plan, number) for number in (0, 1)]
        return max((step for step in found if step), key=lambda step: step.number, default=None)

    def _read_step(self, work: Work, plan: Plan, number: int) -> _Step | None:
        data = memoryview(self._journal.read(_slot_size(), _slot(work, number)))
        if len(data) < _STEP.size:
            return None
        check, nonce, number, kind, count = _STEP.unpack_from(data)
        place = _STEP.size + count * _PIECE.size
        if nonce != plan.nonce or place > len(data):
            return None
        pieces = []
        for target, length in _PIECE.iter_unpack(data[_STEP.size : place]):
            pieces.append((target, bytes(data[place : place + length])))
            place += length
        return _Step(number, kind, pieces) if zlib.crc32(data[4:place]) == check else None


def _slot_size() -> int:
    """Octets that a step takes at most: its last piece may be as long as all before it."""
    return 2 * CHUNK + 4096


def _slot(work: Work, number: int) -> int:
    """Where in the journal a step stands: two places, used in turns."""
    return -(-(HEAD_SIZE + work.body) // 4096) * 4096 - HEAD_SIZE + number % 2 * _slot_size()


class _mapped:
    """The plan in the journal, mapped: it may be larger than this process should grow."""

    def __init__(self, journal: Journal, work: Work) -> None:
        self._map = mmap.mmap(journal.fd, HEAD_SIZE + work.body, prot=mmap.PROT_READ)
        self._view = memoryview(self._map)
        self._body = self._view[HEAD_SIZE:]
        self._plan = Plan(self._body, work.end, work.new_end - work.end)

    def __enter__(self) -> Plan:
        return self._plan

    def __exit__(self, *_: object) -> None:
        self._body.release()
        self._view.release()
        self._map.close()
