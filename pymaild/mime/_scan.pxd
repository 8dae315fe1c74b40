# A part of a message. Positions are octets from the start of the file as it is stored; sizes
# named *_crlf are those of the same octets in CRLF form.

cdef enum:
    DEEPEST = 100  # the most that `max_depth` may allow


cdef class Part:
    cdef readonly Py_ssize_t header_start
    cdef readonly Py_ssize_t header_end  # behind the empty line
    cdef readonly Py_ssize_t body_start
    cdef readonly Py_ssize_t body_end
    cdef readonly Py_ssize_t header_crlf
    cdef readonly Py_ssize_t body_crlf
    cdef readonly Py_ssize_t lines  # LFs in the body
    cdef readonly tuple children
    cdef readonly bint is_message  # one child: the message/rfc822 that is the body
    cdef public int kind  # how its body is searched (pymaild/mime/text.py); 0 for none

    # While scanning only: children so far, line ends before the header or body.
    cdef list kids
    cdef Py_ssize_t lf
    cdef Py_ssize_t bare
    cdef bint in_digest
