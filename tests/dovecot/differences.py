"""Where pymaild and Dovecot 2.3 differ on purpose: a table, each row with its reason.

A row brings a value of either server into a form in which this one difference is gone. What
still differs when all rows that apply were taken is a failure of the comparison.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Form = Callable[[bytes, Any], Any]


@dataclass(frozen=True)
class Difference:
    """One explained difference. ``items`` is a pattern of FETCH items; ``form`` gets the message
    (LF line ends) and a value."""

    reason: str
    items: str
    form: Form


def every_string(change: Callable[[bytes], bytes]) -> Form:
    """A form that changes each string of a nested value."""

    def form(message: bytes, value: Any) -> Any:
        if isinstance(value, list):
            return [form(message, item) for item in value]
        return change(value) if isinstance(value, bytes) else value

    return form


def _single_spaces(text: bytes) -> bytes:
    return re.sub(rb"[ \t]+", b" ", text).strip()


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, bytes) else value


def _parameters(values: Any) -> Any:
    if not isinstance(values, list):
        return values
    found = [_lower(value) if number % 2 == 0 else value for number, value in enumerate(values)]
    for number in range(0, len(found) - 1, 2):
        if found[number] == b"charset":
            found[number + 1] = _lower(found[number + 1])
    return found


def media_case(message: bytes, body: Any) -> Any:
    """A body structure with types, parameter names, charsets and encodings in lower case."""
    if not isinstance(body, list) or not body:
        return body
    if isinstance(body[0], list):
        return [
            media_case(message, item) if isinstance(item, list) else _lower(item) for item in body
        ]
    if len(body) < 7:
        return body
    kind = [_lower(body[0]), _lower(body[1]), _parameters(body[2]), *body[3:5], _lower(body[5])]
    return [*kind, *(media_case(message, item) for item in body[6:])]


def without_address_as_name(message: bytes, value: Any) -> Any:
    """An envelope in which a display name that only repeats the address is NIL."""
    if not isinstance(value, list):
        return value
    if len(value) == 4 and isinstance(value[2], bytes) and isinstance(value[3], bytes):
        same = value[0] == value[2] + b"@" + value[3]
        return [None, *value[1:]] if same else value
    return [without_address_as_name(message, item) for item in value]


def without_doubled_id(message: bytes, value: Any) -> Any:
    """An envelope without its Message-ID, when the header has two."""
    head = message.partition(b"\n\n")[0]
    count = len(re.findall(rb"(?im)^message-id[ \t]*:", head))
    return value[:9] if count > 1 and isinstance(value, list) else value


TABLE: tuple[Difference, ...] = (
    Difference(
        "White space at a fold is told as one space, and none at the end of a value: folding "
        "white space has no meaning of its own (RFC 5322 §3.2.2)",
        "ENVELOPE|BODY|BODYSTRUCTURE",
        every_string(_single_spaces),
    ),
    Difference(
        "Media types, parameter names, charsets and encodings are told as the message has them: "
        "they know no case (RFC 2045 §5.1, §6.1)",
        "BODY|BODYSTRUCTURE",
        media_case,
    ),
    Difference(
        "A display name that looks like an address and has no quotes is kept; Dovecot drops it",
        "ENVELOPE|BODY|BODYSTRUCTURE",
        without_address_as_name,
    ),
    Difference(
        "Of a field that may stand once (RFC 5322 §3.6) the first counts; for Dovecot the last",
        "ENVELOPE",
        without_doubled_id,
    ),
)


def explain(item: str, message: bytes, ours: Any, theirs: Any) -> list[str]:
    """The reasons that explain a difference between two values; none when it stays one."""
    reasons = []
    for row in TABLE:
        if re.fullmatch(row.items, item):
            changed = row.form(message, ours), row.form(message, theirs)
            if changed != (ours, theirs):
                reasons.append(row.reason)
            ours, theirs = changed
            if ours == theirs:
                return reasons
    return []
