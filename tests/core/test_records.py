"""Records by kind: what each must have, how a refusal says so, and how content is committed to."""

from typing import Any

import pytest

from memstore.core.records import Content, check_kind, content_digest, ids_among, origin_of
from memstore.core.statements import Kind, Origin, Role, Verification
from memstore.errors import IntegrityError, InvalidInput

ID = "m-" + "a" * 26
ENOUGH: dict[Kind, dict[str, Any]] = {
    Kind.INTENT: {"body": "please"},
    Kind.CONSTRAINT: {},
    Kind.DECISION: {"rationale": "so", "alternatives": ["none"]},
    Kind.FINDING: {"body": "found"},
    Kind.REJECTED: {"rationale": "dropped"},
    Kind.QUESTION: {},
    Kind.HYPOTHESIS: {},
    Kind.CHECKPOINT: {"data": {"at": 1}},
}
LACKS = [
    (Kind.INTENT, {"body": ""}, "body"),
    (Kind.DECISION, {"rationale": " "}, "rationale"),
    (Kind.DECISION, {"alternatives": []}, "alternatives"),
    (Kind.FINDING, {"body": "\n"}, "body"),
    (Kind.REJECTED, {"rationale": ""}, "rationale"),
    (Kind.CHECKPOINT, {"data": {}}, "data"),
    (Kind.QUESTION, {"title": " "}, "title"),
]


def check(
    kind: Kind, *, role: Role = Role.LEAD, verification: Verification = Verification.UNVERIFIED, **parts: Any
) -> None:
    check_kind(kind, Content(**{"title": "t", **parts}), verification=verification, role=role)


@pytest.mark.parametrize("kind", ENOUGH)
def test_each_kind_is_taken_with_what_it_must_have(kind: Kind):
    check(kind, **ENOUGH[kind])


@pytest.mark.parametrize(("kind", "without", "field"), LACKS)
def test_a_refusal_names_the_field_and_what_to_pass(kind: Kind, without: dict[str, Any], field: str):
    with pytest.raises(InvalidInput) as refused:
        check(kind, **{**ENOUGH[kind], **without})
    assert refused.value.code == "missing_field"
    assert f"`{field}`" in refused.value.what
    assert refused.value.next_call


@pytest.mark.parametrize("kind", [Kind.TOOL_RESULT, Kind.EXTERNAL])
def test_what_is_observed_is_not_written(kind: Kind):
    with pytest.raises(InvalidInput):
        check(kind, body="x")


def test_an_intent_is_a_persons_and_short():
    for role in (Role.WORKER, Role.TOOL, Role.CHECKER):
        with pytest.raises(InvalidInput):
            check(Kind.INTENT, role=role, body="please")
    check(Kind.INTENT, body="é" * 2048)
    with pytest.raises(InvalidInput) as refused:
        check(Kind.INTENT, body="é" * 2048 + "x")
    assert refused.value.code == "too_long"


def test_verified_wants_evidence_and_is_of_findings():
    check(Kind.FINDING, body="x", verification=Verification.VERIFIED, evidence=["ran it"])
    check(Kind.FINDING, body="x", verification=Verification.FAILED)
    for kind, verification in ((Kind.FINDING, Verification.VERIFIED), (Kind.QUESTION, Verification.FAILED)):
        with pytest.raises(InvalidInput):
            check(kind, body="x", verification=verification)


def test_content_comes_back_byte_for_byte_and_holds_nothing_that_is_empty():
    content = Content(title="t", body="e\u0301 \u202e\n", data={"a": [1, None, "x"]})
    assert Content.parse(content.to_bytes()) == content
    assert Content(title="t").to_bytes() == b'{"title":"t"}'


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b'{"x":1}', b'{"title":1}', b'{"title":"t","title":"t"}', b'{"title": "t"}']
)
def test_content_that_is_not_well_formed_is_refused(raw: bytes):
    with pytest.raises(IntegrityError):
        Content.parse(raw)


def test_a_digest_commits_to_salt_and_content():
    assert len({content_digest(salt, content) for salt in (b"a" * 16, b"b" * 16) for content in (b"x", b"y")}) == 4


def test_what_is_searched_is_all_that_was_said():
    content = Content(
        title="one", body="two", rationale="three", caveats=["four"], alternatives=["five"], conditions=["six"],
        tags=["seven"], key="eight", source="nine", data={"ten": 1}, args={"eleven": 2},
    )  # fmt: skip
    title, lead, text = content.index_text()
    assert (title, lead) == ("one", text[:200])
    assert all(word in text for word in ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"))


def test_words_are_the_body_or_else_the_data():
    assert Content(title="t", body="b", data={"a": 1}).words() == b"b"
    assert Content(title="t", data={"a": 1}).words() == b'{"a":1}'
    assert Content(title="t").words() == b""


def test_ids_are_told_from_texts_and_malformed_ones_refused():
    assert ids_among(["ran it", ID, "m-odel was loaded", "s- x", "s-expressions"]) == [ID]
    for bad in ("m-" + "abc" * 6, ID.upper().replace("M-", "m-"), ID + "a", "h-" + "1" * 20):
        with pytest.raises(InvalidInput) as refused:
            ids_among([bad])
        assert bad not in str(refused.value)


@pytest.mark.parametrize(
    ("source", "origin"),
    [
        ("tool:db", Origin.TOOL), ("TOOL:db", Origin.TOOL), ("file:///etc", Origin.FILE), ("mailto:a@b", Origin.EMAIL),
        ("imaps://x", Origin.EMAIL), ("https://x", Origin.WEB), ("anything else", Origin.WEB), ("", Origin.WEB),
    ],
)  # fmt: skip
def test_where_something_came_from_is_one_of_five(source: str, origin: Origin):
    assert origin_of(source) is origin
