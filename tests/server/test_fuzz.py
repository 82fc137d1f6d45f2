"""Every tool, called as its own schema says and as it does not: no crash, no traceback, no echo, no label raised.

The calls are drawn from the schemas that the server lists, so a new tool or argument is fuzzed without a line here.
What earlier answers gave (ids, refs, cursors, receipts, leases) goes into later calls, so that they reach behind the
checks of form. 200 calls run each time, 5,000 with the slow tests, in memory and over the pipes of a server process.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import anyio.from_thread
import pytest
from fastmcp import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_server.server import build_server
from memstore.core.labels import Label

MARK = "QWXZ-FUZZ"  # what no error and no log line may repeat
CALLERS = ("planner", "researcher", "builder")
# By which an entitled reviewer says that a record may be relied on: the only ways up (T6).
ENDORSING = {("memory_review", "verdict", "endorse"), ("handoff_respond", "action", "accept")}
AN_ERROR = re.compile(r"[a-z][a-z_]+: \S")
HANDED = re.compile(r"\b[mhs]-[a-z2-7]{26}\b|\br-[\w-]{8,}")
PER_KIND = 200


@dataclass(frozen=True)
class Known:
    """What an earlier answer gave: the n-th, counted round, of those that begin so."""

    prefix: str
    number: int


@dataclass
class Pool:
    """All that answers handed out, by how it begins; cursors, leases and the like stand under their field's name."""

    given: dict[str, list[str]] = field(default_factory=dict)

    def collect(self, answer: Any) -> None:
        for text in HANDED.findall(json.dumps(answer)):
            self._keep(text[:2], text)
        for name in ("next_cursor", "lease", "receipt"):
            for text in _fields(answer, name):
                self._keep(name, text)

    def _keep(self, prefix: str, text: str) -> None:
        kept = self.given.setdefault(prefix, [])
        if text not in kept:
            kept.append(text)
            del kept[:-PER_KIND]

    def filled(self, value: Any) -> Any:
        match value:
            case Known(prefix, number):
                kept = self.given.get(prefix, [])
                return kept[number % len(kept)] if kept else f"{prefix}{MARK}"
            case dict():
                return {name: self.filled(one) for name, one in value.items()}
            case list():
                return [self.filled(one) for one in value]
            case _:
                return value


def _fields(answer: Any, name: str) -> Iterator[str]:
    match answer:
        case dict():
            if isinstance(answer.get(name), str) and answer[name]:
                yield answer[name]
            for one in answer.values():
                yield from _fields(one, name)
        case list():
            for one in answer:
                yield from _fields(one, name)


HANDED_OUT = ["m-", "m-", "h-", "s-", "r-", "next_cursor", "lease", "receipt"]
known = st.builds(Known, st.sampled_from(HANDED_OUT), st.integers(0, 999))
words = st.one_of(
    st.builds(lambda text: MARK + text, st.text(st.characters(), max_size=20)),
    st.sampled_from([
        MARK, "", "none", "t", "main", "other", "builder", "planner", "capability:x", f"tool:{MARK}", "tool:weather",
        f"https://{MARK}.example/", "key:t", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "0", "7", "-1",
        MARK * 9000, "\x1b[31m" + MARK, MARK + "\0", MARK + "\u202e",
    ]),
)  # fmt: skip
scalars = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), words)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=6
)
objects = st.dictionaries(words, anything, max_size=3) | st.dictionaries(st.sampled_from("abc"), st.integers(0, 9))


def valid(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that the schema allows, as far as it says."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "string":
            return known | words
        case "integer":
            low, high = schema.get("minimum", -(2**40)), schema.get("maximum", 2**40)
            return st.sampled_from([low, high]) | st.integers(low, high)
        case "boolean":
            return st.booleans()
        case "array":
            least = schema.get("minItems", 0)
            return st.lists(valid(schema["items"]), min_size=least, max_size=max(least, 3))
        case "object":
            return objects
        case other:
            raise AssertionError(f"no strategy for a schema of type {other}")


times = st.sampled_from(["2026-01-01T00:00:00Z", "0", "7", ""])
# What makes a value of this name likely to be taken; a name that is not here is drawn from its schema alone.
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    **{name: st.builds(Known, st.just("m-"), st.integers(0, 9)) for name in ("id", "supersedes", "answers", "intent")},
    **{name: st.lists(st.builds(Known, st.just("m-"), st.integers(0, 9)), min_size=1, max_size=2)
       for name in ("ids", "derived_from", "outputs", "evidence", "keep")},
    **{name: st.just(["none"]) for name in ("alternatives", "questions", "rejected", "constraints", "caveats")},
    **dict.fromkeys(("since", "until", "as_of", "deadline", "fetched_at"), times),
    "refs": st.lists(st.builds(Known, st.just("r-"), st.integers(0, 9)), min_size=1, max_size=2),
    "handoff": st.builds(Known, st.just("h-"), st.integers(0, 9)),
    "source": st.sampled_from([f"https://{MARK}.example/", f"tool:{MARK}", "tool:weather"]),
    "to": st.sampled_from(CALLERS),
    "task": st.sampled_from(["t", MARK]),
    "scope": st.just(""),
    **{name: st.builds(Known, st.just(name), st.integers(0, 9)) for name in ("receipt", "lease")},
    "cursor": st.builds(Known, st.just("next_cursor"), st.integers(0, 9)),
}  # fmt: skip


def arguments(schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Arguments as the schema says; of one in four, one is what it does not say."""
    properties = {name: valid(said) for name, said in schema["properties"].items()}
    properties |= {name: LIKELY[name] | LIKELY[name] | said for name, said in properties.items() if name in LIKELY}
    if "wait_seconds" in properties:
        properties["wait_seconds"] = st.just(0)  # waiting is tested where it is; here it would only take its time
    required = {name: properties[name] for name in schema.get("required", [])}
    optional = [name for name in properties if name not in required]
    few = st.lists(st.sampled_from(optional), max_size=4, unique=True) if optional else st.just([])
    good = few.flatmap(lambda names: st.fixed_dictionaries({**required, **{name: properties[name] for name in names}}))
    spoilt = st.builds(
        lambda told, name, value: {**told, name: value}, good, st.sampled_from([*properties, MARK, "self"]), anything
    )
    lacking = st.builds(lambda told, n: dict(list(told.items())[n:]), good, st.integers(0, 3))
    return st.one_of(good, good, good, good, good, good, spoilt, lacking)


def calls(tools: dict[str, dict[str, Any]]) -> st.SearchStrategy[tuple[str, str, dict[str, Any]]]:
    """(caller, tool, arguments)"""
    by_tool = [st.tuples(st.sampled_from(CALLERS), st.just(name), arguments(schema)) for name, schema in tools.items()]
    return st.one_of(by_tool)


@dataclass
class Answered:
    """A result as either transport gives it."""

    is_error: bool
    text: str
    structured: Any


Call = Callable[[str, str, dict[str, Any]], Answered]


def fuzz(place: Any, tools: dict[str, dict[str, Any]], call: Call, *, examples: int) -> None:
    """Call and look after each call; the state goes on from one to the next."""
    assert len(tools) == 14
    pool, seen = Pool(), {"calls": 0, "answers": 0}
    for caller in CALLERS:  # something to work upon, of each label
        seeded(call, caller, pool)

    def labels() -> dict[str, Label]:
        with place.house.store.read() as unit:
            return {state.id: state.label for state in unit.records.written_from(0)}

    before = labels()

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
    @given(calls(tools))
    def each(drawn: tuple[str, str, dict[str, Any]]) -> None:
        nonlocal before
        caller, tool, raw = drawn
        told = pool.filled(raw)
        answered = call(caller, tool, told)
        seen["calls"] += 1
        if answered.is_error:
            assert AN_ERROR.match(answered.text), answered.text
            assert not answered.text.startswith(("internal", "Traceback")), answered.text
            assert MARK not in answered.text
            assert answered.structured is None
        else:
            seen["answers"] += 1
            assert json.loads(answered.text) == answered.structured
            pool.collect(answered.structured)
        after = labels()
        raised = [one for one, label in before.items() if after[one] > label]
        endorsed = any(tool == name and told.get(argument) == value for name, argument, value in ENDORSING)
        assert not raised or (caller == "planner" and endorsed), (tool, raised)
        before = after

    each()
    assert seen["calls"] >= examples
    assert seen["answers"] > examples // 10  # it got behind the checks of form


def seeded(call: Call, caller: str, pool: Pool) -> None:
    for tool, told in (
        ("session_start", {"task": "t"}),
        ("memory_write", {"kind": "finding", "title": f"of {caller}", "body": "b"}),
        ("memory_observe", {"source": "https://x.example/", "content": "outside"}),
        ("memory_search", {}),
    ):
        answered = call(caller, tool, told)
        assert not answered.is_error, answered.text
        pool.collect(answered.structured)


def in_memory(place: Any, logged: Any, *, examples: int) -> None:
    with anyio.from_thread.start_blocking_portal() as portal:
        opened = [portal.wrap_async_context_manager(Client(server_of(place, name))) for name in CALLERS]
        clients = dict(zip(CALLERS, (one.__enter__() for one in opened), strict=True))

        async def ask(caller: str, tool: str, told: dict[str, Any]) -> Answered:
            # This client cannot send lone surrogates in names; over the wire they go out as they are.
            sendable = json.loads(json.dumps(told, ensure_ascii=False).encode(errors="replace"))
            result = await clients[caller].call_tool(tool, sendable, raise_on_error=False)
            return Answered(result.is_error, result.content[0].text, result.structured_content)

        try:
            tools = {tool.name: tool.input_schema for tool in portal.call(clients["planner"].list_tools)}
            fuzz(place, tools, lambda *told: portal.call(ask, *told), examples=examples)
        finally:
            for one in reversed(opened):
                one.__exit__(None, None, None)
    assert logged.text == ""


def server_of(place: Any, agent: str) -> Any:
    store = place.open(agent)
    return build_server(lambda: store)


def over_the_wire(live: Any, launch: Any, *, examples: int) -> None:
    servers = {name: launch(name) for name in CALLERS}

    def ask(caller: str, tool: str, told: dict[str, Any]) -> Answered:
        result = servers[caller].raw_call(tool, json.dumps(told).encode())["result"]
        [content] = result["content"]
        return Answered(result.get("isError", False), content["text"], result.get("structuredContent"))

    listed = servers["planner"].request("tools/list", {})["result"]["tools"]
    fuzz(live, {tool["name"]: tool["inputSchema"] for tool in listed}, ask, examples=examples)
    for server in servers.values():
        assert server.close() == 0
        assert server.stderr == b""


def test_no_call_in_memory_crashes_echoes_or_raises_a_label(place, logged):
    in_memory(place, logged, examples=200)


def test_no_call_over_the_wire_crashes_echoes_or_raises_a_label(live, launch):
    over_the_wire(live, launch, examples=200)


@pytest.mark.slow
def test_no_call_of_five_thousand_in_memory_crashes_echoes_or_raises_a_label(place, logged):
    in_memory(place, logged, examples=5_000)


@pytest.mark.slow
def test_no_call_of_five_thousand_over_the_wire_crashes_echoes_or_raises_a_label(live, launch):
    over_the_wire(live, launch, examples=5_000)
