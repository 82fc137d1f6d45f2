"""The queue of records to vectors, and what search makes of them: with a model, without, and with another one."""

import multiprocessing
import os
import signal
import threading
from pathlib import Path

import pytest
from fake_model import FakeModel
from simulator import Fleet, ids

from memstore import log
from memstore.config import embedding_of, open_house, open_store
from memstore.core.labels import Label
from memstore.core.records import Content
from memstore.stores.projection import fill_words


@pytest.fixture
def model(fleet: Fleet) -> FakeModel:
    fleet.model = FakeModel()
    return fleet.model


def pending(fleet: Fleet) -> int:
    with fleet.house.store.read() as unit:
        return unit.counts.rows()["unembedded"]


def vectors(fleet: Fleet) -> dict[str, int]:
    """How many records of each tier have vectors."""
    with fleet.house.store.read() as unit:
        return {str(count.label): count.records for count in unit.vectors.counted()}


def test_a_record_is_found_by_what_it_means_once_it_is_embedded(fleet, model):
    ada = fleet.fresh("ada")
    told = ada.write("finding", "The automobile starts", "Every morning, at once")["id"]
    before = ada.search("car", limit=3)
    assert ids(before, "attributed") == []
    assert before["note"].endswith("Ranked by full text alone: nothing is embedded yet.")
    assert fleet.embed() == 1
    after = ada.search("car", limit=3)
    assert ids(after, "attributed") == [told]
    assert after["attributed"]["count"] == 1
    assert "full text alone" not in after["note"]


def test_words_and_meaning_are_counted_once(fleet, model):
    ada = fleet.fresh("ada")
    for title in ("A car", "An automobile", "A car and a vehicle", "A spoon"):
        ada.write("finding", title, "x")
    fleet.embed()
    answer = ada.search("car", limit=2)
    assert answer["attributed"]["count"] == 3
    assert answer["attributed"]["next_cursor"]
    rest = ada.search("car", limit=2, cursor=answer["attributed"]["next_cursor"])
    assert sorted(hit["title"] for found in (answer, rest) for hit in found["attributed"]["hits"]) == [
        "A car",
        "A car and a vehicle",
        "An automobile",
    ]


def test_higher_tiers_are_embedded_first(fleet, model):
    fleet.fresh("ben").observe("https://example.org/", "An outside page")
    fleet.fresh("ada").write("finding", "A worker's word", "x")
    fleet.fresh("lead").write("decision", "A lead's word", rationale="x", alternatives=["none"])
    fleet.embed()
    assert [text.split("\n")[0] for text in model.texts] == ["A lead's word", "A worker's word", "An outside page"]


def test_another_process_sees_vectors_as_they_come(fleet, model):
    ada, other = fleet.fresh("ada"), fleet.fresh("ben")
    ada.write("finding", "A ship", "x")
    fleet.embed()
    assert other.search("boat")["attributed"]["count"] == 1
    ada.write("finding", "Another ship", "x")
    assert other.search("boat")["attributed"]["count"] == 1
    fleet.embed()
    assert other.search("boat")["attributed"]["count"] == 2


def test_what_is_erased_is_found_by_nothing_and_leaves_no_vector(fleet, model):
    ada = fleet.fresh("ada")
    gone = ada.write("finding", "A secret ship", "x")["id"]
    fleet.embed()
    assert ids(ada.search("boat"), "attributed") == [gone]
    fleet.erase(gone)
    assert ada.search("boat")["attributed"]["count"] == 0
    assert vectors(fleet) == {}
    assert fleet.sql("SELECT count(*) FROM vectors WHERE vector IS NOT NULL") == [(0,)]


def test_what_is_erased_while_it_waits_is_not_embedded(fleet, model):
    gone = fleet.fresh("ada").write("finding", "A secret ship", "x")["id"]
    fleet.erase(gone)
    assert (pending(fleet), fleet.embed(), model.texts) == (0, 0, [])


def test_a_record_moves_to_its_new_tier_with_its_vectors(fleet, model):
    ada = fleet.fresh("ada")
    told = ada.write("finding", "A ship", "x")["id"]
    fleet.embed()
    assert ids(ada.search("boat"), "attributed") == [told]
    with fleet.house.store.write() as unit:
        state = unit.view.record(told)
        content = unit.contents.get(state.seq)
        unit.records.relabel(state, Label.TAINTED, suspect=False, content=Content.parse(content.content))
    assert vectors(fleet) == {"tainted": 1}
    answer = ada.search("boat")
    assert (answer["attributed"]["count"], answer["quarantined"]["count"]) == (0, 1)


def test_an_interrupted_drain_is_gone_on_with(fleet, model):
    ada = fleet.fresh("ada")
    for number in range(40):
        ada.write("finding", f"Ship {number}", "x")
    model.stops_after = 20
    embedding = embedding_of(fleet.house.store, fleet.folder, model)
    done = embedding.drain(until=model.enough.is_set)
    assert 0 < done < 40
    assert pending(fleet) == 40 - done
    model.enough.clear()
    model.stops_after = -1
    assert fleet.embed() == 40 - done
    assert vectors(fleet) == {"attributed": 40}


def test_one_process_at_a_time_drains(fleet, model):
    fleet.fresh("ada").write("finding", "A ship", "x")
    embedding = embedding_of(fleet.house.store, fleet.folder, model)
    with embedding._held(waits=False) as held:
        assert held
        assert fleet.embed() == 0
    assert fleet.embed() == 1


def _embed_until_killed(folder: Path, ready) -> None:
    class Endless(FakeModel):
        def embed(self, texts):
            if len(self.texts) >= 20:
                ready.set()
                signal.pause()
            return super().embed(texts)

    house = open_house(folder)
    embedding_of(house.store, folder, Endless()).drain()


def test_a_killed_process_frees_the_queue_and_leaves_nothing_unembedded(fleet, model):
    ada = fleet.fresh("ada")
    for number in range(40):
        ada.write("finding", f"Ship {number}", "x")
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    process = spawn.Process(target=_embed_until_killed, args=(fleet.folder, ready))
    process.start()
    assert ready.wait(60)
    assert fleet.embed() == 0  # the other one holds the lock
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    assert fleet.embed() == 24  # 16 were stored, a batch at a time
    assert vectors(fleet) == {"attributed": 40}
    assert ada.search("boat", limit=50, detail="ids", max_tokens=9000)["attributed"]["count"] == 40


def test_a_model_that_fails_costs_the_vectors_and_never_the_answer(fleet, model):
    ada = fleet.fresh("ada")
    told = ada.write("finding", "A ship", "x")["id"]
    fleet.embed()
    model.fails = True
    answer = ada.search("ship")
    assert ids(answer, "attributed") == [told]
    assert "Ranked by full text alone: the embedding model cannot be used" in answer["note"]
    ada.write("finding", "Another ship", "x")
    embedding = embedding_of(fleet.house.store, fleet.folder, model)
    assert (embedding.drain(), embedding.without, pending(fleet)) == (0, "bad_model", 1)


def test_vectors_of_another_model_are_neither_asked_nor_added_to(fleet, model):
    ada = fleet.fresh("ada")
    ada.write("finding", "A ship", "x")
    fleet.embed()
    fleet.model = FakeModel("another")
    other = fleet.fresh("ben")
    other.write("finding", "A second ship", "x")
    assert fleet.embed() == 0
    answer = other.search("boat")
    assert answer["attributed"]["count"] == 0
    assert "`memstore rebuild --vectors` makes them anew" in answer["note"]


def test_a_changed_model_embeds_everything_anew_and_can_be_interrupted(fleet, model):
    ada = fleet.fresh("ada")
    for number in range(40):
        ada.write("finding", f"Ship {number}", "x")
    fleet.embed()
    later = FakeModel("later")
    later.stops_after = 20
    seen: list[tuple[int, int]] = []
    embedding = embedding_of(fleet.house.store, fleet.folder, later)
    done = embedding.drain(anew=True, until=later.enough.is_set, progress=lambda *told: seen.append(told))
    assert 0 < done < 40
    assert seen[-1] == (done, 40)
    # Nobody has to ask for it anew: the store's model is this one now, and what is left waits.
    later.enough.clear()
    later.stops_after = -1
    fleet.model = later
    assert fleet.embed() == 40 - done
    assert vectors(fleet) == {"attributed": 40}
    with fleet.house.store.read() as unit:
        state = unit.vectors.state()
    assert (state.model.split("/")[0], state.precision) == ("later", "f16")
    assert fleet.fresh("ben").search("boat", limit=3)["attributed"]["count"] == 40


def test_going_back_to_a_model_keeps_what_it_had_embedded(fleet, model):
    ada = fleet.fresh("ada")
    for number in range(20):
        ada.write("finding", f"Ship {number}", "x")
    fleet.embed()
    later = FakeModel("later")
    later.stops_after = 4
    embedding_of(fleet.house.store, fleet.folder, later).drain(anew=True, until=later.enough.is_set)
    assert embedding_of(fleet.house.store, fleet.folder, model).drain(anew=True) <= 16
    assert vectors(fleet) == {"attributed": 20}


def test_a_rebuild_keeps_vectors_and_has_only_the_rest_wait(fleet, model):
    ada = fleet.fresh("ada")
    ada.write("finding", "A ship", "x")
    fleet.embed()
    ada.write("finding", "Another ship", "x")
    assert log.rebuild(fleet.house.store)["ok"]
    assert (pending(fleet), vectors(fleet)) == (1, {"attributed": 1})
    assert ada.search("boat")["attributed"]["count"] == 1
    fleet.assert_sound()


def test_no_model_is_a_stated_mode(fleet):
    ada = fleet.fresh("ada")
    told = ada.write("finding", "A ship", "x")["id"]
    assert fleet.embed() == 0
    answer = ada.search("ship")
    assert ids(answer, "attributed") == [told]
    assert answer["note"] == "Ranked by full text alone: embedding is turned off here."
    assert pending(fleet) == 1


def test_an_open_store_embeds_behind_its_caller(fleet, model):
    done = FakeModel()
    done.stops_after = 1
    with open_store(fleet.folder, agent="ada", clock=fleet.clock, model=done) as ada:
        ada.write("finding", "A ship", "x")
        assert done.enough.wait(30)
    # Closing waited for the text that was being embedded; what it did not get to waits.
    assert pending(fleet) == 1 - vectors(fleet).get("attributed", 0)


@pytest.mark.parametrize(
    "body",
    ["x" * 60_000, "👩‍🚀🚀" * 2000, "数据库迁移" * 3000, "قاعدة البيانات " * 1500, "", "\n\n \t\n"],
    ids=["one word", "emoji", "CJK", "right to left", "empty", "blank"],
)
def test_any_text_can_be_embedded_and_found(fleet, model, body):
    ada = fleet.fresh("ada")
    told = ada.write("constraint", "A ship", body)["id"]
    assert fleet.embed() == 1
    assert ids(ada.search("boat"), "attributed") == [told]


def test_damage_to_one_record_holds_up_nobody(fleet, model):
    ada = fleet.fresh("ada")
    ada.write("finding", "A ship", "x")
    broken = ada.write("finding", "Another ship", "x")["id"]
    ada.write("finding", "A third ship", "x")
    seq = fleet.sql("SELECT seq FROM records WHERE id = ?", broken)[0][0]
    fleet.sql("UPDATE contents SET content = x'7b22' WHERE seq = ?", seq)
    assert fleet.embed() == 3
    assert pending(fleet) == 0
    assert vectors(fleet) == {"attributed": 2}
    assert ada.search("boat")["attributed"]["count"] == 2


def test_a_damaged_vector_proposes_nothing_and_stops_nothing(fleet, model):
    ada = fleet.fresh("ada")
    told = [ada.write("finding", f"Ship {number}", "x")["id"] for number in range(3)]
    fleet.embed()
    seq = fleet.sql("SELECT seq FROM records WHERE id = ?", told[0])[0][0]
    fleet.sql("UPDATE vectors SET vector = x'0011' WHERE record = ?", seq)
    assert sorted(ids(fleet.fresh("ben").search("boat"), "attributed")) == sorted(told[1:])
    assert told[0] in ids(fleet.fresh("ben").search("ship 0"), "attributed")


def test_words_can_be_made_anew_around_a_damaged_record(fleet):
    ada = fleet.fresh("ada")
    told = ada.write("finding", "A ship", "x")["id"]
    broken = ada.write("finding", "Another ship", "x")["id"]
    fleet.sql("UPDATE contents SET content = x'7b22' WHERE seq = (SELECT seq FROM records WHERE id = ?)", broken)
    fleet.sql("INSERT INTO words_attributed (words_attributed) VALUES ('delete-all')")
    with fleet.house.store.write() as unit:
        fill_words(unit.conn)
    assert ids(ada.search("ship"), "attributed") == [told]


def test_what_stands_higher_waits_for_a_few_texts_at_most(fleet, model):
    ben = fleet.fresh("ben")
    for number in range(4):
        ben.observe(f"https://example.org/{number}", f"Page {number}. " * 4000)
    lead = fleet.fresh("lead")

    def written_meanwhile() -> bool:
        if len(model.texts) == 10:
            lead.write("decision", "A lead's word", rationale="x", alternatives=["none"])
        return False

    embedding_of(fleet.house.store, fleet.folder, model).drain(until=written_meanwhile)
    place = next(at for at, text in enumerate(model.texts) if text.startswith("A lead's word"))
    pages = [at for at, text in enumerate(model.texts) if text.startswith("Page")]
    assert pages[0] < place < len(model.texts) // 3


def test_a_long_record_is_left_in_its_middle_when_time_is_up_and_embedded_whole_later(fleet, model):
    fleet.fresh("ada").write("finding", "Long", "A word of many. " * 4000)
    model.stops_after = 5
    embedding = embedding_of(fleet.house.store, fleet.folder, model)
    assert embedding.drain(until=model.enough.is_set) == 0
    assert (len(model.texts), pending(fleet)) == (5, 1)
    model.enough.clear()
    model.stops_after = -1
    assert fleet.embed() == 1


def test_a_forked_child_keeps_no_lock(fleet, model):
    fleet.fresh("ada").write("finding", "A ship", "x")
    embedding = embedding_of(fleet.house.store, fleet.folder, model)
    read, write = os.pipe()
    with embedding._held(waits=False) as held:
        assert held
        child = os.fork()
        if child == 0:
            os.read(read, 1)
            os._exit(0)
    try:
        assert fleet.embed() == 1
    finally:
        os.write(write, b"x")
        os.waitpid(child, 0)


def test_the_operator_waits_for_another_process_to_let_the_queue_go(fleet, model):
    fleet.fresh("ada").write("finding", "A ship", "x")
    fleet.embed()
    later, done = FakeModel("later"), []
    with embedding_of(fleet.house.store, fleet.folder, model)._held(waits=False) as held:
        assert held
        asked = threading.Thread(
            target=lambda: done.append(embedding_of(fleet.house.store, fleet.folder, later).drain(anew=True))
        )
        asked.start()
    asked.join(60)
    assert done == [1]


def test_a_blank_query_lists(fleet, model):
    ada = fleet.fresh("ada")
    told = ada.write("finding", "A ship", "x")["id"]
    answer = ada.search("  \n ")
    assert (ids(answer, "attributed"), answer["note"]) == ([told], "")


def test_a_question_made_for_another_model_asks_by_words_alone(fleet, model):
    ada = fleet.fresh("ada")
    ada.write("finding", "A ship", "x")
    fleet.embed()
    embedding = embedding_of(fleet.house.store, fleet.folder, model)
    question = embedding.question("boat")
    with fleet.house.store.write() as unit:
        assert question.asked_of(unit.vectors.state()).vector is not None
        unit.vectors.adopt("another", "f16")
        asked = question.asked_of(unit.vectors.state())
    assert (asked.vector, asked.without) == (None, "other_model")


def test_the_nearest_that_match_beyond_the_best_are_counted_once(fleet, model):
    ada = fleet.fresh("ada")
    for number in range(130):
        ada.write("finding", f"Ship {number}", "x")
    ada.write("finding", "Boat", "boat")
    fleet.embed()
    assert ada.search("ship", limit=1)["attributed"]["count"] == 131


def test_a_copy_closes_up_once_most_of_it_has_gone(fleet, model):
    ada = fleet.fresh("ada")
    told = [ada.write("finding", f"Ship {number}", "x")["id"] for number in range(12)]
    fleet.embed()
    assert ada.search("boat")["attributed"]["count"] == 12
    for record in told[:10]:
        fleet.erase(record)
    assert sorted(ids(ada.search("boat"), "attributed")) == sorted(told[10:])


def test_a_store_of_another_scope_moves_nothing(fleet, model):
    lead = fleet.agent("chief", role="lead", scopes=("main", "other"))
    flooder = fleet.agent("flooder", open_world=True, scopes=("other",))
    for number in range(200):
        lead.write("finding", f"nightly run {number:04} passed", "x")
    fleet.embed()
    before = ids(lead.search("nightly run passed"), "trusted")
    flooder.write("finding", "nightly run passed", "x")
    fleet.embed()
    assert ids(lead.search("nightly run passed"), "trusted") == before
