"""Where pymaild and Dovecot 2.3 differ on purpose: a table, each row with its reason.

A row brings a value of either server into a form in which this one difference is gone. What
still differs when all rows that apply were taken is a failure of the comparison.
"""

from __future__ import annotations

import email
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Form = Callable[[str, bytes, Any], Any]


@dataclass(frozen=True)
class Difference:
    """One explained difference. ``items`` is a pattern of FETCH items; ``form`` gets item,
    message (LF line ends) and value."""

    reason: str
    items: str
    form: Form


def every_string(change: Callable[[bytes], bytes]) -> Form:
    """A form that changes each string of a nested value."""

    def form(item: str, message: bytes, value: Any) -> Any:
        if isinstance(value, list):
            return [form(item, message, one) for one in value]
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


def media_case(item: str, message: bytes, body: Any) -> Any:
    """A body structure with types, parameter names, charsets and encodings in lower case."""
    if not isinstance(body, list) or not body:
        return body
    if isinstance(body[0], list):
        return [
            media_case(item, message, one) if isinstance(one, list) else _lower(one) for one in body
        ]
    if len(body) < 7:
        return body
    kind = [_lower(body[0]), _lower(body[1]), _parameters(body[2]), *body[3:5], _lower(body[5])]
    return [*kind, *(media_case(item, message, one) for one in body[6:])]


def without_address_as_name(item: str, message: bytes, value: Any) -> Any:
    """An envelope in which a display name that only repeats the address is NIL."""
    if not isinstance(value, list):
        return value
    if len(value) == 4 and isinstance(value[2], bytes) and isinstance(value[3], bytes):
        same = value[0] == value[2] + b"@" + value[3]
        return [None, *value[1:]] if same else value
    return [without_address_as_name(item, message, one) for one in value]


def without_doubled_id(item: str, message: bytes, value: Any) -> Any:
    """An envelope without its Message-ID, when the header has two."""
    count = len(re.findall(rb"(?im)^message-id[ \t]*:", _fields(message)))
    return value[:9] if count > 1 and isinstance(value, list) else value


def _fields(message: bytes) -> bytes:
    return message if message[:1] == b"\n" else message.partition(b"\n\n")[0]


def without_end_of_header(item: str, message: bytes, value: Any) -> Any:
    """Header fields without the empty line, for a message that has none."""
    has_end = message.startswith(b"\n") or b"\n\n" in message
    return value if has_end or value is None else value.rstrip(b"\r\n")


def without_undated(item: str, message: bytes, value: Any) -> Any:
    """Whether a message was found; nothing when it has no Date field."""
    return value if re.search(rb"(?im)^date[ \t]*:", _fields(message)) else None


def without_part_of_leaf(item: str, message: bytes, value: Any) -> Any:
    """Nothing, when the item is about part 1 of a part that has no parts."""
    part: Any = email.message_from_bytes(message)
    path = [int(number) for number in re.findall(r"[0-9]+", item)]
    for depth, number in enumerate(path):
        if part.get_content_type() == "message/rfc822" and depth:
            part = part.get_payload(0)
        if not part.is_multipart():
            return None if depth and number == 1 else value
        parts = part.get_payload()
        if number > len(parts):
            return value
        part = parts[number - 1]
    return value


TABLE: tuple[Difference, ...] = (
    Difference(
        "A part that is neither multipart nor a message has no part 1 below itself "
        "(RFC 9051 §6.4.5.1); for Dovecot that is the part again",
        r"BODY\[[1-9][0-9.]*\.1(\.[1.]+)?(\.[A-Z]+)?\]",
        without_part_of_leaf,
    ),
    Difference(
        "A part that is not there is NIL; Dovecot tells an empty string",
        r"BODY\[[1-9][0-9.]*(\.[A-Z]+)?\]",
        lambda item, message, value: value or b"",
    ),
    Difference(
        "A message without a body and without an empty line gets none with its header fields "
        "(RFC 9051 §6.4.5.1); Dovecot adds it",
        r"BODY\[HEADER\.FIELDS.*",
        without_end_of_header,
    ),
    Difference(
        "A message without a Date field has no sent date; Dovecot takes 1 January 1970",
        r"SEARCH SENT(BEFORE|SINCE|ON) .*",
        without_undated,
    ),
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
            changed = row.form(item, message, ours), row.form(item, message, theirs)
            if changed != (ours, theirs):
                reasons.append(row.reason)
            ours, theirs = changed
            if ours == theirs:
                return reasons
    return []
