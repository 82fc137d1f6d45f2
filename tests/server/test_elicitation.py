"""What the person at a client is told of a gate decides nothing, costs no answer and holds nobody up (ADR 0060)."""

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from anyio import to_thread
from fastmcp.client.elicitation import ElicitResult
from web import request, serving

from mcp_server import elicitation
from memstore import admin, tokens
from memstore.core.statements import Role

pytestmark = pytest.mark.anyio

FORMS: dict[str, Any] = {"elicitation": {"form": {}}}
GATE = "May the table be dropped?"


def gated(output: str) -> dict[str, Any]:
    return {"to": "builder", "type": "transfer", "outputs": [output], "questions": ["none"], "gate": GATE}


async def offered(talk: Any, **more: Any) -> Any:
    told = {"verification": "verified", "evidence": ["log line 7"]}
    answer = await talk.ok("memory_write", kind="finding", title="The lexer", body="Seen", **told)
    return await talk.ok("handoff_offer", **{**gated(answer["id"]), **more})


class Person:
    """The handler of a client: notes what it is told, then does as `then` says."""

    def __init__(self, then: Callable[[], Any] = dict) -> None:
        self.told: list[str] = []
        self.forms: list[Any] = []
        self.then = then

    async def __call__(self, message, response_type, params, context):
        self.told.append(message)
        self.forms.append(params.requested_schema)
        answer = self.then()
        return await answer if hasattr(answer, "__await__") else answer


@pytest.fixture
def decide(place):
    """`decide(handoff, approved)`: what a person does in a terminal, with a key, while the client asks."""
    admin.add_agent(place.house, "ann", role=Role.HUMAN)
    ann = place.open("ann")
    return lambda handoff, approved: ann.handoff_decide(handoff, approved=approved)


async def test_the_person_is_told_which_handoff_and_how_to_decide(served):
    person = Person()
    async with served(mode="legacy", elicited=person) as talk:
        handoff = (await offered(talk))["handoff"]
    [told] = person.told
    for verb in ("show", "approve", "deny"):
        assert f"memstore handoff {verb} {handoff} --agent NAME" in told.splitlines()
    assert "Nothing that you answer here decides it" in told
    assert person.forms == [elicitation.FORM]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"seen": True},
        ElicitResult(action="accept", content={"seen": True, "approved": True, "decision": "approve"}),
        ElicitResult(action="decline"),
        ElicitResult(action="cancel"),
        "approve",  # no answer that the protocol knows
    ],
)
async def test_no_answer_decides(served, place, answer, logged):
    sizes = []

    def then():
        sizes.append(place.log_size)
        return answer

    async with served(mode="legacy", elicited=Person(then)) as talk, served("builder") as builder:
        found = await offered(talk)
        assert (found["state"], found["note"]) == (
            "awaiting_approval",
            "It waits for a person: memstore handoff approve.",
        )
        assert sizes == [place.log_size]
        refused = await builder.refused("handoff_receive", {"handoff": found["handoff"]})
        assert refused.startswith("awaiting_approval: ")
    assert logged.text == ""


@pytest.mark.parametrize(("approved", "state"), [(True, "offered"), (False, "denied")])
@pytest.mark.parametrize("action", ["accept", "decline", "cancel"])
async def test_what_a_person_decides_meanwhile_with_a_key_shows_whatever_is_answered(
    served, decide, approved, state, action
):
    async def then():
        await to_thread.run_sync(decide, person.told[0].split()[2], approved)
        return ElicitResult(action=action, content={} if action == "accept" else None)

    person = Person(then)
    async with served(mode="legacy", elicited=person) as talk:
        found = await offered(talk)
    assert (found["state"], found["note"]) == (state, f"It waited for a person, and is {state} now.")


async def test_a_handler_that_fails_costs_no_answer(served, logged):
    def then():
        raise RuntimeError("HOSTILE")

    async with served(mode="legacy", elicited=Person(then)) as talk:
        assert (await offered(talk))["state"] == "awaiting_approval"
    assert logged.text == ""


async def test_a_person_who_never_answers_is_waited_for_no_longer_than_is_said(served, monkeypatch):
    assert elicitation.ASKED_SECONDS < 60  # the patience of many clients with a call
    monkeypatch.setattr(elicitation, "ASKED_SECONDS", 0.2)
    person = Person(anyio.sleep_forever)
    async with served(mode="legacy", elicited=person) as talk:
        with anyio.fail_after(20):
            assert (await offered(talk))["state"] == "awaiting_approval"
    assert len(person.told) == 1


async def test_while_a_person_is_asked_other_calls_are_answered(served):
    asked, answer = anyio.Event(), anyio.Event()
    found = {}

    async def then():
        asked.set()
        await answer.wait()
        return {}

    async with served(mode="legacy", elicited=Person(then)) as talk, anyio.create_task_group() as group:

        async def offer():
            found.update(await offered(talk))

        group.start_soon(offer)
        with anyio.fail_after(20):
            await asked.wait()
            [item] = (await talk.ok("handoff_inbox", box="out"))["items"]
            assert item["state"] == "awaiting_approval"
            await talk.ok("memory_write", kind="finding", title="Meanwhile", body="b")
        assert found == {}
        answer.set()
    assert found["handoff"] == item["handoff"]


async def test_without_the_capability_or_a_way_to_ask_the_answer_is_the_same_bytes(served):
    texts: list[str] = []
    for mode, elicited in (("legacy", Person()), ("legacy", None), ("auto", person := Person()), ("auto", None)):
        async with served(mode=mode, elicited=elicited) as talk:
            output = await talk.ok("memory_write", kind="finding", title=f"As {len(texts)}", body="Seen")
            result = await talk("handoff_offer", **gated(output["id"]))
            text = result.content[0].text
            texts.append(text.replace(json.loads(text)["handoff"], "ID").replace(output["id"], "OUTPUT"))
    assert person.told == []  # 2026-07-28 has no requests of a server's
    assert len(set(texts)) == 1


@pytest.mark.parametrize("more", [{"gate": ""}, {"to": "nobody"}])
async def test_of_what_waits_for_nobody_nobody_is_told(served, more):
    person = Person()
    async with served(mode="legacy", elicited=person) as talk:
        output = await talk.ok("memory_write", kind="finding", title="The lexer", body="Seen")
        await talk("handoff_offer", **{**gated(output["id"]), **more})
    assert person.told == []


def output_of(server: Any, title: str = "The lexer") -> str:
    found: str = server.ok("memory_write", kind="finding", title=title, body="Seen")["id"]
    return found


def test_a_process_sends_no_request_to_a_client_without_forms(launch):
    server = launch(can={"elicitation": {"url": {}}, "sampling": {}})
    assert server.ok("handoff_offer", **gated(output_of(server)))["state"] == "awaiting_approval"
    assert server.close() == 0
    assert b'"method"' not in server.stdout


def test_a_process_takes_any_answer_from_the_wire(launch):
    server = launch(can=FORMS)
    answers: list[dict[str, Any]] = [
        {"result": {"action": "accept", "content": {"seen": True}}},
        {"result": {"action": "approve", "approved": True}},
        {"result": {}},
        {"error": {"code": -32601, "message": "HOSTILE"}},
    ]
    for number, answer in enumerate(answers):
        output = output_of(server, f"Number {number}")
        server.ask("handoff_offer", **gated(output))
        asked = server.asked()
        assert asked["method"] == "elicitation/create"
        server.send(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **answer}).encode())
        assert server.receive()["result"]["structuredContent"]["state"] == "awaiting_approval"
    assert server.close() == 0
    assert server.stderr == b""


@pytest.mark.parametrize("death", ["stdin", "call"])
def test_a_client_that_goes_away_while_it_is_asked_leaves_the_handoff_waiting(launch, live, death):
    server = launch(can={"elicitation": {}})  # which means forms
    server.ask("handoff_offer", **gated(output_of(server)))
    assert server.asked()["method"] == "elicitation/create"
    if death == "call":
        cancelled = {"method": "notifications/cancelled", "params": {"requestId": server.number}}
        server.send(json.dumps({"jsonrpc": "2.0", **cancelled}).encode())
        assert server.asked()["method"] == "notifications/cancelled"  # what it asked is withdrawn
    assert server.close() == 0
    assert server.stderr == b""
    [item] = live.open("researcher").handoff_inbox("out")["items"]
    assert item["state"] == "awaiting_approval"


@pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])
async def test_over_http_nobody_is_asked(place, era):
    async with serving(place.folder, clock=place.clock) as web:
        client = web.as_(str(tokens.make(place.house, "researcher")["token"]))
        output = (await client.ok("memory_write", kind="finding", title="The lexer", body="Seen"))["id"]
        call = request("tools/call", name="handoff_offer", arguments=gated(output))
        headers = {}
        if era == "2026-07-28":
            said = {"protocolVersion": era, "clientInfo": {"name": "raw", "version": "1"}, "clientCapabilities": FORMS}
            call["params"]["_meta"] = {f"io.modelcontextprotocol/{name}": value for name, value in said.items()}
            headers = {"MCP-Protocol-Version": era, "Mcp-Method": "tools/call", "Mcp-Name": "handoff_offer"}
        answer = (await client.post(call, **headers)).json()["result"]
    assert answer["structuredContent"]["state"] == "awaiting_approval"
