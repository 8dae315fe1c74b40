from collections.abc import Callable
from typing import Any

def members(
    value: object,
    names: tuple[str, ...],
    heads: tuple[str, ...],
    usual: tuple[object, ...],
    encode: Callable[[Any], str],
) -> str: ...
def written(values: dict[str, Any], encode: Callable[[Any], str]) -> str: ...
