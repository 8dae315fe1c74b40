"""Having the kernel write a file's octets out, short of making the file durable."""

import errno as codes
import os

from libc.errno cimport errno

cdef extern from "fcntl.h" nogil:
    int c_sync_file_range "sync_file_range"(int fd, long long start, long long size, unsigned flags)
    enum: SYNC_FILE_RANGE_WAIT_BEFORE
    enum: SYNC_FILE_RANGE_WRITE
    enum: SYNC_FILE_RANGE_WAIT_AFTER

cdef extern from "sys/vfs.h" nogil:
    struct c_statfs "statfs":
        long f_type
    int fstatfs(int fd, c_statfs* found)

_UNSUPPORTED = (codes.ENOSYS, codes.EINVAL, codes.ESPIPE, codes.EOPNOTSUPP)


def kind(int fd):
    """Return the magic number of the file system that a file is on (statfs(2)). Raises OSError."""
    cdef c_statfs found
    if fstatfs(fd, &found) != 0:
        raise OSError(errno, os.strerror(errno))
    return found.f_type & 0xFFFFFFFF


def write_back(int fd):
    """Wait until a file's octets are with the disk; false where the kernel cannot do it.

    They may still be in the disk's own memory, and nothing is said of size and name
    (sync_file_range(2)). Raises OSError.
    """
    cdef int result
    with nogil:
        result = c_sync_file_range(
            fd, 0, 0,
            SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER,
        )
    if result == 0:
        return True
    if errno in _UNSUPPORTED:
        return False
    raise OSError(errno, os.strerror(errno))
