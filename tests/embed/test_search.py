"""Search with the real model, through the facade: what is meant is found, whatever is asked."""

from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path

import pytest
from simulator import Fleet, ids

from memstore.config import embedding_of, open_store
from memstore.service import MemStore


@pytest.fixture
def fleet(model: Path, tmp_path: Path):
    with Fleet(tmp_path / "store", model="") as made:
        made.agent("lead", role="lead")
        made.agent("ada", under="lead")
        yield made


@pytest.fixture
def ada(fleet: Fleet) -> MemStore:
    return fleet.fresh("ada")


def test_a_question_in_other_words_finds_the_record(fleet: Fleet, ada: MemStore):
    wanted = ada.write("finding", "The cache evicts too early", "Entries are dropped before their time to live.")["id"]
    ada.write("finding", "Invoices are sent on Mondays", "The billing job runs once a week.")
    ada.write("finding", "The logo is blue", "Designers agreed on it.")
    fleet.embed()
    answer = ada.search("why does memoized data vanish prematurely")
    assert ids(answer, "attributed")[0] == wanted
    assert "full text alone" not in answer["note"]


def test_a_question_in_another_language_is_answered(fleet: Fleet, ada: MemStore):
    wanted = ada.write("finding", "Database migration", "PostgreSQL is migrated at night.")["id"]
    ada.write("finding", "The logo is blue", "Designers agreed on it.")
    fleet.embed()
    assert ids(ada.search("migration de la base PostgreSQL"), "attributed")[0] == wanted
    assert ada.search("データベースの移行")["attributed"]["count"] <= 2


def test_an_empty_store_and_one_record_are_no_special_cases(fleet: Fleet, ada: MemStore):
    assert ada.search("anything at all")["attributed"] == {"hits": [], "count": 0, "next_cursor": ""}
    told = ada.write("finding", "The only one", "There is nothing else here.")["id"]
    fleet.embed()
    assert ids(ada.search("the only one"), "attributed") == [told]


@pytest.mark.parametrize(
    "text",
    ["x" * 60_000, "👩‍🚀🚀 " * 3000, "数据库迁移" * 4000, "قاعدة البيانات " * 2000, "\u202eevil\u202c", "\ud83d half"],
    ids=["one word", "emoji", "CJK", "right to left", "bidi", "half a surrogate pair"],
)
def test_whatever_is_asked_or_written_is_embedded(fleet: Fleet, ada: MemStore, text: str):
    whole = text.encode(errors="replace").decode()[:60_000]
    told = ada.write("constraint", "A strange text", whole)["id"]
    assert fleet.embed() == 1
    assert ids(ada.search("a strange text"), "attributed") == [told]
    assert ada.search(whole[:4000])["attributed"]["count"] in (0, 1)


def test_a_long_body_is_found_by_a_passage_deep_in_it_which_is_shown(fleet: Fleet, ada: MemStore):
    filler = "The quarterly report lists revenue by region and by product line. " * 60
    deep = (
        "Penguins huddle in large groups so that they keep warm through the polar night. Those at the edge move inward "
        "after a while, and those from the middle take their turn in the wind. No bird stands outside for long. "
        "Feathers hold a layer of air, and a layer of fat lies under the skin; the feet are kept just above freezing."
    )
    told = ada.write("finding", "Notes of a long day", filler + "\n\n" + deep + "\n\n" + filler)["id"]
    for number in range(5):
        ada.write("finding", f"Report {number}", filler)
    fleet.embed()
    hit = ada.search("how do flightless birds survive the cold")["attributed"]["hits"][0]
    assert hit["id"] == told
    assert "Penguins huddle" in hit["body"]


def _modules_after(folder: Path, answers) -> None:
    with open_store(folder, agent="ada", model="") as ada:
        before = [name for name in ("numpy", "onnxruntime", "torch", "chromadb") if name in sys.modules]
        ada.search("a question")
        after = [name for name in ("torch", "sentence_transformers", "chromadb") if name in sys.modules]
    answers.put((before, after))


def test_a_process_loads_a_model_at_its_first_question_and_never_torch_or_chroma(fleet: Fleet, ada: MemStore):
    ada.write("finding", "A finding", "x")
    fleet.embed()
    spawn = multiprocessing.get_context("spawn")
    answers = spawn.Queue()
    process = spawn.Process(target=_modules_after, args=(fleet.folder, answers))
    process.start()
    assert answers.get(timeout=120) == ([], [])
    process.join(60)


def test_two_models_are_told_apart_by_name(fleet: Fleet):
    embedding = embedding_of(fleet.house.store, fleet.folder, "")
    assert embedding.model.startswith("all-MiniLM-L6-v2/onnx-f32/")
    assert embedding.refusal() is None
