"""The snapshot index of a mailbox: records, log and cache in mmap."""

from pymaild.index._files import checksum
from pymaild.index._history import History
from pymaild.index._index import Index
from pymaild.index._past import mend, remember
from pymaild.index._view import View
from pymaild.index.errors import Busy, Gap, Unusable

#: Bit in a row's flags: the file lies in new/ (\\Recent to the next session that claims it).
IN_NEW = 0x100

__all__ = [
    "IN_NEW",
    "Busy",
    "Gap",
    "History",
    "Index",
    "Unusable",
    "View",
    "checksum",
    "mend",
    "remember",
]
