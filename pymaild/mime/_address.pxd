cdef class Budget:
    cdef public Py_ssize_t left
