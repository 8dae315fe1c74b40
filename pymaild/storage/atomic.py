"""Every write, fsync, rename and unlink that the safety of mail hangs on.

The steps go through here alone, so that a test can stop the process at each of them: it sets
``observer``, which is told the step and its path before the step is taken.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from pymaild.storage.order import before_names
from pymaild.storage.retry import patiently

observer: Callable[[str, str], None] | None = None


def _step(kind: str, path: str) -> None:
    if observer is not None:
        observer(kind, path)


def write_new(
    path: str, pieces: Iterable[bytes], durable: bool = True, named_later: bool = False
) -> int:
    """Write a file that must not exist yet; returns its size in octets.

    On any failure, one of ``pieces`` included, the file is removed again. What is ``named_later``
    gets another name, whose directory is synced then: until that the file need not be durable,
    but its octets must not come behind its name. Raises OSError.
    """
    _step("create", path)
    fd = patiently(os.open, path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        size = _write_pieces(fd, path, pieces)
        if durable:
            _step("fsync", path)
            (before_names if named_later else os.fsync)(fd)
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(fd)
    return size


def _write_pieces(fd: int, path: str, pieces: Iterable[bytes]) -> int:
    size = 0
    for piece in pieces:
        _step("write", path)
        rest = memoryview(piece)
        while rest:
            rest = rest[patiently(os.write, fd, rest) :]
        size += len(piece)
    return size


def write_at(fd: int, path: str, data: bytes | memoryview, offset: int) -> None:
    """Write into an open file. Raises OSError."""
    _step("write", path)
    rest = memoryview(data)
    while rest:
        count = patiently(os.pwrite, fd, rest, offset)
        rest, offset = rest[count:], offset + count


def sync_file(fd: int, path: str) -> None:
    """Put an open file's octets and its size on disk. Raises OSError."""
    _step("fsync", path)
    os.fdatasync(fd)


def truncate(fd: int, path: str, size: int) -> None:
    """Give an open file another size in one step; what it has more is NUL. Raises OSError."""
    _step("truncate", path)
    patiently(os.ftruncate, fd, size)


def replace(path: str, data: bytes, durable: bool = True) -> None:
    """Replace a small file: a reader finds the old content or the new, whole. Raises OSError."""
    replace_all([(path, data)], durable)


def replace_all(files: Sequence[tuple[str, bytes]], durable: bool = True) -> None:
    """Replace files of one directory that belong together. Raises OSError.

    All are written before the first takes its place: a full disk changes none of them.
    """
    waiting: dict[str, str] = {}  # temporary name to final name
    try:
        for path, data in files:
            temporary = f"{path}.{os.getpid()}.tmp"
            unlink(temporary)
            write_new(temporary, [data], durable)
            waiting[temporary] = path
        for temporary in list(waiting):
            rename(temporary, waiting[temporary])
            del waiting[temporary]
    except BaseException:
        for temporary in waiting:
            os.unlink(temporary)
        raise
    if durable:
        sync_directory(os.path.dirname(files[0][0]))


def rename(source: str, target: str) -> None:
    """Rename within a file system. The caller syncs the directories. Raises OSError."""
    _step("rename", target)
    patiently(os.rename, source, target)


def link(source: str, target: str) -> None:
    """Give a file a second name. Raises OSError (EXDEV, EMLINK where it cannot be)."""
    _step("link", target)
    patiently(os.link, source, target)


def unlink(path: str) -> None:
    """Remove a name; one that is gone already is no error."""
    _step("unlink", path)
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def sync_directory(path: str) -> None:
    """Put a directory's entries on disk."""
    _step("fsync", path)
    fd = patiently(os.open, path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
