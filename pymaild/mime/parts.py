"""The part tree: scanning a message, keeping the tree in a cache, finding a section's part."""

from __future__ import annotations

from collections.abc import Sequence

from pymaild.mime._pack import pack, unpack
from pymaild.mime._scan import Part, scan

__all__ = ["Part", "find", "pack", "scan", "unpack"]


def find(root: Part, path: Sequence[int]) -> Part | None:
    """Return the part that section numbers name (RFC 9051 §6.4.5.1); () is the message.

    A message that is no multipart has one part, 1: the root itself, or the message inside a
    message/rfc822. Callers take its body. None when there is no such part.
    """
    part, is_whole = root, True
    for number in path:
        if not is_whole and part.is_message:
            part, is_whole = part.children[0], True
        if part.is_multipart and 0 < number <= len(part.children):
            part, is_whole = part.children[number - 1], False
        elif is_whole and number == 1 and not part.is_multipart:
            is_whole = False
        else:
            return None
    return part
