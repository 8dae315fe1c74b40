"""Messages found, as ascending arrays of their numbers: set operations, and their text.

RFC 9051 §6.4.4. The operations take time in proportion to what they are given, and memory for
their result alone.
"""

from cpython.array cimport array, clone
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t

cdef enum:
    LONGEST = 11           # octets of a space and a number of 32 bits

cdef array _U32 = array("I", [])


cdef inline uint32_t* _numbers(array values):
    return <uint32_t*>values.data.as_uints


def everything(uint32_t count):
    """Return the numbers from 1 to ``count``."""
    cdef array result = clone(_U32, count, False)
    cdef uint32_t* out = _numbers(result)
    cdef uint32_t place
    for place in range(count):
        out[place] = place + 1
    return result


def both(array one not None, array other not None):
    """Return the numbers that are in both."""
    cdef Py_ssize_t left = len(one), right = len(other), i = 0, j = 0, used = 0
    cdef array result = clone(_U32, min(left, right), False)
    cdef uint32_t* a = _numbers(one)
    cdef uint32_t* b = _numbers(other)
    cdef uint32_t* out = _numbers(result)
    with nogil:
        while i < left and j < right:
            if a[i] == b[j]:
                out[used] = a[i]
                used += 1
            i, j = i + (a[i] <= b[j]), j + (b[j] <= a[i])
    return result[:used]


def either(array one not None, array other not None):
    """Return the numbers that are in one of both or in both."""
    cdef Py_ssize_t left = len(one), right = len(other), i = 0, j = 0, used = 0
    cdef array result = clone(_U32, left + right, False)
    cdef uint32_t* a = _numbers(one)
    cdef uint32_t* b = _numbers(other)
    cdef uint32_t* out = _numbers(result)
    with nogil:
        while i < left or j < right:
            if j == right or (i < left and a[i] <= b[j]):
                j += j < right and a[i] == b[j]
                out[used] = a[i]
                i += 1
            else:
                out[used] = b[j]
                j += 1
            used += 1
    return result[:used]


def without(array one not None, array other not None):
    """Return the numbers of the first that are not in the second."""
    cdef Py_ssize_t left = len(one), right = len(other), i = 0, j = 0, used = 0
    cdef array result = clone(_U32, left, False)
    cdef uint32_t* a = _numbers(one)
    cdef uint32_t* b = _numbers(other)
    cdef uint32_t* out = _numbers(result)
    with nogil:
        for i in range(left):
            while j < right and b[j] < a[i]:
                j += 1
            if j == right or b[j] != a[i]:
                out[used] = a[i]
                used += 1
    return result[:used]


def spaced(array values not None, Py_ssize_t start, Py_ssize_t stop):
    """Return ``values[start:stop]`` in digits, a space before each."""
    cdef Py_ssize_t place, end = min(stop, len(values))
    cdef bytes result = PyBytes_FromStringAndSize(NULL, LONGEST * max(0, end - start))
    cdef char* begin = PyBytes_AS_STRING(result)
    cdef char* out = begin
    cdef char[LONGEST] digits
    cdef uint32_t* numbers = _numbers(values)
    cdef uint32_t number
    cdef int first
    for place in range(start, end):
        number, first = numbers[place], LONGEST
        while True:
            first -= 1
            digits[first] = <char>(c"0" + number % 10)
            number //= 10
            if number == 0:
                break
        out[0] = c" "
        out += 1
        while first < LONGEST:
            out[0] = digits[first]
            out += 1
            first += 1
    return result[:out - begin]
