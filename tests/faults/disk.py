"""Small file systems that can be filled to the last octet."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

#: Blocks of 4 KiB leave room in a directory for the new names of what is there.
_MAKE = ("mkfs.ext4", "-q", "-m", "0", "-b", "4096", "-N", "400")

MEMORY = Path("/dev/shm")
BALLAST = "ballast"


@contextmanager
def memory(otherwise: Path) -> Iterator[Path]:
    """A folder where fsync costs nothing: in memory, where the system has such a place."""
    root = MEMORY if os.access(MEMORY, os.W_OK) else otherwise
    folder = Path(tempfile.mkdtemp(prefix="pm-", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class SmallDisk:
    """A mounted file system of a few megabytes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, left: int = 0) -> None:
        """Take all space but about ``left`` octets, and with 0 the last inode's as well."""
        number = len(list(self.path.glob(f"{BALLAST}*")))
        with open(self.path / f"{BALLAST}{number}", "ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                while self._grow(file.fileno(), size):
                    pass
            if left:
                file.truncate(max(file.tell() - left, 0))

    def _grow(self, fd: int, size: int) -> bool:
        try:
            return os.write(fd, b"b" * size) == size
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return False

    def take_inodes(self) -> None:
        """Use up all inodes but one."""
        folder = self.path / f"{BALLAST}-inodes"
        folder.mkdir()
        with suppress(OSError):
            for number in range(100_000):
                (folder / str(number)).touch()
        (folder / "0").unlink()

    def free(self) -> None:
        """Give everything back."""
        for path in self.path.glob(f"{BALLAST}*"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


@contextmanager
def small_disk(path: Path, megabytes: int = 6) -> Iterator[SmallDisk]:
    """Mount a small file system at ``path``: ext4 in a file, or memory; skips where none can be."""
    path.mkdir(parents=True, exist_ok=True)
    if not (_mount_image(path, megabytes) or _mount_memory(path, megabytes)):
        pytest.skip("no file system can be mounted here")
    try:
        path.chmod(0o777)
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def _mount_image(path: Path, megabytes: int) -> bool:
    with tempfile.NamedTemporaryFile(prefix="pm-disk-") as image:  # the mount keeps it
        image.truncate(megabytes << 20)
        return _succeeds(*_MAKE, image.name) and _succeeds(
            "mount", "-o", "loop", image.name, str(path)
        )


def _mount_memory(path: Path, megabytes: int) -> bool:
    options = f"size={megabytes}m,nr_inodes=400"
    return _succeeds("mount", "-t", "tmpfs", "-o", options, "none", str(path))


def _succeeds(*argv: str) -> bool:
    try:
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
