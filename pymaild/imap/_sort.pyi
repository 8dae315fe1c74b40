from array import array
from collections.abc import Callable, Sequence

from pymaild.index import View

ARRIVAL: int
DATE: int
SIZE: int
STRING: int

class TooMuch(Exception): ...

def order(
    view: View,
    seqs: array[int],
    criteria: Sequence[tuple[int, bool]],
    keys: Callable[[int], bytes],
    size: Callable[[int], int],
    beat: Callable[[int, int], None],
    cached: bool = True,
) -> array[int]: ...
