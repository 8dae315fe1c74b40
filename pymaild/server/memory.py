"""Memory that is free, and the C library keeps."""

from __future__ import annotations

import ctypes


def trim() -> None:
    """Give free pages back to the kernel (malloc_trim(3)), where the C library can do that.

    It does by itself at the end of the heap alone, and what lives long lies among what does not.
    """
    release = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if release is not None:
        release(ctypes.c_size_t(0))
