"""A file system whose power can be cut: what had not reached its disk is gone."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_MAKE = ("mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", "-O", "has_journal")
_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN
_NOT_EVEN_THE_JOURNAL = struct.pack("=I", 2)


class Machine:
    """An ext4 with a journal, mounted at ``path``."""

    def __init__(self, image: Path, path: Path) -> None:
        self._image, self.path = image, path

    def on(self) -> bool:
        """Mount what is on the disk; false where nothing can be mounted."""
        argv = ("mount", "-o", "loop", str(self._image), str(self.path))
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    def cut(self) -> None:
        """From this moment on nothing reaches the disk."""
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, _NOT_EVEN_THE_JOURNAL)
        finally:
            os.close(fd)

    def off(self) -> None:
        """Unmount."""
        subprocess.run(["umount", str(self.path)], check=True)


@contextmanager
def machine(folder: Path, megabytes: int = 48) -> Iterator[Machine]:
    """Make one below ``folder``; skips where none can be."""
    image, path = folder / "image", folder / "disk"
    path.mkdir()
    with open(image, "wb") as file:
        file.truncate(megabytes << 20)
    made = Machine(image, path)
    with suppress(FileNotFoundError):
        subprocess.run([*_MAKE, str(image)], capture_output=True, check=False)
        if made.on():
            try:
                path.chmod(0o777)
                yield made
            finally:
                subprocess.run(["umount", "--lazy", str(path)], capture_output=True, check=False)
            return
    pytest.skip("no file system can be mounted here")
