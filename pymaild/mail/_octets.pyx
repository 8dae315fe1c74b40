"""The octets of messages as stored, for whoever goes through many of them.

What cannot be had the short way (a file that others have renamed, a message that is large) is
asked for the long way, one message at a time: :class:`pymaild.mail.message.Message`.
"""

import os

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t, uint64_t

from pymaild.index._index cimport Index
from pymaild.index._layout cimport IN_NEW, SYSTEM_MASK, Record
from pymaild.index._view cimport View
from pymaild.mail._entry cimport PART_TREE, checked_entry, part_length, part_start
from pymaild.mime._crlf cimport copy_stuffed, wire_size
from pymaild.mime._pack cimport Extent, find_part
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
        try:
            found = self._store.read(index, row)
        except OSError:
            return False
        if found is None:
            return False
        if found[1] >= 0:
            os.close(found[1])  # what is mapped stays so
        self._held = found[0]
        self.size = self._held.shape[0]
        self.data = &self._held[0] if self.size else <const unsigned char*>b""
        return True

    def retrieved(self, View view not None, uint32_t seq):
        """Return a message as POP3 sends it, the dot at its end included, its octets on the wire
        without all that, and the ``kind`` of its tree; None for one to be asked elsewhere.

        So is one without a body: whether its header ends is seen there.
        """
        cdef Record* record
        cdef const unsigned char* entry
        cdef Extent root
        cdef bytes made
        cdef size_t wire
        if not self.load(view.index, view.record(seq)):
            return None
        record = view.record(seq)
        entry = checked_entry(view.index, record)
        if entry == NULL or not find_part(entry + part_start(entry, PART_TREE),
                                          part_length(entry, PART_TREE), NULL, 0, False, &root):
            return None
        wire = wire_size(self.data, self.size)
        if root.body_size == 0 or wire != record.wire_size:
            return None
        made = PyBytes_FromStringAndSize(NULL, 2 * self.size + 5)
        size = copy_stuffed(self.data, self.size, <unsigned char*>PyBytes_AS_STRING(made))
        return made[:size], wire, root.kind


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
