"""JSON of small objects, most of whose values are text or numbers.

What is neither is left to the encoder of the standard library, which takes longer to begin than
all of the rest.
"""

from cpython.object cimport PyObject_RichCompareBool, Py_EQ
from cpython.unicode cimport PyUnicode_CheckExact

from json.encoder import encode_basestring_ascii


cdef str _text(object value, object encode):
    if PyUnicode_CheckExact(value):
        return <str> encode_basestring_ascii(value)
    if value is True:
        return "true"
    if value is False:
        return "false"
    if type(value) is int:
        return str(value)
    if type(value) is float:
        return repr(value)
    if type(value) is list and not value:
        return "[]"
    return <str> encode(value)


cpdef str members(object value, tuple names, tuple heads, tuple usual, object encode):
    """Return ``"name":value`` of each attribute that is not the ``usual`` one, with commas.

    ``heads`` are the names as they are written, a colon behind; ``encode`` writes any value.
    """
    cdef Py_ssize_t place
    cdef list parts = []
    for place in range(len(names)):
        found = getattr(value, names[place])
        if not PyObject_RichCompareBool(found, usual[place], Py_EQ):
            parts.append(<str> heads[place] + _text(found, encode))
    return ",".join(parts)


cpdef str written(dict values, object encode):
    """Return an object; its keys need no escapes."""
    cdef list parts = ['"' + <str> name + '":' + _text(value, encode)
                       for name, value in values.items()]
    return "{" + ",".join(parts) + "}"
