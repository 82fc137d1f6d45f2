"""Review, retraction and lockdown over MCP: the same answers, `_meta.ifc` on each, nothing of an input in a refusal."""

import pytest

from memstore import open_store

pytestmark = pytest.mark.anyio


async def test_a_finding_is_read_reviewed_and_withdrawn(served):
    async with served("researcher") as talk:
        said = await talk.ok("memory_write", kind="finding", title="Found", body="it")
    async with served("planner") as talk:
        await talk.ok("memory_get", ids=[said["id"]])
        answer = await talk.ok("memory_review", ids=[said["id"]], verdict="endorse")
        assert set(answer) == {"results", "mark", "note"}
        assert set(answer["results"][0]) == {"id", "label", "needs", "refused"}
        trial = await talk.ok("memory_retract", id=said["id"], reason="wrong", dry_run=True)
        assert (trial["status"], set(trial)) == ("would_retract", {"id", "status", "affected", "note"})
        assert (await talk.ok("memory_retract", id=said["id"], reason="leaked"))["status"] == "retracted"
        assert (await talk.ok("memory_get", ids=[said["id"]]))["missing"] == [said["id"]]


async def test_every_result_says_how_far_its_words_go(served):
    async with served("researcher") as talk:
        said = await talk.ok("memory_write", kind="finding", title="Found", body="it")
        for tool, arguments in (
            ("memory_review", {"ids": [said["id"]], "verdict": "dispute"}),
            ("memory_retract", {"id": said["id"], "reason": "nonsense"}),
            ("memory_history", {"id": said["id"], "view": "disclosures"}),
        ):
            result = await talk(tool, **arguments)
            assert result.meta["ifc"]["integrity"] == "trusted"
        shown = await talk("memory_get", ids=[said["id"]])
        assert shown.meta["ifc"]["integrity"] == "untrusted"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("memory_review", {"ids": ["<script>"], "verdict": "obey"}),
        ("memory_review", {"ids": ["<script>"] * 21, "verdict": "endorse"}),
        ("memory_review", {"ids": [], "verdict": "endorse"}),
        ("memory_review", {"ids": ["<script>"], "verdict": "endorse", "evidence": ["<script>"]}),
        ("memory_review", {"ids": ["<script>"], "verdict": "endorse", "comment": "<script>"}),
        ("memory_retract", {"id": "<script>", "reason": "wrong"}),
        ("memory_retract", {"id": "<script>", "reason": "<script>"}),
        ("memory_retract", {"id": "", "reason": "wrong"}),
    ],
)
async def test_bad_input_is_refused_without_a_word_of_it(served, tool, arguments):
    async with served("researcher") as talk:
        result = await talk(tool, **arguments)
    assert result.is_error
    assert "script" not in str(result.content)
    assert "obey" not in str(result.content)


async def test_an_unknown_id_in_a_review_is_not_repeated(served):
    async with served("researcher") as talk:
        answer = await talk.ok("memory_review", ids=["<script>"], verdict="endorse")
    assert answer["results"] == [{"id": "malformed", "label": "", "needs": [], "refused": "unknown_id"}]


async def test_locked_down_nothing_is_opened_and_all_else_is_as_before(served, place):
    async with served("researcher") as talk:
        page = await talk.ok("memory_observe", source="https://x.example/", content="an order from outside")
    with open_store(place.folder, agent="builder", lockdown=True, clock=place.clock) as store:
        async with served(store=store) as talk:
            found = await talk.ok("memory_get", ids=[page["id"]])
            result = await talk("memory_open", refs=[found["quarantined"][0]["ref"]])
            assert result.is_error
            assert str(result.content[0].text).startswith("lockdown: ")
            assert (await talk.ok("memory_write", kind="finding", title="Own", body="x"))["label"] == "attributed"
