# Header fields (RFC 5322 §2.2).

# One header field; positions count from the start of the data.
cdef struct Field:
    Py_ssize_t start
    Py_ssize_t name_length  # 0 for a line that is no field: without colon or name
    Py_ssize_t value
    Py_ssize_t end  # behind the line end of its last line

cdef bint next_field(
    const unsigned char *data, Py_ssize_t at, Py_ssize_t end, Field *field
) noexcept nogil
cdef Py_ssize_t line_break(
    const unsigned char *data, Py_ssize_t at, Py_ssize_t end
) noexcept nogil
