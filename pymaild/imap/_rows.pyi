from array import array
from collections.abc import Iterable, Sequence

from pymaild.index import View
from pymaild.mail._octets import Octets

UID: int
FLAGS: int
INTERNALDATE: int
SIZE: int
ENVELOPE: int
BODYSTRUCTURE: int
BODY: int
MODSEQ: int
FIELD_LINES: int
PREVIEW: int
EMAILID: int
THREADID: int
SAVEDATE: int
SECTION: int
HEADER: int
INNER: int

class Fields:
    def __init__(self, label: bytes, names: Iterable[bytes]) -> None: ...

class Section:
    def __init__(
        self, label: bytes, path: bytes, what: int, offset: int = -1, count: int = 0
    ) -> None: ...

def write(
    view: View,
    seqs: array[int],
    start: int,
    items: bytes,
    fields: tuple[Fields, ...],
    keywords: Sequence[bytes],
    recent: Sequence[Sequence[int]],
    limit: int,
    uidonly: bool = False,
    sections: tuple[Section, ...] = (),
    octets: Octets | None = None,
) -> tuple[bytes, int]: ...
