"""Octets before names: no power failure may leave a name on disk whose octets are missing.

fsync of the file before it is renamed sees to that everywhere. Where a file system writes its
changes to a journal one after the other, less will do: once the octets are with the disk, their
place and the file's size are in the journal, and whatever is renamed after that is behind them.
The fsync of the directory, which must follow in any case, then writes both out in one step.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache

from pymaild.storage._writeback import kind, write_back

EXT4, XFS = 0xEF53, 0x58465342  # statfs(2); the first is that of ext2 and ext3, too


def before_names(fd: int) -> None:
    """Have a file's octets on disk before any name that it is given from now on. Raises OSError."""
    if not (keeps_order(os.fstat(fd).st_dev, kind(fd)) and write_back(fd)):
        os.fsync(fd)


@lru_cache(64)
def keeps_order(device: int, magic: int) -> bool:
    """Say whether changes of names become durable only behind all that was written before them.

    btrfs tells that octets are written before it has noted their place, so it is none of these;
    nor is ext4 without a journal.
    """
    return magic == XFS or (magic == EXT4 and _has_journal(device))


def _has_journal(device: int) -> bool:
    number = f"{os.major(device)}:{os.minor(device)}"
    with suppress(OSError):
        name = os.path.basename(os.readlink(f"/sys/dev/block/{number}"))
        with open(f"/sys/fs/ext4/{name}/journal_task", encoding="ascii") as file:
            return file.read().strip().isdigit()
    return False
