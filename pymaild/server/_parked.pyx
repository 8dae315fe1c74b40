"""Counting in the table of parked sessions."""

from libc.stdint cimport uint64_t


def count(const uint64_t[::1] column, uint64_t wanted, Py_ssize_t rows):
    """Return how many of the first ``rows`` numbers are ``wanted``."""
    cdef Py_ssize_t row, found = 0
    if rows > column.shape[0]:
        rows = column.shape[0]
    for row in range(rows):
        found += column[row] == wanted
    return found
