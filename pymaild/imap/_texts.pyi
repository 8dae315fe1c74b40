from array import array
from collections.abc import Callable

from pymaild.index import View

def holding(
    view: View, seqs: array[int], which: int, wanted: bytes, beat: Callable[[int, int], None]
) -> tuple[array[int], array[int]]: ...
