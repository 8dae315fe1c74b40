"""A figure is only given where both servers did the same, and an aim is only reached by it."""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

pytest.importorskip("bench._wire", reason="the extensions are not built")
from bench import plot, profiles
from bench.growth import Point
from bench.mail import Mail, sized, users
from bench.measure import Disagreement, Figures, measure, processor, settle
from bench.page import Results, page, ratios, reached
from bench.ratio import choose
from bench.rows import LEVEL, MORE, ROWS, Row
from bench.team import at_once
from bench.work import Place, Work
from tests.support import maildir
from tests.support.place import PYTHON, ROOT, environment, place

ALL = argparse.Namespace(only="", more=False, quick=False)


class Here:
    """A process that stands for a server."""

    def __init__(self, base: Path, pid: int) -> None:
        self.base = base
        self.process = argparse.Namespace(pid=pid)

    def maildir(self, user: str) -> Path:
        return self.base / "mail" / user / "Maildir"


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Place]]:
    """Two servers that rest; each has mail."""
    tmp_path = tmp_path_factory.mktemp("bench")
    resting = subprocess.Popen(["sleep", "600"])
    found = {}
    for name in ("pymaild", "dovecot"):
        server: Any = Here(tmp_path / name, resting.pid)
        (server.base / "mail").mkdir(parents=True)
        found[name] = Place(server, Mail(server, 7, (20,), 3), ("127.0.0.1", 1))
    yield found
    resting.kill()
    resting.wait()


def figures(*rates: float, waits: float = 0.0) -> Figures:
    times = [waits] * 200 if waits else []
    return Figures(list(rates), [1.0] * len(rates), times, [1.0], [1.0])


def test_servers_that_do_not_find_the_same_have_no_figure(places: dict[str, Place]) -> None:
    def prepare(place: Place, stack: ExitStack) -> Work:
        return Work(lambda: (1, place.server.base.name))

    with pytest.raises(Disagreement, match=r"pymaild.*dovecot"):
        measure(Row("odd", 1, prepare), places, 1, 0.0)


def test_laps_fill_a_round_and_all_of_their_units_count(places: dict[str, Place]) -> None:
    laps = dict.fromkeys(places, 0)

    def prepare(place: Place, stack: ExitStack) -> Work:
        def lap() -> tuple[float, Any]:
            laps[place.server.base.name] += 1
            return 5, None

        return Work(lap)

    found = measure(Row("even", 1, prepare), places, 3, 0.01)
    for name, one in found.items():
        assert len(one.rates) == 3
        assert laps[name] > 3  # a lap takes less than the time of a round
        assert one.rate * one.lap == pytest.approx(5, rel=0.9)


def test_what_is_made_fresh_is_made_before_each_lap(places: dict[str, Place]) -> None:
    done: list[str] = []

    def prepare(place: Place, stack: ExitStack) -> Work:
        return Work(lambda: (done.append("lap") or 1, None), lambda: done.append("fresh"))

    measure(Row("cold", 1, prepare, rounds=2), places, 5, 0.0)
    assert done == ["fresh", "lap"] * 2 * len(places)


def test_waits_of_warming_up_do_not_count(places: dict[str, Place]) -> None:
    def prepare(place: Place, stack: ExitStack) -> Work:
        waits: list[float] = []

        def lap() -> tuple[float, Any]:
            waits.append(0.001)
            return 1, None

        return Work(lap, waits=waits)

    found = measure(Row("late", 1, prepare), places, 2, 0.0)
    assert [len(one.waits) for one in found.values()] == [2, 2]


def test_work_at_once_is_the_sum_and_its_errors_are_told(places: dict[str, Place]) -> None:
    def prepare(place: Place, stack: ExitStack) -> Work:
        def lap() -> tuple[float, Any]:
            assert place.user != "team2" or place.server.base.name == "pymaild", "no"
            return 3, place.user

        return Work(lap)

    with ExitStack() as stack:
        units, seen = at_once(prepare, 4)(places["pymaild"], stack).lap()
        assert (units, seen) == (12, ["team0", "team1", "team2", "team3"])
        with pytest.raises(RuntimeError):
            at_once(prepare, 4)(places["dovecot"], stack).lap()


def test_processor_time_is_that_of_all_processes(places: dict[str, Place]) -> None:
    server = argparse.Namespace(process=argparse.Namespace(pid=os.getpid()))

    def spin() -> tuple[float, Any]:
        before = time.process_time()
        while time.process_time() < before + 0.05:
            pass
        return 1, None

    with ExitStack() as stack:
        busy = at_once(lambda *_: Work(spin), 1)(places["pymaild"], stack)
        before = processor(server)
        busy.lap()
        assert processor(server) >= before + 0.05


def test_each_server_has_the_same_mail_and_none_has_seen_what_is_new(
    places: dict[str, Place],
) -> None:
    names = []
    for one in places.values():
        one.mail.anew("alice", "New", 20)
        new = maildir.files(one.server.maildir("alice") / ".New")
        names.append([path.name for path in new])
        assert len(new) == 20
        assert len(maildir.files(one.server.maildir(sized(20)))) == 20
        assert len(maildir.files(one.server.maildir("alice"))) == 7
    assert names[0] == names[1]


def test_users_of_sizes() -> None:
    assert {sized(5), "alice", "team7", "load31"} <= set(users((5,)))


ROW = Row("row", 2, lambda *_: Work(lambda: (1, None)))


@pytest.mark.parametrize(
    ("mine", "other", "good"),
    [
        (figures(20.0), figures(10.0), True),
        (figures(19.0), figures(10.0), False),
        (figures(1.0, 20.0, 21.0), figures(10.0), True),  # the median
        (figures(20.0, waits=0.1), figures(10.0, waits=0.2), True),
        (figures(20.0, waits=0.2), figures(10.0, waits=0.2), False),  # p99 has the same aim
    ],
)
def test_an_aim(mine: Figures, other: Figures, good: bool) -> None:
    assert reached(ROW, {"pymaild": mine, "dovecot": other}) is good


@pytest.mark.parametrize(
    ("failed", "rate", "code"), [([], 30.0, 0), ([], 3.0, 1), (["x"], 30.0, 2)]
)
def test_the_exit_code(failed: list[str], rate: float, code: int) -> None:
    found = {"pymaild": figures(rate), "dovecot": figures(10.0)}
    assert Results(rows=[(ROW, found)], failed=failed).code == code


def test_alone_nothing_is_missed() -> None:
    assert reached(ROW, {"pymaild": figures(1.0)})


def test_names_are_one_for_each_row() -> None:
    names = [row.name for row in (*ROWS, *MORE, *LEVEL)]
    assert len(set(names)) == len(names)


def test_rows_are_chosen_by_words() -> None:
    assert choose(ALL) == list(ROWS)
    some = argparse.Namespace(only="sort date,thread refs", more=False, quick=False)
    assert [row.name for row in choose(some)] == ["sort date", "thread refs"]
    quick = choose(argparse.Namespace(only="", more=False, quick=True))
    assert quick
    assert not any(row.slow or row.rounds < 5 for row in quick)


def test_the_page_stands_alone() -> None:
    found = {"pymaild": figures(30.0, waits=0.1), "dovecot": figures(10.0, waits=0.3)}
    points = [
        Point("row", name, size, size / 100, 9.0, 3.0) for name in found for size in (1000, 10_000)
    ]
    results = Results(
        {"system": "a <b>"}, {"pymaild": "x = <1>"}, [(ROW, found)], ["no & figure"], {}, points
    )
    text = page(results)
    assert ratios(found) == (3.0, pytest.approx(3.0))
    assert "a &lt;b&gt;" in text
    assert "no &amp; figure" in text
    assert text.count("<svg") == 3
    for address in ("src=", "<script", "@import"):
        assert address not in text


def test_growth_in_proportion_is_a_straight_line() -> None:
    series = {"one": [(10.0**n, 10.0**n / 50) for n in (3, 4, 5)]}
    picture = ElementTree.fromstring(plot.powers("title", "messages", "ms", series))
    (line,) = (one for one in picture.iter() if one.tag.endswith("polyline"))
    (x1, y1), (x2, y2), (x3, y3) = (
        map(float, spot.split(",")) for spot in line.attrib["points"].split()
    )
    assert (x2 - x1, y2 - y1) == pytest.approx((x3 - x2, y3 - y2), abs=0.3)


REPORT = """
    40.00%  [kernel.kallsyms]            [k] do_syscall_64
    30.00%  _rows.cpython-311-x86.so     [.] __pyx_f_7pymaild_4imap_5_rows_7_Writer_flags
    10.50%  _rows.cpython-311-x86.so     [.] __pyx_pw_7pymaild_4imap_5_rows_1write
     5.00%  python3.11                   [.] _PyEval_EvalFrameDefault
"""


def test_a_profile_names_programs_and_functions() -> None:
    found = profiles.summary(REPORT)
    assert found.startswith("; _rows 40 % (_Writer.flags, write); kernel 40 % (do_syscall_64)")
    assert found.endswith("python3 5 % (_PyEval_EvalFrameDefault)")


def test_a_row_is_measured_and_its_figures_are_kept(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    options = ["--only", "status,noop", "--rounds", "1", "--span", "0.01", "--messages", "20"]
    options += ["--results", str(tmp_path)]
    with place("bench") as folder:
        command = [PYTHON, "-m", "bench.ratio", *options, "--against", ROOT, "--json", figures]
        done = subprocess.run(
            [str(word) for word in command],
            cwd=ROOT,
            env=environment(folder, PYTHONPATH=str(ROOT)),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    rows = json.loads(figures.read_text())["rows"]
    assert set(rows) == {"status", "noop", "noop pipelined"}
    missed = any(
        row["pymaild"]["rate"] < row["aim"] * row["earlier"]["rate"] for row in rows.values()
    )
    assert done.returncode == int(missed), done.stdout + done.stderr
    assert done.stdout.count("\n") == 4


BURN = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ntime.sleep(600)"


def test_what_a_server_does_behind_its_answers_is_waited_for() -> None:
    with subprocess.Popen([PYTHON, "-c", BURN], stdout=subprocess.PIPE) as burning:
        settle(argparse.Namespace(process=argparse.Namespace(pid=burning.pid)), 0.2)
        readable, _, _ = select.select([burning.stdout], [], [], 0)
        burning.kill()
    assert readable
