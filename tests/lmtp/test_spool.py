"""The spool: bounded memory, no name on disk, errors that carry their reply."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pymaild.core.errors import Code, StorageFailure
from pymaild.mail.spool import Spool


@pytest.mark.parametrize("memory", [0, 10, 1000, 1_000_000])
def test_what_is_written_is_read_as_often_as_wanted(tmp_path: Path, memory: int) -> None:
    pieces = [bytes([n % 256]) * 1000 for n in range(200)]
    with Spool(str(tmp_path), memory) as spool:
        for piece in pieces:
            spool.write(piece)
        assert spool.size == 200_000
        for _ in range(3):
            read = list(spool.pieces())
            assert b"".join(read) == b"".join(pieces)
            assert max(map(len, read)) <= 65536
        assert os.listdir(tmp_path) == []


def test_small_messages_need_no_folder(tmp_path: Path) -> None:
    with Spool(str(tmp_path / "missing"), 100) as spool:
        spool.write(b"x" * 100)
        assert list(spool.pieces()) == [b"x" * 100]
        with pytest.raises(StorageFailure):
            spool.write(b"x")


@contextmanager
def file_size_limit(octets: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def write_all(spool: Spool, pieces: list[bytes]) -> None:
    for piece in pieces:
        spool.write(piece)


def test_a_full_disk_is_a_storage_failure(tmp_path: Path) -> None:
    with file_size_limit(100_000), Spool(str(tmp_path), 1000) as spool:
        with pytest.raises(StorageFailure) as caught:
            write_all(spool, [b"x" * 10_000] * 50)
        assert caught.value.code is Code.UNAVAILABLE
        assert caught.value.errno
        assert "/" not in caught.value.text
