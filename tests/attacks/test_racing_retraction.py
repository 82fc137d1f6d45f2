"""Writing on a record while it is being withdrawn: whatever comes first, nothing on it comes out good (T5)."""

import threading

import pytest
from simulator import Fleet

from memstore import open_store
from memstore.errors import MemStoreError

WRITERS, EACH = 3, 12


@pytest.mark.parametrize("how", ["declared", "shown"])
def test_what_is_written_beside_a_retraction_never_stands(fleet: Fleet, how: str):
    fleet.agent("lead", role="lead")
    fleet.agent("worker", under="lead")
    bad = fleet.fresh("worker").write("finding", "Poison", "x")["id"]
    started, errors = threading.Barrier(WRITERS + 1), []

    def write(number: int) -> None:
        with open_store(fleet.folder, agent="worker", clock=fleet.clock) as member:
            if how == "shown":
                member.get([bad])
            started.wait()
            for step in range(EACH):
                try:
                    sources = [bad] if how == "declared" else []
                    member.write("finding", f"{number} {step}", "x", derived_from=sources)
                except MemStoreError as error:
                    errors.append(error)

    def withdraw() -> None:
        with open_store(fleet.folder, agent="lead", clock=fleet.clock) as lead:
            started.wait()
            lead.retract(bad, "poisoned")

    threads = [threading.Thread(target=write, args=(n,)) for n in range(WRITERS)] + [threading.Thread(target=withdraw)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    found = fleet.sql("SELECT label, suspect, count(*) FROM records WHERE retracted = '' GROUP BY label, suspect")
    assert found == [(1, 1, WRITERS * EACH)]
    fleet.assert_sound()


def test_a_body_is_not_served_that_fell_while_the_answer_was_made(fleet: Fleet, monkeypatch: pytest.MonkeyPatch):
    """Looked up as good, withdrawn before it was on record as shown: the answer is made anew."""
    from memstore import serving

    fleet.agent("lead", role="lead")
    said = fleet.agent("worker", under="lead").write("finding", "Poison", "x")["id"]
    reader, lead = fleet.agent("reader"), fleet.fresh("lead")
    disclose = serving.disclose
    withdrawn: list[object] = []

    def slow(*arguments: object, **more: object) -> object:
        if not withdrawn:
            withdrawn.append(lead.retract(said, "wrong"))
        return disclose(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(serving, "disclose", slow)
    answer = reader.search("poison")
    assert answer["attributed"]["hits"] == []
    assert [entry["reasons"] for entry in answer["quarantined"]["entries"]] == [["retracted"]]
