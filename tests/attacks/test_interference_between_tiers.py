"""T10 as a property: what stands below a tier, written by others and named by nobody, moves no byte at or above it.

One history is run twice on copies of one store, once with planted writes between its acts; the reader's sections must
be the same but for positions, times, ages and refs. Salts and launches are fixed, so that equal acts have equal ids.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from fake_model import FakeModel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulator import Fleet

from memstore.service import MemStore

WORDS = ("alpha", "beta", "gamma", "delta")
# Of several words, so that what is common below could turn the order above.
ASKED = ("alpha beta gamma delta", "alpha beta", "delta beta", "gamma")
# What each tier is written by; `planted` stands below `attributed`.
AUTHORS = {"trusted": "lead", "attributed": "worker", "planted": "flooder"}
MOVES = {"seq", "logged_at", "age_seconds", "ref"}

texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)
plants = st.lists(
    st.tuples(st.sampled_from(["page", "note", "copy", "replace", "answer", "dispute", "retract"]), texts), max_size=6
)
acts = st.lists(
    st.tuples(st.sampled_from(["lead", "worker"]), st.sampled_from(["new", "new", "replace", "answer"]), texts, plants),
    min_size=2,
    max_size=6,
)
questions = st.fixed_dictionaries(
    {
        "query": st.sampled_from(["", *ASKED]),
        "limit": st.integers(1, 4),
        "min_trust": st.sampled_from(["auto", "trusted", "attributed"]),
        "detail": st.sampled_from(["ids", "concise", "full"]),
        "max_tokens": st.sampled_from([300, 700, 5000]),
        "include_superseded": st.booleans(),
    }
)


@pytest.fixture(scope="module")
def prepared() -> Iterator[Path]:
    """A store with its agents and a question or two, to be copied."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "prepared"
        with Fleet(home) as fleet:
            fleet.agent("lead", role="lead").write("question", "Which alpha?")
            fleet.agent("worker").write("question", "Which beta?")
            fleet.agent("flooder", open_world=True)
            fleet.agent("reader", role="lead")
            fleet.house.store.empty_write_ahead_log()
        yield home


@pytest.mark.parametrize("embedded", [False, True], ids=["by words", "by words and meaning"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=acts, question=questions)
def test_what_is_planted_below_moves_nothing_above(
    prepared: Path, embedded: bool, history: Sequence[Any], question: dict[str, Any]
):
    with tempfile.TemporaryDirectory() as folder, mock.patch("memstore.signing.secrets") as salts:
        salts.token_bytes = bytes
        bare = [(*act[:3], []) for act in history]
        plain = run(prepared, Path(folder) / "plain", bare, question, embedded=embedded)
        flooded = run(prepared, Path(folder) / "flooded", history, question, embedded=embedded)
    assert flooded == plain


def run(prepared: Path, home: Path, history: Sequence[Any], question: dict[str, Any], *, embedded: bool) -> list[Any]:
    """Carry a history out on a copy of the store; the reader's upper sections, page by page.

    Where it is embedded, that happens after every act, and the reader has asked before each: its copies are old ones.
    """
    shutil.copytree(prepared, home)
    with Fleet(home, model=FakeModel() if embedded else "none") as fleet:
        members = {name: fleet.launched(name, f"{name}-1") for name in AUTHORS.values()}
        reader = fleet.launched("reader", "reader-1")
        last = {"lead": "", "worker": ""}
        asked = {hit["title"]: hit["id"] for hit in open_questions(members["lead"])}
        for step, (name, how, text, planted) in enumerate(history):
            member, body = members[name], f"{text} {step}"
            more = {"supersedes": last[name]} if how == "replace" and last[name] else {}
            more |= {"answers": asked["Which alpha?"]} if how == "answer" else {}
            last[name] = member.write("finding", text, body, **more)["id"]
            for number, plant in enumerate(planted):
                _plant(members["flooder"], plant, f"{step}.{number}", (text, body), last[name], asked)
            if embedded:
                fleet.embed()
                reader.search(text, detail="ids", quarantined="none")
        return list(pages(reader, question))


def open_questions(member: MemStore) -> list[dict[str, Any]]:
    answer = member.search(kinds=["question"], min_trust="attributed")
    return [*answer["trusted"]["hits"], *answer["attributed"]["hits"]]


def _plant(
    flooder: MemStore, plant: tuple[str, str], nth: str, copied: tuple[str, str], target: str, asked: dict[str, str]
) -> None:
    how, text = plant
    match how:
        case "page":
            flooder.observe(f"https://evil.example/{nth}", text, title=text, key=nth)
        case "note":
            flooder.write("finding", text, f"{text} {nth}", key=f"k{nth}", tags=["alpha"])
        case "copy":
            flooder.write("finding", copied[0], copied[1])
        case "replace":
            flooder.write("finding", text, f"replaced {nth}", supersedes=target)
        case "dispute":
            flooder.get([target])
            flooder.review([target], "dispute")
        case "retract":
            flooder.retract(target, "poisoned")
        case "answer":
            flooder.write("finding", text, f"answered {nth}", answers=asked["Which beta?"])


def pages(reader: MemStore, question: dict[str, Any]) -> Iterator[Any]:
    """The trusted and attributed sections of every page, without what may differ."""
    for section in ("trusted", "attributed"):
        cursor = ""
        while True:
            answer = reader.search(**question, cursor=cursor)
            yield {name: stripped(answer[name]) for name in ("trusted", "attributed")}
            cursor = answer[section]["next_cursor"]
            if not cursor:
                break


def stripped(value: Any) -> Any:
    match value:
        case dict():
            return {key: stripped(item) for key, item in value.items() if key not in MOVES}
        case list():
            return [stripped(item) for item in value]
        case _:
            return value
