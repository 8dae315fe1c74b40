"""What the mime package reads from: octets in memory or in a mapped file."""

from __future__ import annotations

from mmap import mmap
from typing import TypeAlias

Octets: TypeAlias = bytes | bytearray | memoryview | mmap
