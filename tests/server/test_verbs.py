"""A session's work through the tools, in memory and in both eras of the protocol."""

import threading
from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError

from memstore.service import HANDOFF_LEASE_SECONDS

pytestmark = pytest.mark.anyio

DECISION = {
    "kind": "decision",
    "title": "Use SQLite",
    "rationale": "One file, many processes.",
    "alternatives": ["PostgreSQL: needs a server"],
}


async def test_a_session_from_start_to_end(served, era):
    async with served(mode=era) as talk:
        started = await talk.ok("session_start", task="storage")
        assert started["brief"]["decisions"] == []
        written = await talk.ok("memory_write", **DECISION)
        assert (written["status"], written["label"]) == ("stored", "attributed")
        observed = await talk.ok("memory_observe", source="tool:weather_now", content="rain in Storage", ttl_seconds=60)
        assert (observed["kind"], observed["label"]) == ("tool_result", "attributed")
        page = await talk.ok("memory_observe", source="https://example.org/storage", content="storage storage")
        assert page["kind"] == "external"
        assert page["mark"] == "tainted"
        found = await talk.ok("memory_search", query="storage", task="storage")
        assert {hit["id"] for hit in found["attributed"]["hits"]} == {observed["id"]}
        [entry] = found["quarantined"]["entries"]
        opened = await talk.ok("memory_open", refs=[entry["ref"]])
        assert opened["entries"][0]["id"] == page["id"]
        got = await talk.ok("memory_get", ids=[written["id"]])
        assert got["records"][0]["rationale"] == DECISION["rationale"]
        events = (await talk.ok("memory_history", task="storage"))["events"]
        assert [event["event"] for event in events] == ["session_started", "recorded", "recorded", "recorded"]
        ended = await talk.ok("session_end", outcome="completed")
        assert ended["note"] == "Ended as completed."


async def test_integrity_is_trusted_only_while_every_word_in_the_answer_is(served, place):
    lead = place.open("planner")
    mine = lead.write("decision", "Use SQLite", rationale="One file.", alternatives=["none"])["id"]
    theirs = place.open("builder").write("finding", "Use SQLite too", "It works.")["id"]
    async with served(store=lead) as talk:

        async def integrity(tool: str, **arguments: Any) -> Any:
            return (await talk(tool, **arguments)).meta["ifc"]

        assert await integrity("memory_get", ids=[mine]) == {"integrity": "trusted", "confidentiality": "private"}
        assert (await integrity("memory_search", query="sqlite"))["integrity"] == "trusted"  # theirs is only listed
        shown = await integrity("memory_search", query="sqlite", min_trust="attributed")
        assert shown == {"integrity": "untrusted", "confidentiality": "private"}
        assert (await integrity("memory_get", ids=[theirs]))["integrity"] == "untrusted"
        assert (await integrity("memory_get", ids=[theirs], detail="ids"))["integrity"] == "trusted"


async def test_an_opened_body_is_marked_untrusted_and_is_a_disclosure(served, place):
    async with served() as talk:
        await talk.ok("memory_observe", source="https://example.org/", content="a page")
        entries = (await talk.ok("memory_search", query="page"))["quarantined"]["entries"]
        opened = await talk("memory_open", refs=[entries[0]["ref"]])
        assert opened.meta["ifc"]["integrity"] == "untrusted"
        assert opened.structured_content["mark"] == "tainted"
        assert (await talk.ok("memory_write", kind="finding", title="So", body="it says"))["label"] == "tainted"


async def test_an_error_says_code_state_and_next_call(served):
    async with served() as talk:
        said = await talk.refused("memory_write", {"kind": "decision", "title": "Use SQLite"})
    assert said.startswith("missing_field: `rationale` is missing")
    assert "Nothing was written." in said
    assert said.endswith("Pass rationale; one sentence will do.")


async def test_resources_give_what_the_verbs_give(served, era):
    async with served(mode=era) as talk:
        session = (await talk.ok("session_start", task="storage"))["session"]
        record = (await talk.ok("memory_write", **DECISION))["id"]
        read = await talk.client.read_resource_mcp(f"memstore://record/{record}")
        assert read.meta["ifc"] == {"integrity": "untrusted", "confidentiality": "private"}
        [content] = read.contents
        assert content.mime_type == "application/json"
        assert '"title":"Use SQLite"' in content.text
        [brief] = await talk.client.read_resource(f"memstore://session/{session}/brief")
        assert record in brief.text
        agents = await talk.client.read_resource_mcp("memstore://agents")
        assert '"name":"planner","role":"lead"' in agents.contents[0].text
        assert agents.meta["ifc"]["integrity"] == "trusted"


async def test_a_resource_that_is_read_is_a_disclosure(served, place, clock):
    page = place.open("builder").observe("tool:weather_now", "stale words", ttl_seconds=1)["id"]
    other = place.open("builder").write("finding", "Plain", "words")["id"]
    store = place.open("planner")
    async with served(store=store) as talk:
        await talk.client.read_resource(f"memstore://record/{other}")
        assert (await talk.ok("memory_get", ids=[other], detail="ids"))["mark"] == "attributed"
        clock.step(2)
        [content] = await talk.client.read_resource(f"memstore://record/{page}")
        assert '"reasons":["expired"]' in content.text


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("memstore://record/m-aaaaaaaaaaaaaaaaaaaaaaaaaa", "unknown_id"),
        ("memstore://record/SECRET-SECRET", "unknown_id"),
        ("memstore://session/SECRET-SECRET/brief", "unknown_id"),
        ("memstore://session/m-aaaaaaaaaaaaaaaaaaaaaaaaaa/brief", "unknown_id"),
        ("memstore://record/SECRET-SECRET/more", "unknown_name"),
        ("memstore://SECRET-SECRET", "unknown_name"),
        ("SECRET-SECRET:nothing", "unknown_name"),
        ("memstore://record/SECRET-SECRET%00", "unknown_name"),
        ("memstore://record/..%2F..%2FSECRET-SECRET", "unknown_name"),
    ],
)
async def test_a_resource_that_is_not_there_is_refused_without_repeating_its_name(served, era, logged, uri, code):
    async with served(mode=era) as talk:
        with pytest.raises(MCPError) as refused:
            await talk.client.read_resource(uri)
    assert refused.value.error.message.startswith(code + ": ")
    assert "SECRET" not in str(refused.value.error.model_dump()) + logged.text


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("SECRET-SECRET", {}, "unknown_name"),
        ("resume_task", {}, "missing_field"),
        ("resume_task", {"task": ""}, "missing_field"),
        ("resume_task", {"task": "t", "SECRET": "x"}, "unknown_field"),
        ("debug_task", {"task": "SECRET\0"}, "not_canonical"),
    ],
)
async def test_a_prompt_that_cannot_be_given_is_refused(served, era, logged, name, arguments, code):
    async with served(mode=era) as talk:
        with pytest.raises(MCPError) as refused:
            await talk.client.get_prompt(name, arguments)
    assert refused.value.error.message.startswith(code + ": ")
    assert "SECRET" not in str(refused.value.error.model_dump()) + logged.text


async def test_a_defect_inside_is_told_without_its_words_and_the_server_lives_on(
    served, place, era, logged, monkeypatch
):
    store = place.open("researcher")

    def broken(**arguments):
        raise RuntimeError("SECRET-SECRET " + str(arguments))

    monkeypatch.setattr(store, "search", broken)
    async with served(store=store, mode=era) as talk:
        said = await talk.refused("memory_search", {"query": "SECRET-QUERY"})
        assert said.startswith("internal: ")
        assert (await talk.ok("memory_get", ids=["key:nothing"]))["missing"] == ["key:nothing"]
    assert "RuntimeError at " in logged.text
    assert "SECRET" not in said + logged.text


@pytest.mark.parametrize("value", ["\ud800", float("nan")])
async def test_an_answer_that_is_no_json_is_an_internal_error(served, place, logged, monkeypatch, value):
    from memstore.render import Answer

    store = place.open("researcher")
    monkeypatch.setattr(store, "search", lambda **_: Answer({"note": value}))
    async with served(store=store) as talk:
        assert (await talk.refused("memory_search", {})).startswith("internal: ")


async def test_calls_run_beside_each_other_off_the_event_loop(served, place, monkeypatch):
    from memstore.render import Answer

    store = place.open("researcher")
    together = threading.Barrier(3, timeout=10)  # passes only if three calls wait in it at once
    monkeypatch.setattr(store, "search", lambda **_: Answer({"place": together.wait()}))
    async with served(store=store) as talk, anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(talk.ok, "memory_search")


async def test_two_servers_of_one_agent_have_contexts_of_their_own(served):
    async with served() as one, served() as two:
        await one.ok("session_start", task="storage")
        await two.ok("session_start", task="transport")
        await one.ok("memory_observe", source="https://example.org/", content="a page")
        assert (await one.ok("memory_write", kind="finding", title="A", body="after a page"))["label"] == "tainted"
        assert (await two.ok("memory_write", kind="finding", title="B", body="without one"))["label"] == "attributed"
        assert (await two.ok("session_end", outcome="partial"))["note"] == "Ended as partial."
        assert (await one.ok("session_end", outcome="partial"))["note"] == "Ended as partial."


async def test_a_session_stays_alive_while_its_server_runs(place, clock):
    from mcp_server.stdio import keep_session

    store = place.open("researcher")
    until = store.session_start("storage")["expires_at"]
    clock.step(11 * 3600)
    renewed = anyio.Event()

    def renew():
        anyio.from_thread.run_sync(renewed.set)
        return store.renew()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(keep_session, renew, 0.001)
            await renewed.wait()
            group.cancel_scope.cancel()
    clock.step(11 * 3600)
    assert until < "2025-10-10"
    assert store.write("hypothesis", "Still at work")["status"] == "stored"


async def test_a_lease_on_a_handoff_is_renewed_as_often_as_it_wants_it(place, monkeypatch):
    from mcp_server.stdio import keep_session

    assert place.open("researcher").renew() * 2 < HANDOFF_LEASE_SECONDS
    monkeypatch.setenv("MEMSTORE_LEASE_SECONDS", "60")
    store, waited = place.open("researcher"), []
    assert store.renew() == 20

    async def sleep(seconds):
        waited.append(seconds)
        if len(waited) == 3:
            raise anyio.get_cancelled_exc_class()

    monkeypatch.setattr(anyio, "sleep", sleep)
    with pytest.raises(anyio.get_cancelled_exc_class()):
        await keep_session(store.renew, 1)
    assert waited == [1, 20, 20]


async def test_a_renewal_that_is_refused_does_not_end_the_server(logged):
    from mcp_server.stdio import keep_session
    from memstore.errors import Denied

    seen = []
    twice = anyio.Event()

    def renew():
        seen.append(1)
        if len(seen) == 2:
            anyio.from_thread.run_sync(twice.set)
        raise Denied("The key does not stand")

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(keep_session, renew, 0.001)
            await twice.wait()
            group.cancel_scope.cancel()
