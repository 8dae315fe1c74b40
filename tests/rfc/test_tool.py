"""The tool that says which test proves which sentence: its reading, its faults, its page."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.rfc import markers, texts
from tools.rfc.__main__ import main
from tools.rfc.markers import Malformed, Marker
from tools.rfc.register import ROOT, Register, guess, load, load_all
from tools.rfc.report import PAGE, Report

#: Written for this test, in the shape of the real ones: pages, contents, lists, grammar.
TEXT = """



Some Group                                                     A. Author
Request for Comments: 9999                                     June 2030


                   A Protocol
                  for Examples

Table of Contents

   1.  Speaking ........................................ 1
   2.  Listening ....................................... 2

1.  Speaking

   A server MUST speak.  It may stop.  A server that has
   stopped (e.g., at night) SHOULD





Author                      Standards Track                     [Page 1]
\x0c
RFC 9999                     A Protocol                        June 2030


   NOT start again.

   o  Clients MUST listen;
   o  a server MUST NOT sing

1.1.  Volume

2020. This line is no heading, and it is REQUIRED.

2.  Listening

   word  = 1*CHAR   ; a word MUST
                    ; be short
   The key words "MUST" and "SHOULD" are what they are.

Appendix A.  More

   Nothing SHALL follow.
"""


def test_sentences_of_a_text() -> None:
    found = [(one.section, one.number, one.text) for one in texts.sentences("9999", TEXT)]
    assert found == [
        ("1", 1, "A server MUST speak."),
        ("1", 2, "A server that has stopped (e.g., at night) SHOULD NOT start again."),
        ("1", 3, "o Clients MUST listen;"),
        ("1", 4, "o a server MUST NOT sing"),
        ("1.1", 1, "This line is no heading, and it is REQUIRED."),
        ("2", 1, "a word MUST be short"),
        ("A", 1, "Nothing SHALL follow."),
    ]
    assert texts.title(TEXT) == "A Protocol for Examples"


def test_old_texts_write_small() -> None:
    """Before RFC 2119 capitals meant nothing."""
    text = "1. One\n\n   It must be.\n"
    assert [one.text for one in texts.sentences("1939", text)] == ["It must be."]
    assert texts.sentences("2119", text) == []


def test_hash_tells_words_not_lines() -> None:
    one, other = texts.Sentence("1", 1, "It MUST be."), texts.Sentence("2", 7, "It MUST  be.")
    assert one.hash == other.hash != texts.Sentence("1", 1, "It MUST go.").hash


def test_what_speaks_of_clients_alone_binds_no_server() -> None:
    reasons = {one.text[:12]: guess(one) for one in texts.sentences("9999", TEXT)}
    assert [text for text, reason in reasons.items() if reason] == ["o Clients MU"]


def test_a_register_keeps_what_was_said(tmp_path: Path) -> None:
    first = Register("9999", 'A "title"', "all")
    first.renew(texts.sentences("9999", TEXT))
    first.entries["1.1", 1].reason = "no \\ such thing"
    first.save(tmp_path)
    second = load("9999", tmp_path)
    assert second == first
    second.renew(texts.sentences("9999", TEXT.replace("A server MUST speak.  ", "")))
    assert ("1", 4) not in second.entries
    assert second.entries["1", 2].reason == "client"
    assert second.entries["1.1", 1].reason == "no \\ such thing"


SOURCE = """
@rfc("9999", "1", 1, 2)
def test_one(): pass

class TestTwo:
    @rfc("9999", "1.1", 1)
    def test_three(self): pass
"""


def test_markers_are_read_not_run() -> None:
    assert list(markers.in_source(SOURCE, "t.py")) == [
        Marker("9999", "1", (1, 2), "t.py::test_one"),
        Marker("9999", "1.1", (1,), "t.py::TestTwo::test_three"),
    ]
    assert list(markers.in_transcript("# x\nproves 9999 A 1 2\nC: x\n", "t.txt")) == [
        Marker("9999", "A", (1, 2), "t.txt")
    ]


@pytest.mark.parametrize("call", ["rfc(9999, '1', 1)", "rfc('1', '1')", "rfc('1', '1', n)"])
def test_markers_that_cannot_be_read(call: str) -> None:
    with pytest.raises(Malformed):
        list(markers.in_source(call, "t.py"))


def test_transcripts_that_prove_nothing() -> None:
    with pytest.raises(Malformed):
        list(markers.in_transcript("proves 9999 A\n", "t.txt"))


def example(*found: Marker) -> Report:
    register = Register("9999", "A Protocol", "speaking")
    register.renew(texts.sentences("9999", TEXT))
    return Report({"9999": register}, found)


def test_the_report_counts() -> None:
    report = example(Marker("9999", "1", (1, 2), "t::one"), Marker("9999", "1", (2,), "t::two"))
    assert list(report.faults()) == []
    assert list(report.table())[1].split() == ["9999", "7", "6", "2", "4", "1", "client"]
    assert report.page().endswith("| A Protocol | speaking | 6 | 2 | 1 |\n")
    known = report.registers["9999"]
    assert report.unproven(known) == [("1", 4), ("1.1", 1), ("2", 1), ("A", 1)]


@pytest.mark.parametrize(
    ("marker", "fault"),
    [
        (Marker("9999", "1", (9,), "t"), "sentence 9 does not exist"),
        (Marker("9999", "7", (1,), "t"), "sentence 1 does not exist"),
        (Marker("9998", "1", (1,), "t"), "RFC 9998 has no register"),
        (Marker("9999", "1", (3,), "t"), "said not to apply: client"),
    ],
)
def test_markers_that_point_nowhere_are_faults(marker: Marker, fault: str) -> None:
    assert [fault in line for line in example(marker).faults()] == [True]


def test_a_register_that_differs_from_its_text_is_a_fault(tmp_path: Path) -> None:
    report = example()
    (tmp_path / "rfc9999.txt").write_text(TEXT)
    assert list(report.outdated([tmp_path])) == []
    (tmp_path / "rfc9999.txt").write_text(TEXT.replace("speak", "shout"))
    assert list(report.outdated([tmp_path])) == ["the register of RFC 9999 is out of date"]


def test_our_own_markers_point_somewhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 0, capsys.readouterr().err


def test_the_public_table_is_up_to_date() -> None:
    assert (ROOT / PAGE).read_text() == Report(load_all(), markers.find()).page()


def test_every_register_says_what_is_supported() -> None:
    assert [number for number, register in load_all().items() if not register.supports] == []
