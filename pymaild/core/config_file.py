"""Reads a TOML file into the declared settings, and finds all that is wrong with it at once.

The root is a dataclass whose fields are sections: a field of a section's type is a table
``[name]``, a field of type ``tuple[Section, ...]`` an array of tables ``[[name]]``. Sections
nest the same way, and a table's name is the last part of its ``SECTION``. Fields of a root
that are neither are none of the file's business.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pymaild.core.errors import ConfigError
from pymaild.core.settings import About, Duration, FilePath, Size
from pymaild.core.toml_lines import Path as Place
from pymaild.core.toml_lines import key_lines
from pymaild.core.units import format_duration, format_size, parse_duration, parse_size

LARGEST_FILE = 1 << 20


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong; ``line`` is 0 where there is none (a file that is not there)."""

    line: int
    key: str
    text: str

    def sentence(self, path: str) -> str:
        """Write the problem as ``file:line: key: what``."""
        parts = (f"{path}:{self.line}" if self.line else path, self.key, self.text)
        return ": ".join(part for part in parts if part)


class BadConfig(ConfigError):
    """All problems of one file; the message has a line for each."""

    def __init__(self, path: str, problems: list[Problem]) -> None:
        self.path = path
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(problem.sentence(path) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Field:
    """One declared field: a setting with its documentation, or a nested section."""

    name: str  # of the dataclass
    key: str  # in the file
    kind: Any  # the setting's type, or None
    section: type | None
    array: bool
    about: About | None
    default: Any  # dataclasses.MISSING where the setting is required


def fields_of(cls: type) -> list[Field]:
    """Return what the file may say in a section of type ``cls``, in the declared order."""
    hints = get_type_hints(cls)
    declared = (_field(f, hints[f.name]) for f in dataclasses.fields(cls))
    return [f for f in declared if f.section or f.about]


def read_config(path: str, root: type) -> dict[str, Any]:
    """Read the file into arguments for ``root``. Raises BadConfig with every problem."""
    return parse_config(_read(path), path, root)


def parse_config(text: str, path: str, root: type) -> dict[str, Any]:
    """Parse ``text`` as the content of ``path``; otherwise like :func:`read_config`."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadConfig(path, [_syntax(str(error), text)]) from None
    reader = _Reader(path, key_lines(text), root)
    values = reader.table(root, data, ())
    if reader.problems:
        raise BadConfig(path, reader.problems)
    return values


def nearest(name: str, known: list[str]) -> str:
    """Return the known name that ``name`` was probably meant to be, or ""."""
    return next(iter(difflib.get_close_matches(name, known, 1, 0.6)), "")


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise BadConfig(path, [Problem(0, "", error.strerror or str(error))]) from None
    if len(data) > LARGEST_FILE:
        raise BadConfig(path, [Problem(0, "", "larger than any configuration (1MiB)")])
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadConfig(path, [Problem(line, "", "not UTF-8")]) from None


def _syntax(message: str, text: str) -> Problem:
    found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    if found is None:
        return Problem(1, "", message)
    line = int(found[1]) if found[1] else text.count("\n") + 1
    return Problem(line, "", message[: found.start()])


def _field(declared: dataclasses.Field[Any], hint: Any) -> Field:
    inner = get_args(hint)[0] if get_origin(hint) is tuple else hint
    section = inner if isinstance(inner, type) and hasattr(inner, "SECTION") else None
    key = section.SECTION.rpartition(".")[2] if section else declared.name
    default = declared.default
    if declared.default_factory is not dataclasses.MISSING:
        default = declared.default_factory()
    return Field(
        name=declared.name,
        key=key,
        kind=None if section else hint,
        section=section,
        array=section is not None and inner is not hint,
        about=declared.metadata.get("about"),
        default=default,
    )


class _Reader:
    """Walks data and declarations together and collects problems."""

    def __init__(self, path: str, lines: dict[Place, int], root: type) -> None:
        self.problems: list[Problem] = []
        self._folder = Path(path).absolute().parent
        self._lines = lines
        self._owners = dict(_owners(root, ()))

    def table(self, cls: type, data: Mapping[str, Any], place: Place) -> dict[str, Any]:
        """Return the arguments for ``cls``; what is wrong is left out."""
        declared = {field.key: field for field in fields_of(cls)}
        for key in data.keys() - declared.keys():
            self._unknown(key, place, list(declared))
        values: dict[str, Any] = {}
        for key, field in declared.items():
            try:
                self._take(field, data, (*place, key), values)
            except ValueError as error:
                self._problem((*place, key), str(error))
        return values

    def _take(
        self, field: Field, data: Mapping[str, Any], place: Place, values: dict[str, Any]
    ) -> None:
        if field.key not in data:
            values[field.name] = self._absent(field, place)
        elif field.section is None:
            values[field.name] = self._setting(field, data[field.key])
        elif field.array:
            values[field.name] = tuple(self._array(field.section, data[field.key], place))
        else:
            values[field.name] = self._section(field.section, data[field.key], place)

    def _absent(self, field: Field, place: Place) -> Any:
        if field.section and not field.array:
            return self._section(field.section, {}, place)
        if field.default is dataclasses.MISSING:
            raise ValueError("is required" if field.section is None else "at least one is required")
        return self._resolved(field.kind, field.default)

    def _section(self, cls: type, data: Any, place: Place) -> Any:
        """Return an instance, or None when there are problems in it (told already)."""
        if not isinstance(data, dict):
            raise ValueError(f"is a section: write [{_dotted(place)}]")
        before = len(self.problems)
        values = self.table(cls, data, place)
        if len(self.problems) > before:
            return None
        try:
            return cls(**values)
        except (ConfigError, ValueError) as error:
            self._refused(cls, str(error), place)
            return None

    def _refused(self, cls: type, text: str, place: Place) -> None:
        """Note what a section says of itself; it may begin with the name of a key."""
        text = text.removeprefix(f"{_dotted(place)}.")
        key, _, rest = text.partition(": ")
        first = text.partition(" ")[0]
        keys = {field.key for field in fields_of(cls)}
        if key in keys:
            self._problem((*place, key), rest)
        else:
            self._problem((*place, first) if first in keys else place, text)

    def _array(self, cls: type, data: Any, place: Place) -> Iterator[Any]:
        if not isinstance(data, list):
            raise ValueError(f"there can be several: write [[{_dotted(place)}]]")
        for number, item in enumerate(data):
            try:
                yield self._section(cls, item, (*place, number))
            except ValueError as error:
                self._problem((*place, number), str(error))

    def _setting(self, field: Field, value: Any) -> Any:
        result = convert(field.kind, value)
        _check_bounds(field, result)
        return self._resolved(field.kind, result)

    def _resolved(self, kind: Any, value: Any) -> Any:
        if kind is FilePath and value and isinstance(value, str):
            return FilePath(str(self._folder / value))
        return value

    def _unknown(self, key: str, place: Place, known: list[str]) -> None:
        near = nearest(key, known)
        owner = self._owners.get(key, "")
        if near:
            hint = f"; did you mean {near}?"
        elif owner:
            hint = f"; it belongs into [{owner}]"
        else:
            hint = f"; known are {', '.join(known)}"
        what = "unknown key" if place else "unknown section"
        self._problem((*place, key), what + hint)

    def _problem(self, place: Place, text: str) -> None:
        self.problems.append(Problem(self._line(place), _dotted(place), text))

    def _line(self, place: Place) -> int:
        for end in range(len(place), 0, -1):
            if place[:end] in self._lines:
                return self._lines[place[:end]]
        return 1


def _owners(cls: type, place: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield each setting with the section it belongs to."""
    for field in fields_of(cls):
        if field.section:
            yield from _owners(field.section, (*place, field.key))
        else:
            yield field.key, ".".join(place)


def _dotted(place: Place) -> str:
    return ".".join(part for part in place if isinstance(part, str))


def convert(kind: Any, value: Any) -> Any:
    """Turn a TOML value into a setting's type. Raises ValueError with what is expected."""
    if get_origin(kind) is Literal:
        return _choice(get_args(kind), value)
    if get_origin(kind) is tuple:
        return _strings(value)
    converter = _CONVERTERS.get(kind)
    if converter is None:
        raise TypeError(f"settings cannot be of type {kind!r}")
    return converter(value)


def _choice(choices: tuple[str, ...], value: Any) -> str:
    if isinstance(value, str) and value in choices:
        return value
    near = nearest(value, list(choices)) if isinstance(value, str) else ""
    hint = f"; did you mean {near!r}?" if near else ""
    raise ValueError(f"must be one of {', '.join(map(repr, choices))}{hint}")


def _strings(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError('must be a list of strings: ["one", "two"]')
    return tuple(value)


def _exactly(kind: type, what: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if type(value) is not kind:  # True is an int to isinstance
            raise ValueError(f"must be {what}, not {value!r}")
        return value

    return check


def _quantity(parse: Callable[[str], Any], numbers: tuple[type, ...]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if type(value) not in numbers:
            return parse(str(value))
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"must not be {value}")
        return value

    return check


_CONVERTERS: dict[Any, Callable[[Any], Any]] = {
    int: _exactly(int, "a whole number"),
    bool: _exactly(bool, "true or false"),
    str: _exactly(str, "a string"),
    FilePath: _exactly(str, "a path"),
    Size: _quantity(parse_size, (int,)),
    Duration: _quantity(parse_duration, (int, float)),
}
_FORMATS: dict[Any, Callable[[Any], str]] = {Size: format_size, Duration: format_duration}


def format_value(kind: Any, value: Any) -> str:
    """Write a value as people do, without TOML's quotes."""
    return _FORMATS.get(kind, str)(value)


def _check_bounds(field: Field, value: Any) -> None:
    about = field.about
    if about is None or not isinstance(value, int | float):
        return
    for bound, wrong, word in (
        (about.low, about.low is not None and value < about.low, "least"),
        (about.high, about.high is not None and value > about.high, "most"),
    ):
        if wrong:
            raise ValueError(f"must be at {word} {format_value(field.kind, bound)}")
