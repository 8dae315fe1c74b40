cpdef tuple parameters(bytes value)
