"""Octets of messages of a store that has no way of its own to many of them."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from pymaild.index import Index, View
from pymaild.mail import cache
from pymaild.mail._octets import Octets
from pymaild.mime import parts
from pymaild.storage import atomic

MESSAGE = b"Subject: one\n\n.body\n"


class Mapped:
    """A store that maps its one message, and counts how often it is asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened: list[int] = []

    def read(self, index: Index, row: int) -> tuple[memoryview, int] | None:
        if not self.path.exists():
            return None
        fd = os.open(self.path, os.O_RDONLY)
        self.opened.append(fd)
        return memoryview(mmap.mmap(fd, 0, prot=mmap.PROT_READ)), fd


def test_what_is_mapped_is_used_and_closed(tmp_path: Path) -> None:
    index = Index.create(str(tmp_path), 7, 1, 1, [], atomic.replace_all)
    index.add(1, 0, 0, 1, 1, len(MESSAGE), 0, b"name")
    index.commit()
    tree = parts.scan(MESSAGE)
    wire = len(MESSAGE) + MESSAGE.count(b"\n")
    index.set_cached(0, cache.encode(cache.build(MESSAGE, tree)), wire)
    index.seal()
    view = View.of(index)
    assert view is not None
    store = Mapped(tmp_path / "one")
    store.path.write_bytes(MESSAGE)
    octets = Octets(store)  # type: ignore[arg-type]
    counts = set()
    for _ in range(3):
        found = octets.retrieved(view, 1)
        assert found is not None
        counts.add(len(os.listdir("/proc/self/fd")))
        assert found[:2] == (b"Subject: one\r\n\r\n..body\r\n.\r\n", wire)
    assert len(store.opened) == 3
    assert len(counts) == 1  # only the last mapping is held
    store.path.unlink()
    assert octets.retrieved(view, 1) is None
