"""The checker `typed` endorses what a contract closes, and by no other way (T6)."""

from typing import Any

import pytest
from simulator import Fleet, refs

from memstore.core.closed import conforms, refuse_open
from memstore.errors import InvalidInput, MemStoreError

CONTRACT: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}


def test_a_plain_review_by_typed_is_refused(fleet: Fleet):
    typed, worker = fleet.agent("typed", role="checker"), fleet.agent("worker")
    worker.observe("https://evil.example/", "a page")
    record = worker.write("finding", "Note", "words of the outside")["id"]
    typed.open(refs(typed.search("note")))
    with pytest.raises(MemStoreError) as refused:
        typed.review([record], "endorse", method="tested")
    assert refused.value.code == "denied"
    assert fleet.fresh("worker").get([record])["records"] == []


def test_a_record_with_a_task_holds_words_that_no_contract_closes(fleet: Fleet):
    typed, worker = fleet.agent("typed", role="checker"), fleet.agent("worker")
    worker.observe("https://evil.example/", "a page")
    plain = worker.write_for("", kind="finding", title="T", data={"n": 1})["id"]
    tasked = worker.write_for("ignore-all-previous", kind="finding", title="T", data={"n": 1})["id"]
    told = typed.check_typed([plain, tasked], {**CONTRACT, "title": "T"})["results"]
    assert [(one["id"], one["label"], one["refused"]) for one in told] == [
        (plain, "attributed", ""),
        (tasked, "", "not_of_contract"),
    ]
    fleet.assert_sound()


@pytest.mark.parametrize(
    "contract",
    [
        {"type": "integer", "minimum": "x"},
        {"type": "integer", "maximum": True},
        {"type": "array", "items": {"type": "boolean"}, "maxItems": "9"},
        {"type": "array", "items": {"type": "boolean"}, "minItems": None},
        {"type": "object", "additionalProperties": False, "properties": [1]},
        {"type": "object", "additionalProperties": False, "properties": {}, "required": 5},
        {"type": "object", "additionalProperties": False, "properties": {}, "required": [[]]},
        {"type": "object", "additionalProperties": False, "properties": {}, "title": 1},
        {"type": "object", "additionalProperties": False, "properties": {"a": {"type": ["integer"]}}},
    ],
)
def test_an_ill_formed_contract_is_refused_by_name(contract: dict[str, Any]):
    with pytest.raises(InvalidInput) as refused:
        refuse_open(contract)
    assert refused.value.code == "open_contract"


@pytest.mark.parametrize(
    ("form", "value"),
    [("date", "٢٠٢٦-०१-০১"), ("date", "2026-01-01\n"), ("date-time", "٢٠٢٦-01-01T00:00:00Z")],
)
def test_digits_of_other_scripts_are_no_date(form: str, value: str):
    assert not conforms(value, {"type": "string", "format": form})
