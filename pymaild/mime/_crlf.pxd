# Line ends: between the LF of files and the CRLF of the wire.

cdef size_t wire_size(const unsigned char *data, size_t size) noexcept nogil
cdef size_t copy_wire(
    const unsigned char *data, size_t size, size_t skip, size_t count, unsigned char *out
) noexcept nogil
cdef size_t copy_stuffed(const unsigned char *data, size_t size, unsigned char *out) noexcept nogil
