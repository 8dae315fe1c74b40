from array import array
from collections.abc import Callable

from pymaild.index import View
from pymaild.mail._octets import Octets
from pymaild.mime._matcher import Words

def holding(
    view: View, seqs: array[int], which: int, wanted: bytes, beat: Callable[[int, int], None]
) -> tuple[array[int], array[int]]: ...
def reading(
    view: View, seqs: array[int], octets: Octets, words: Words, beat: Callable[[int, int], None]
) -> tuple[array[int], array[int]]: ...
