"""The octets of messages as stored, for whoever goes through many of them.

What cannot be had the short way (a file that others have renamed, a message that is large) is
asked for the long way, one message at a time: :class:`pymaild.mail.message.Message`.
"""

from libc.stdint cimport uint64_t

from pymaild.index._index cimport Index
from pymaild.index._layout cimport IN_NEW, SYSTEM_MASK, Record
from pymaild.storage._files cimport MOST_READ, MessageFile


cdef class Octets:
    """The messages of a store, by way of its own ``read``."""

    def __cinit__(self, store, *_):
        self._store = store

    cdef bint load(self, Index index, Record* record) except -1:
        """Have the octets of a row's message in ``data``; false for one to be asked elsewhere."""
        cdef uint64_t row = record - index.rows
        if record.size > MOST_READ:
            return False
        found = self._store.read(index, row)
        if found is None or found[1] >= 0:
            return False
        self._held = found[0]
        self.size = self._held.shape[0]
        self.data = &self._held[0] if self.size else <const unsigned char*>b""
        return True


cdef class MaildirOctets(Octets):
    """The messages of a Maildir, whose ``new`` and ``cur`` are directories."""

    def __cinit__(self, store, bytes new, bytes cur):
        self._file = MessageFile(new, cur)

    cdef bint load(self, Index index, Record* record) except -1:
        cdef MessageFile file = <MessageFile>self._file
        cdef bytes base = index._name(record)
        if not file.read(bool(record.flags & IN_NEW), base, len(base),
                         record.flags & SYSTEM_MASK, record.keywords, record.size):
            return False
        self.data, self.size = file.data, file.size
        return True
