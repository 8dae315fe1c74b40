"""How settings are declared: typed and documented beside the code that obeys them.

A section is a frozen dataclass whose docstring introduces it and whose ``SECTION`` names its
table in the configuration file. The commented sample file and the manual page are generated
from these declarations; nothing else lists settings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NewType

Size = NewType("Size", int)  # octets; written 64KiB, 100MiB or as a number
Duration = NewType("Duration", float)  # seconds; written 60s, 30m, 1h or as a number
FilePath = NewType("FilePath", str)  # relative paths start at the configuration file's folder


@dataclass(frozen=True, slots=True)
class About:
    """The documentation and bounds of one setting."""

    doc: str
    low: float | None = None
    high: float | None = None


def setting(default: Any, doc: str, low: float | None = None, high: float | None = None) -> Any:
    """Declare one setting: default, one or two sentences for the administrator, bounds."""
    return field(default=default, metadata={"about": About(doc, low, high)})
