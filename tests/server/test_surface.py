"""What a client sees before it calls anything: tools, resources, prompts, instructions."""

import json
from typing import Any

import pytest

pytestmark = pytest.mark.anyio

ARGUMENTS = {
    "session_start": "task* scope goal resume_handoff max_tokens",
    "session_end": "outcome* session summary keep",
    "memory_write": "kind* title* body rationale caveats alternatives conditions confidence verification evidence "
    "derived_from data supersedes answers tags key session dry_run",
    "memory_observe": "source* content* title args ttl_seconds fetched_at key session",
    "memory_search": "query task kinds tags author min_trust since until as_of include_superseded quarantined detail "
    "limit max_tokens cursor",
    "memory_get": "ids* detail max_tokens",
    "memory_open": "refs* render offset max_tokens",
    "memory_review": "ids* verdict* method evidence",
    "memory_retract": "id* reason* replacement dry_run",
    "memory_history": "id task of_session view since until as_of limit max_tokens cursor",
    "handoff_offer": "to* type* outputs questions rejected constraints caveats intent directive rationale contract "
    "gate fallback deadline grant_scopes grant_ttl_seconds fresh checkpoint idempotency_key session",
    "handoff_inbox": "box states wait_seconds limit cursor",
    "handoff_receive": "handoff* max_tokens",
    "handoff_respond": "handoff* action* receipt acknowledge question reason outputs lease",
}
TOKENS_NOW = 3_000  # what all 14 tools may take


def named(schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    return " ".join(name + "*" * (name in required) for name in schema["properties"])


async def test_the_tools_and_their_arguments_are_those_of_the_design(served, era):
    async with served(mode=era) as talk:
        tools = await talk.client.list_tools()
    assert {tool.name: named(tool.input_schema) for tool in tools} == ARGUMENTS


async def test_the_tools_take_their_share_of_tokens_and_no_more(served):
    async with served() as talk:
        tools = await talk.client.list_tools()
    texts = [
        tool.name + tool.description + json.dumps(tool.input_schema, separators=(",", ":"), ensure_ascii=False)
        for tool in tools
    ]
    assert sum(len(text) for text in texts) / 4 <= TOKENS_NOW


async def test_schemas_are_flat_closed_and_have_no_null(served, era):
    async with served(mode=era) as talk:
        tools = await talk.client.list_tools()
    for tool in tools:
        written = json.dumps(tool.input_schema)
        assert not any(word in written for word in ("anyOf", "oneOf", "allOf", "$ref", "$defs", '"title": "', "null"))
        assert tool.input_schema["additionalProperties"] is False
        for name, said in tool.input_schema["properties"].items():
            assert ("default" in said) is (name not in tool.input_schema.get("required", [])), (tool.name, name)


async def test_choices_are_enumerated(served):
    async with served() as talk:
        tools = {tool.name: tool.input_schema["properties"] for tool in await talk.client.list_tools()}
    assert "decision" in tools["memory_write"]["kind"]["enum"]
    assert tools["session_end"]["outcome"]["enum"] == ["completed", "partial", "failed", "abandoned"]
    assert tools["memory_open"]["render"]["enum"] == ["datamarked", "base64", "json"]


async def test_tools_say_what_they_change(served):
    async with served() as talk:
        hints = {tool.name: tool.annotations for tool in await talk.client.list_tools()}
    reading = {name for name, hint in hints.items() if hint.read_only_hint}
    assert reading == {"memory_search", "memory_get", "memory_open", "memory_history", "handoff_inbox"}
    assert {name for name, hint in hints.items() if hint.open_world_hint} == {"memory_open"}
    assert not any(hint.destructive_hint for hint in hints.values())


async def test_identity_is_never_an_argument():
    words = {name.rstrip("*") for names in ARGUMENTS.values() for name in names.split()}
    assert words.isdisjoint({"agent", "caller", "principal", "as_agent", "store", "label", "mark"})


async def test_the_instructions_are_short_and_name_the_tools(served, era):
    async with served(mode=era) as talk:
        said = talk.client.instructions
        assert talk.client.server_info.name == "memstore"
    assert len(said) < 2000
    for word in ("session_start", "memory_search", "memory_write", "memory_observe", "memory_open", "session_end"):
        assert word in said
    for word in ("trusted", "attributed", "quarantined", "rationale", "alternatives", "ttl_seconds", "URI", "tainted"):
        assert word in said


async def test_resources_are_listed(served, era):
    async with served(mode=era) as talk:
        templates = {one.uri_template for one in await talk.client.list_resource_templates()}
        fixed = {one.uri for one in await talk.client.list_resources()}
    assert templates == {"memstore://record/{id}", "memstore://session/{id}/brief", "memstore://handoff/{id}"}
    assert {str(uri) for uri in fixed} == {"memstore://agents"}


async def test_every_prompt_and_argument_is_described(served, era):
    async with served(mode=era) as talk:
        prompts = {prompt.name: prompt for prompt in await talk.client.list_prompts()}
    assert set(prompts) == {"resume_task", "receive_handoff", "hand_over", "write_decision", "debug_task"}
    for prompt in prompts.values():
        assert prompt.description
        assert prompt.arguments
        assert all(argument.description and len(argument.description) < 80 for argument in prompt.arguments)
        assert prompt.arguments[0].required


@pytest.mark.parametrize("name", ["resume_task", "receive_handoff", "hand_over", "write_decision", "debug_task"])
async def test_a_prompt_quotes_its_arguments_and_names_tools_that_exist(served, name):
    async with served() as talk:
        first = next(p for p in await talk.client.list_prompts() if p.name == name).arguments[0].name
        filled = await talk.client.get_prompt(name, {first: 'Port {it} to "C"'})
    text = filled.messages[0].content.text
    assert r'"Port {it} to \"C\""' in text
    called = {
        word.partition("(")[0].strip(".,:;")
        for word in text.split()
        if word.startswith(("memory_", "session_", "handoff_"))
    }
    assert called
    assert called <= set(ARGUMENTS)
    assert filled.meta["ifc"]["integrity"] == "trusted"
