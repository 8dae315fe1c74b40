"""A message between its arrival and its delivery: in memory while small, else in a file."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

from pymaild.core.errors import from_oserror

_PIECE = 65536


class Spool:
    """Octets that are written once and read as often as there are recipients.

    Holds at most ``memory`` octets in memory. The file in ``folder`` has no name, so that it is
    gone with the process. All methods raise StorageFailure for what the file system does.
    """

    def __init__(self, folder: str, memory: int) -> None:
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - closed by close()
            max_size=max(memory, 1), dir=folder, prefix="spool-"
        )
        self.size = 0
        self._memory = max(memory, 1)

    def write(self, data: bytes) -> None:
        """Append ``data``."""
        try:
            self._file.write(data)
        except OSError as error:
            raise from_oserror(error) from error
        self.size += len(data)

    def pieces(self) -> Iterator[bytes]:
        """All that was written, from the beginning, in pieces of bounded size."""
        try:
            self._file.seek(0)
            while piece := self._file.read(_PIECE):
                yield piece
        except OSError as error:
            raise from_oserror(error) from error

    def view(self) -> memoryview:
        """Return all that was written, in memory or mapped; nothing is written after that."""
        try:
            if self.size <= self._memory:
                self._file.seek(0)
                return memoryview(self._file.read())
            self._file.flush()
            return memoryview(mmap.mmap(self._file.fileno(), self.size, prot=mmap.PROT_READ))
        except OSError as error:
            raise from_oserror(error) from error

    def close(self) -> None:
        """Free memory and disk."""
        with suppress(OSError):  # octets that did not fit are not missed any more
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
