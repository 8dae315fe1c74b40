from array import array
from collections.abc import Sequence

from pymaild.index import View

UID: int
FLAGS: int
INTERNALDATE: int
SIZE: int
ENVELOPE: int
BODYSTRUCTURE: int
BODY: int
MODSEQ: int
FIELDS: int
PREVIEW: int
EMAILID: int
THREADID: int
SAVEDATE: int

def write(
    view: View,
    seqs: array[int],
    start: int,
    items: bytes,
    fields: tuple[tuple[bytes, tuple[bytes, ...]], ...],
    keywords: Sequence[bytes],
    recent: Sequence[Sequence[int]],
    limit: int,
    uidonly: bool = False,
) -> tuple[bytes, int]: ...
