"""What a person or a program gets to see: tables, progress, JSON, never a client's escape codes."""

from __future__ import annotations

import io
import json

import pytest

from pymaild.admin.output import Output
from pymaild.admin.progress import Progress
from pymaild.admin.server_commands import since
from pymaild.admin.table import printable, table, width


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_columns_are_as_wide_as_needed_and_numbers_stand_right() -> None:
    assert list(table(["NAME", "N"], [["alice", 5], ["東京", 1234]])) == [
        "NAME      N",
        "alice     5",
        "東京   1234",
    ]


def test_a_table_without_rows_has_its_head() -> None:
    assert list(table(["A", "B"], [])) == ["A  B"]


def test_widths_of_wide_and_combining_characters() -> None:
    assert (width("abc"), width("東"), width("e\u0301")) == (3, 2, 1)


def test_escape_codes_of_clients_do_not_reach_the_terminal() -> None:
    assert printable("a\x1b[31mb\r\n\x9b") == r"a\x1b[31mb\r\n\x9b"
    assert "\x1b" not in "".join(table(["A"], [["\x1b[2J"]]))


def test_colours_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert Output(out=Terminal()).colour("red", "x") == "\x1b[31mx\x1b[0m"
    assert Output(out=io.StringIO()).colour("red", "x") == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Output(out=Terminal()).colour("red", "x") == "x"


def test_programs_get_json_and_people_get_lines() -> None:
    for wanted, text in ((True, '{"n": 1}\n'), (False, "one\n")):
        out = io.StringIO()
        Output(json=wanted, out=out).result({"n": 1}, "one")
        assert out.getvalue() == text


def test_a_failure_is_told_to_both() -> None:
    out, err = io.StringIO(), io.StringIO()
    Output(json=True, out=out, err=err).failure("pymailctl", 69, "no\x1b server")
    assert json.loads(out.getvalue()) == {"error": "no\x1b server", "exit": 69}
    assert err.getvalue() == "pymailctl: no\\x1b server\n"


def test_progress_is_drawn_on_a_terminal_only() -> None:
    terminal, plain = Terminal(), io.StringIO()
    for stream in (terminal, plain):
        with Progress("INBOX", 4, stream) as progress:
            progress.at(2, "20 messages")
            progress.at(4, "40 messages")
    assert "[" + "#" * 30 + "] 100% 40 messages" in terminal.getvalue()
    assert terminal.getvalue().endswith("\n")
    assert plain.getvalue() == ""


def test_progress_without_a_known_end() -> None:
    progress = Progress("x", 0, None)
    progress.at(3, "3 messages")
    assert progress.line() == "x 3 messages"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (59, "59s"), (61, "1m01s"), (3700, "1h01m"), (180000, "2d02h")],
)
def test_times_as_people_say_them(seconds: int, text: str) -> None:
    assert since(1000.0, 1000.0 + seconds) == text
