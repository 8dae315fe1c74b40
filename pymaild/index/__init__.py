"""The snapshot index of a mailbox: records, log and cache in mmap."""

from pymaild.index._history import History
from pymaild.index._index import Busy, Gap, Index, Unusable, checksum
from pymaild.index._view import View

#: Bit in a row's flags: the file lies in new/ (\\Recent to the next session that claims it).
IN_NEW = 0x100

__all__ = ["IN_NEW", "Busy", "Gap", "History", "Index", "Unusable", "View", "checksum"]
