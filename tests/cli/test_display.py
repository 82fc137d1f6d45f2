"""What a person reads: every form of answer, and what no record can do to it."""

import re
from typing import Any

import click
import pytest

from memstore.cli.display import lines_of, plain, table

HIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2028]")
NASTY = "x\x1b[2J\u202e\u2028\nTRUSTED  1 of 1"
LONG = "word " * 60


def shown(answer: Any) -> list[str]:
    return [click.unstyle(line) for line in lines_of(answer)]


def hit(**more: object) -> dict[str, object]:
    base = {
        "id": "m-1",
        "kind": "finding",
        "title": NASTY,
        "body": LONG,
        "label": "trusted",
        "author": "a",
        "role": "lead",
    }
    return {**base, "task": NASTY * 9, "age_seconds": 90_000, "flags": ["needs_revisit"], "posture": "verify", **more}


ENTRY = {"ref": "r-1", "reasons": ["expired"], "origin": "tool", "kind": "tool_result", "author": "a", "bytes": 3}
ENTRY |= {"logged_at": "2026-01-01T00:00:00.000000Z", "expires_at": "2026-01-02T00:00:00.000000Z"}
SECTION = {"count": 1, "next_cursor": "c"}

ANSWERS = {
    "search": {
        "trusted": {"hits": [hit(data={"k\x1b": NASTY}, caveats=[NASTY])], **SECTION},
        "attributed": {"hits": [], **SECTION},
        "quarantined": {"entries": [{**ENTRY, "stale": hit(source=NASTY, args={"a": NASTY})}], **SECTION},
        "mark": "trusted",
        "note": NASTY,
    },
    "get": {
        "records": [hit(age_seconds=61, rationale=NASTY, alternatives=[LONG])],
        "quarantined": [{"id": "m-2", **ENTRY}, {"id": "m-3", "cut": {"body": 7}}],
        "missing": ["m-4"],
        "mark": "tainted",
    },
    "open": {
        "entries": [{"id": "m-1", "label": "untrusted", "reasons": ["external"], "body": NASTY, "next_offset": 9}],
        "warning": "This is data.",
        "mark": "tainted",
    },
    "history": {
        "events": [
            {"seq": 1, "at": "2026-01-01T00:00:00Z", "author": "a", "event": "session_started", "task": NASTY},
            {"seq": 2, "at": "2026-01-01T00:00:00Z", "author": "a", "event": "recorded", "erased": True},
            {
                "seq": 3,
                "at": "2026-01-01T00:00:00Z",
                "author": "a",
                "event": "recorded",
                "kind": "finding",
                "title": NASTY,
            },
        ],
        "next_cursor": "c",
        "mark": "trusted",
    },
    "brief": {
        "session": "s-1",
        "expires_at": "soon",
        "brief": {
            "intent": {"id": "m-1", "text": NASTY, "author": "a", "label": "trusted", "flags": ["relayed"]},
            "constraints": [{"id": "m-2", "label": "trusted", "author": "a", "title": NASTY}],
            "decisions": [{"id": "m-3", "label": "attributed", "author": "a"}],
            "questions": [],
            "in_flight": [{"session": "s-2", "principal": "a", "started_at": "now"}],
            "handoffs": [],
            "changed": [{"id": "m-4", "kind": "finding", "author": "a", "label": "trusted"}],
        },
        "mark": "trusted",
        "note": "",
    },
    "other": {"id": NASTY, "because": [{"code": "shown", "id": NASTY}], "list": [NASTY], "within": {"a": {"b": NASTY}}},
}


@pytest.mark.parametrize("name", ANSWERS)
def test_no_stored_text_hides_in_an_answer_or_begins_a_line_of_it(name):
    lines = shown(ANSWERS[name])
    assert not HIDDEN.search("\n".join(lines))
    forged = [line for line in lines if re.match(r"\s*TRUSTED  1 of 1", line)]
    assert len(forged) == (1 if name == "search" else 0)  # the heading itself


@pytest.mark.parametrize("name", ANSWERS)
def test_lines_fit_the_terminal_so_that_it_wraps_nothing_to_its_left_edge(name):
    barred = [line for line in shown(ANSWERS[name]) if "│ " in line]
    assert all(len(line) <= 80 for line in barred)


def test_ids_refs_and_cursors_stand_whole():
    text = "\n".join(shown(ANSWERS["search"]) + shown(ANSWERS["get"]) + shown(ANSWERS["history"]))
    for name in ("m-1", "m-2", "m-3", "m-4", "r-1", "--cursor c"):
        assert name in text


def test_ages_are_said_in_the_greatest_unit():
    ages = [line for answer in ("search", "get") for line in shown(ANSWERS[answer]) if " ago" in line]
    assert "1 d ago" in ages[0]
    assert "1 min ago" in ages[-1]


def test_a_table_is_as_wide_as_its_values():
    rows = [{"a": "x" * 99, "b": True}, {"a": ["1", "2"], "b": False}]
    assert [click.unstyle(line) for line in table(rows, ("a", "b"))] == [
        "a" + " " * 51 + "b",
        "x" * 49 + "…" + "  yes",
        "1, 2",
    ]


def test_plain_values_stand_beside_their_names():
    assert [click.unstyle(line) for line in plain({"a": 1, "long": "b\nc", "d": {}})] == [
        "a     1",
        "long",
        "  │ b",
        "  │ c",
        "d     {}",
    ]
