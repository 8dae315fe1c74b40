"""The commented configuration file, made from the declared settings."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from pymaild.core.config_file import Field, fields_of, format_value
from pymaild.core.settings import Duration, Size

WIDTH = 88

#: Settings by dotted name (``server.user``), and tables of an array by its name (``listener``).
Values = Mapping[str, Any]


def sample(root: type, title: str, values: Values | None = None) -> str:
    """Return a file in which every setting stands with its documentation.

    What is in ``values`` is set; all else stands commented out with its default, except tables
    of an array, whose defaults are written out because naming one replaces all.
    """
    lines = [*_comment(title)]
    for field in fields_of(root):
        lines += ["", *_section(field, (), values or {})]
    return "\n".join(lines) + "\n"


def _section(field: Field, above: tuple[str, ...], values: Values) -> Iterator[str]:
    assert field.section is not None
    path = (*above, field.key)
    name = ".".join(path)
    yield from _comment(doc_of(field.section))
    inner = fields_of(field.section)
    if field.array:
        yield f"#[[{name}]]"
        yield from _settings(inner, name, {})
        for entry in values.get(name, _entries(field.default)):
            yield from ("", f"[[{name}]]")
            yield from (
                f"{key} = {to_toml(_kind(inner, key), value)}" for key, value in entry.items()
            )
    else:
        yield f"[{name}]"
        yield from _settings(inner, name, values)
    for child in inner:
        if child.section:
            yield from ("", *_section(child, path, values))


def _settings(fields: Sequence[Field], section: str, values: Values) -> Iterator[str]:
    for field in fields:
        if field.about is None:
            continue
        yield ""
        yield from _comment(field.about.doc)
        yield from _comment(limits(field))
        name = f"{section}.{field.key}"
        if name in values:
            yield f"{field.key} = {to_toml(field.kind, values[name])}"
        else:
            default = "" if field.default is dataclasses.MISSING else field.default
            yield f"#{field.key} = {to_toml(field.kind, default)}"


def _entries(default: Any) -> list[dict[str, Any]]:
    """The default tables of an array, each with the keys in which any of them is special."""
    entries = list(default) if isinstance(default, tuple) else []
    special = {
        field.name
        for entry in entries
        for field in fields_of(type(entry))
        if getattr(entry, field.name) != field.default
    }
    return [
        {f.key: getattr(entry, f.name) for f in fields_of(type(entry)) if f.name in special}
        for entry in entries
    ]


def _kind(fields: Sequence[Field], key: str) -> Any:
    return next(field.kind for field in fields if field.key == key)


def _comment(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield "#"
        for line in textwrap.wrap(" ".join(paragraph.split()), WIDTH - 2):
            yield f"# {line}"


def doc_of(section: type) -> str:
    """Return a section's documentation as paragraphs."""
    return "\n\n".join(
        " ".join(part.split()) for part in (section.__doc__ or "").strip().split("\n\n")
    )


def limits(field: Field) -> str:
    """Say in one sentence what a setting may be; "" where its type says all."""
    if get_origin(field.kind) is Literal:
        return f"One of {', '.join(json.dumps(choice) for choice in get_args(field.kind))}."
    about = field.about
    if about is None or (about.low is None and about.high is None):
        return ""
    low, high = (
        None if bound is None else format_value(field.kind, bound)
        for bound in (about.low, about.high)
    )
    if low is not None and high is not None:
        return f"From {low} to {high}."
    return f"At least {low}." if low is not None else f"At most {high}."


def to_toml(kind: Any, value: Any) -> str:
    """Write one value as TOML."""
    if kind in (Size, Duration):
        return json.dumps(format_value(kind, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple | list):
        return "[" + ", ".join(to_toml(str, item) for item in value) + "]"
    return str(value)
