"""Noticing a change in a mailbox: the mtimes of new/ and cur/, and inotify(7) on directories and
files."""

import logging
import os
import struct

from libc.errno cimport ENOENT, ENOTDIR, errno

cdef extern from "sys/inotify.h":
    int inotify_init1(int flags)
    int inotify_add_watch(int fd, const char* path, unsigned int mask)
    int inotify_rm_watch(int fd, int watch)
    enum: IN_NONBLOCK
    enum: IN_CLOEXEC
    enum: IN_CREATE
    enum: IN_DELETE
    enum: IN_MOVED_FROM
    enum: IN_MOVED_TO
    enum: IN_DELETE_SELF
    enum: IN_MOVE_SELF
    enum: IN_MODIFY
    enum: IN_ATTRIB
    enum: IN_ONLYDIR
    enum: IN_IGNORED

cdef extern from "sys/stat.h":
    struct timespec:
        long tv_sec
        long tv_nsec
    struct stat:
        timespec st_mtim
        unsigned long long st_ino
        long long st_size
    int c_stat "stat"(const char* path, stat* result)

POLL = 0.04     # seconds between looks where inotify has no more to give
QUIET = 3600.0  # with inotify there is nothing to poll for
MOST_SPARE = 64  # watches; where there are more, it is quicker to close them all at once
MOST_READS = 16

_log = logging.getLogger("pymaild.storage")
_told = False
_spare = []     # an instance of this process that is not in use: to close one takes long
_EVENT = struct.Struct("iIII")  # wd, mask, cookie, length of the name behind it


def open_watches():
    """Return an inotify instance that several processes share, -1 where there is none to be had."""
    return inotify_init1(IN_NONBLOCK | IN_CLOEXEC)


cdef int _watch(int fd, const char* path) noexcept:
    """Watch what comes and goes in a directory, or what changes a file."""
    cdef int watch = inotify_add_watch(
        fd, path,
        IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_ONLYDIR)
    if watch < 0 and errno == ENOTDIR:
        watch = inotify_add_watch(fd, path, IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)
    return watch


def set_watch(int fd, bytes path):
    """Watch a directory or a file; returns the descriptor, the same for all who do so by ``fd``.

    -1 where it is gone. Raises OSError where the kernel has no more watches, or a directory may
    not be read.
    """
    cdef int watch = _watch(fd, path)
    if watch < 0 and errno not in (ENOENT, ENOTDIR):
        raise OSError(errno, os.strerror(errno))
    return watch


def drop_watch(int fd, int watch):
    """Watch it no more; what is gone is watched by nobody."""
    inotify_rm_watch(fd, watch)


def read_events(int fd):
    """Return the watches that stirred and those that are over; None when some were lost."""
    stirred, over = set(), set()
    try:
        data = os.read(fd, 65536)
    except BlockingIOError:
        return stirred, over
    place = 0
    while place + _EVENT.size <= len(data):
        watch, mask, _cookie, length = _EVENT.unpack_from(data, place)
        if watch < 0:
            return None
        (over if mask & IN_IGNORED else stirred).add(watch)
        place += _EVENT.size + length
    return stirred, over


def _take_spare(process):
    """Return the spare instance, -1 where this process has none."""
    if not _spare or _spare[0][0] != process:
        return -1
    return _spare.pop()[1]


def stamps(bytes new, bytes cur):
    """Return the mtimes of two directories in nanoseconds. Raises FileNotFoundError."""
    cdef stat first, second
    if c_stat(new, &first) != 0 or c_stat(cur, &second) != 0:
        os.stat(new)  # says by its exception what is wrong
        os.stat(cur)
        raise FileNotFoundError(cur)
    return (<long long>first.st_mtim.tv_sec * 1000000000 + first.st_mtim.tv_nsec,
            <long long>second.st_mtim.tv_sec * 1000000000 + second.st_mtim.tv_nsec)


def stamp(bytes path):
    """Return what is another value when a small file has been replaced, None without a file."""
    cdef stat found
    if c_stat(path, &found) != 0:
        return None if errno == ENOENT or errno == ENOTDIR else _failed(path)
    return (<long long>found.st_mtim.tv_sec * 1000000000 + found.st_mtim.tv_nsec,
            found.st_ino, found.st_size)


def _failed(bytes path):
    os.stat(path)  # says by its exception what is wrong
    return None


cdef class Watch:
    """A descriptor that becomes readable when a file comes, goes or is renamed, or changes.

    ``paths`` are directories, and files of many messages, watched under the key "". ``fileno()`` is -1 where the kernel's
    limits are reached: then ``timeout`` says after how many seconds to look by oneself.
    """

    cdef int _fd
    cdef object _process    # whose the instance is: a child must not end its parent's watches
    cdef dict _keys         # sets of them, from watch descriptors
    cdef public double timeout

    def __cinit__(self, *paths):
        self.timeout = QUIET
        self._keys = {}
        self._process = os.getpid()
        self._fd = _take_spare(self._process)
        if self._fd < 0:
            self._fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)
        if self._fd < 0:
            self._fall_back()
        self.add("", *paths)

    def add(self, str key, *paths):
        """Watch more of them; :meth:`drain` names them by ``key``."""
        for path in paths:
            if self._fd < 0:
                return
            raw = os.fsencode(path)
            watch = _watch(self._fd, raw)
            if watch >= 0:
                self._keys.setdefault(watch, set()).add(key)
            elif errno != ENOENT:  # a directory that is gone has nothing to tell
                self._fall_back()

    def _fall_back(self):
        global _told
        self.close()
        self.timeout = POLL
        if not _told:
            _told = True
            _log.warning("inotify has no more watches (see fs.inotify.*): polling instead")

    def fileno(self):
        return self._fd

    def drain(self):
        """Take what has been reported, so that the next wait waits.

        Returns the keys of what stirred, or None when that may be any of them.
        """
        found = set()
        while self._fd >= 0:
            try:
                data = os.read(self._fd, 65536)
            except BlockingIOError:
                return found
            if not self._read(data, found):
                found = None
            if found is None or len(data) < 32768:
                return found
        return None

    def _read(self, bytes data, set found):
        """Read events of inotify(7); false when some were lost."""
        cdef Py_ssize_t place = 0
        while place + _EVENT.size <= len(data):
            watch, _mask, _cookie, length = _EVENT.unpack_from(data, place)
            if watch < 0:
                return False
            if watch in self._keys:
                found |= self._keys[watch]
            place += _EVENT.size + length
        return True

    def close(self):
        """Watch no more. The instance is kept for the next, if there is none already."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        if _spare or len(self._keys) > MOST_SPARE or self._process != os.getpid() \
                or not self._empty(fd):
            os.close(fd)
        else:
            _spare.append((self._process, fd))

    def _empty(self, int fd):
        """Take all watches away and what they have reported; false where that cannot be done."""
        for watch in self._keys:
            inotify_rm_watch(fd, watch)
        self._keys.clear()
        for _ in range(MOST_READS):
            try:
                os.read(fd, 65536)
            except BlockingIOError:
                return True
        return False

    def __dealloc__(self):
        if self._fd >= 0:
            os.close(self._fd)
