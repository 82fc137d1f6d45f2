"""Bad input over MCP: a clear code, nothing written, nothing repeated, and the server lives on."""

import json
from typing import Any

import pytest

pytestmark = pytest.mark.anyio

MARK = "QWXZ-HOSTILE"
UNKNOWN = "m-aaaaaaaaaaaaaaaaaaaaaaaaaa"
FINDING: dict[str, Any] = {"kind": "finding", "title": "t", "body": "b"}
DEEP: dict[str, object] = {"x": MARK}
for _ in range(40):
    DEEP = {"x": DEEP}

# tool, arguments, code: what an in-memory client can send.
CASES: dict[str, Any] = {
    "an unknown kind": ("memory_write", {"kind": MARK, "title": "t"}, "unknown_kind"),
    "a chain of reasoning": ("memory_write", {"kind": "reasoning", "title": MARK}, "unknown_kind"),
    "an unknown field": ("memory_write", {**FINDING, MARK: 1}, "unknown_field"),
    "a field named self": ("memory_write", {**FINDING, "self": MARK}, "unknown_field"),
    "an observation by memory_write": ("memory_write", {"kind": "external", "title": MARK}, "unknown_kind"),
    "no kind": ("memory_write", {"title": MARK}, "missing_field"),
    "a decision without rationale": ("memory_write", {"kind": "decision", "title": MARK}, "missing_field"),
    "a decision without alternatives": (
        "memory_write",
        {"kind": "decision", "title": "t", "rationale": MARK},
        "missing_field",
    ),
    "a finding without body": ("memory_write", {"kind": "finding", "title": MARK}, "missing_field"),
    "verified without evidence": ("memory_write", {**FINDING, "verification": "verified"}, "missing_field"),
    "a float for an integer": ("memory_write", {**FINDING, "confidence": 50.0}, "invalid"),
    "a text for an integer": ("memory_write", {**FINDING, "confidence": MARK}, "invalid"),
    "a number for a text": ("memory_write", {**FINDING, "body": 5}, "invalid"),
    "a text for a list": ("memory_write", {**FINDING, "tags": MARK}, "invalid"),
    "null": ("memory_write", {**FINDING, "body": None}, "invalid"),
    "a float in data": ("memory_write", {**FINDING, "data": {MARK: 0.5}}, "not_canonical"),
    "2^53 in data": ("memory_write", {**FINDING, "data": {MARK: 2**53}}, "not_canonical"),
    "confidence of 101": ("memory_write", {**FINDING, "confidence": 101}, "out_of_range"),
    "NUL in a title": ("memory_write", {**FINDING, "title": MARK + "\0"}, "not_canonical"),
    "NUL in a key of data": ("memory_write", {**FINDING, "data": {MARK + "\0": 1}}, "not_canonical"),
    "a lone surrogate in a body": ("memory_write", {**FINDING, "body": MARK + "\ud800"}, "not_canonical"),
    "a lone surrogate in data": ("memory_write", {**FINDING, "data": {"x": MARK + "\udfff"}}, "not_canonical"),
    "a body of 65 KiB": ("memory_write", {**FINDING, "body": MARK * 5600}, "too_long"),
    "a body of 64 Ki characters that are more bytes": ("memory_write", {**FINDING, "body": "é" * 40000}, "too_long"),
    "2,000 caveats": ("memory_write", {**FINDING, "caveats": [MARK] * 2000}, "too_long"),
    "depth 40": ("memory_write", {**FINDING, "data": DEEP}, "not_canonical"),
    "an id that does not exist": ("memory_write", {**FINDING, "derived_from": [UNKNOWN]}, "unknown_id"),
    "a text for an id": ("memory_write", {**FINDING, "derived_from": [MARK]}, "unknown_id"),
    "an id of the wrong type": ("memory_write", {**FINDING, "derived_from": ["s-" + UNKNOWN[2:]]}, "unknown_id"),
    "evidence that does not exist": (
        "memory_write",
        {**FINDING, "verification": "verified", "evidence": [UNKNOWN]},
        "unknown_id",
    ),
    "superseding nothing": ("memory_write", {**FINDING, "supersedes": UNKNOWN}, "unknown_id"),
    "answering nothing": ("memory_write", {**FINDING, "answers": UNKNOWN}, "unknown_id"),
    "another's session": ("memory_write", {**FINDING, "session": "s-" + UNKNOWN[2:]}, "unknown_id"),
    "a hypothesis without a session": ("memory_write", {"kind": "hypothesis", "title": MARK}, "no_session"),
    "an intent by a worker": ("memory_write", {"kind": "intent", "title": MARK, "body": MARK}, "invalid"),
    "a tool result without ttl": ("memory_observe", {"source": "tool:" + MARK, "content": "c"}, "missing_field"),
    "a ttl of 0": ("memory_observe", {"source": "tool:x", "content": MARK, "ttl_seconds": 0}, "missing_field"),
    "a ttl of -1": ("memory_observe", {"source": "tool:x", "content": MARK, "ttl_seconds": -1}, "out_of_range"),
    "a ttl of 10^12": ("memory_observe", {"source": "tool:x", "content": MARK, "ttl_seconds": 10**12}, "out_of_range"),
    "a ttl of 10^30": ("memory_observe", {"source": "tool:x", "content": MARK, "ttl_seconds": 10**30}, "out_of_range"),
    "a source that is neither": ("memory_observe", {"source": MARK, "content": "c"}, "invalid"),
    "no source": ("memory_observe", {"source": "", "content": MARK}, "missing_field"),
    "fetched_at that is no time": (
        "memory_observe",
        {"source": "https://x.example", "content": "c", "fetched_at": MARK},
        "bad_time",
    ),
    "a query of 100 KB": ("memory_search", {"query": MARK * 9000}, "too_long"),
    "NUL in a query": ("memory_search", {"query": MARK + "\0"}, "not_canonical"),
    "a lone surrogate in a query": ("memory_search", {"query": MARK + "\ud800"}, "not_canonical"),
    "a cursor of nothing": ("memory_search", {"cursor": MARK}, "bad_cursor"),
    "a cursor that is not ASCII": ("memory_search", {"cursor": MARK + "é"}, "bad_cursor"),
    "a time that is none": ("memory_search", {"since": MARK}, "bad_time"),
    "a limit of 0": ("memory_search", {"limit": 0}, "out_of_range"),
    "an unknown level of trust": ("memory_search", {"min_trust": MARK}, "invalid"),
    "an unknown kind in a search": ("memory_search", {"kinds": [MARK]}, "unknown_kind"),
    "no ids": ("memory_get", {"ids": []}, "missing_field"),
    "21 ids": ("memory_get", {"ids": [UNKNOWN] * 21}, "too_long"),
    "no refs": ("memory_open", {"refs": []}, "missing_field"),
    "a ref of nothing": ("memory_open", {"refs": [MARK]}, "unknown_ref"),
    "an id for a ref": ("memory_open", {"refs": [UNKNOWN]}, "unknown_ref"),
    "a ref that is not ASCII": ("memory_open", {"refs": [MARK + "é"]}, "unknown_ref"),
    "an offset of -1": ("memory_open", {"refs": [MARK], "offset": -1}, "out_of_range"),
    "a view that is none": ("memory_history", {"view": MARK}, "invalid"),
    "a cursor of another history": ("memory_history", {"cursor": MARK}, "bad_cursor"),
    "a session without a task": ("session_start", {"task": ""}, "missing_field"),
    "NUL in a task": ("session_start", {"task": MARK + "\0"}, "not_canonical"),
    "a scope that is not the caller's": ("session_start", {"task": "t", "scope": MARK}, "unknown_scope"),
    "a handoff that is not there": ("session_start", {"task": "t", "resume_handoff": MARK}, "unknown_id"),
    "ending nothing": ("session_end", {"outcome": "completed"}, "no_session"),
    "an outcome that is none": ("session_end", {"outcome": MARK}, "invalid"),
    "an unknown tool": ("memory_" + MARK, {"query": MARK}, "unknown_name"),
    "a tool named by its verb": ("write", dict(FINDING), "unknown_name"),
}


@pytest.mark.parametrize("case", CASES)
async def test_it_is_refused_by_its_code(served, place, logged, case):
    tool, arguments, code = CASES[case]
    async with served(mode="legacy") as talk:
        before = place.log_size
        said = await talk.refused(tool, arguments)
        assert place.log_size == before
        assert (await talk.ok("memory_search"))["mark"] == "trusted"
    assert said.startswith(code + ": "), said
    assert MARK not in said + logged.text
    assert "HOSTILE" not in said + logged.text
    assert "internal" not in said


@pytest.mark.parametrize("case", ["an unknown kind", "an unknown field", "a float in data", "an unknown tool"])
async def test_it_is_refused_alike_in_the_newer_era(served, place, logged, case):
    tool, arguments, code = CASES[case]
    async with served(mode="auto") as talk:
        said = await talk.refused(tool, arguments)
    assert said.startswith(code + ": "), said
    assert MARK not in said + logged.text


@pytest.mark.parametrize(
    "query",
    ['"', '"unclosed', "*", "a*", "NEAR(a b)", "NEAR(", "title:a", "col:", "a AND", "(", "-a", "^a", "", "   ", "'"],
)
async def test_full_text_syntax_in_a_query_is_taken_literally(served, place, query):
    place.open("builder").write("finding", 'NEAR( the title:a "unclosed', "a AND b")
    async with served() as talk:
        found = await talk.ok("memory_search", query=query)
        assert found["attributed"]["count"] <= 1


async def test_a_cursor_of_another_query_is_refused(served, place):
    builder = place.open("builder")
    for number in range(5):
        builder.write("finding", f"Number {number}", "apples and pears")
    async with served() as talk:
        cursor = (await talk.ok("memory_search", query="apples", limit=2))["attributed"]["next_cursor"]
        assert cursor
        said = await talk.refused("memory_search", {"query": "pears", "limit": 2, "cursor": cursor})
        assert said.startswith("bad_cursor: ")
        rest = await talk.ok("memory_search", query="apples", limit=2, cursor=cursor)
        assert len(rest["attributed"]["hits"]) == 2


async def test_a_record_of_another_store_is_unknown_here(served, place, tmp_path):
    from memstore.admin import add_agent
    from memstore.config import init_store, open_house, open_store

    init_store(tmp_path / "other")
    add_agent(open_house(tmp_path / "other"), "researcher")
    with open_store(tmp_path / "other", agent="researcher") as other:
        stranger = other.write("finding", "Elsewhere", "b")["id"]
    async with served() as talk:
        assert (await talk.refused("memory_write", {**FINDING, "derived_from": [stranger]})).startswith("unknown_id: ")
        assert (await talk.ok("memory_get", ids=[stranger]))["missing"] == [stranger]


async def test_a_session_is_of_no_use_as_a_record(served):
    async with served() as talk:
        session = (await talk.ok("session_start", task="t"))["session"]
        assert (await talk.refused("memory_write", {**FINDING, "answers": session})).startswith("unknown_id: ")
        assert (await talk.ok("memory_get", ids=[session]))["missing"] == [session]


async def test_a_scope_of_anothers_looks_like_one_that_does_not_exist(served):
    async with served() as talk:
        theirs = await talk.refused("session_start", {"task": "t", "scope": "other"})
        nobodys = await talk.refused("session_start", {"task": "t", "scope": "nowhere"})
    assert theirs == nobodys


# What only bytes on the wire can say: the params of a call, and what comes of it ("ok", a code, or -32600/-32602).
RAW: dict[str, Any] = {
    "NaN": (b'{"kind":"finding","title":"t","data":{"QWXZ-HOSTILE":NaN}}', "not_canonical"),
    "Infinity": (b'{"kind":"finding","title":"t","data":{"QWXZ-HOSTILE":Infinity}}', "not_canonical"),
    "1e400": (b'{"kind":"finding","title":"t","data":{"QWXZ-HOSTILE":1e400}}', "not_canonical"),
    "1e3": (b'{"kind":"finding","title":"QWXZ-HOSTILE","body":"b","confidence":1e1}', "invalid"),
    "1.0": (b'{"kind":"finding","title":"QWXZ-HOSTILE","body":"b","confidence":1.0}', "invalid"),
    "2^53": (b'{"kind":"finding","title":"QWXZ-HOSTILE","data":{"x":9007199254740992}}', "not_canonical"),
    "10^100": (b'{"kind":"finding","title":"QWXZ-HOSTILE","data":{"x":1' + b"0" * 100 + b"}}", "not_canonical"),
    "10^5000": (b'{"kind":"finding","title":"QWXZ-HOSTILE","data":{"x":1' + b"0" * 5000 + b"}}", -32600),
    "an escaped lone surrogate": (rb'{"kind":"finding","title":"QWXZ-HOSTILE\ud800","body":"b"}', "not_canonical"),
    "surrogates the wrong way round": (rb'{"kind":"finding","title":"QWXZ-HOSTILE\udc00\ud800"}', "not_canonical"),
    "an escaped NUL": (rb'{"kind":"finding","title":"QWXZ-HOSTILE\u0000","body":"b"}', "not_canonical"),
    "bytes that are not UTF-8": (b'{"kind":"finding","title":"QWXZ-HOSTILE\xff\xfe","body":"b"}', "not_canonical"),
    "a surrogate in UTF-8": (b'{"kind":"finding","title":"QWXZ-HOSTILE\xed\xa0\x80","body":"b"}', "not_canonical"),
    "half a character": (b'{"kind":"finding","title":"QWXZ-HOSTILE\xc3","body":"b"}', "not_canonical"),
    "bad bytes outside a text": (b'{"kind":"finding",\xff"title":"QWXZ-HOSTILE"}', -32600),
    "bad bytes in a query": (b'{"query":"QWXZ-HOSTILE\xff"}', "not_canonical"),
    "depth 40": (b'{"kind":"finding","title":"t","data":' + b'{"x":' * 40 + b"1" + b"}" * 41, "not_canonical"),
    "depth 10,000": (b'{"kind":"finding","title":"t","data":' + b'{"x":' * 10_000 + b"1" + b"}" * 10_001, -32600),
    "brackets left open": (b'{"kind":"finding","QWXZ-HOSTILE":[[[[', -32600),
    "5 MB": (b'{"kind":"finding","title":"t","body":"' + b"QWXZ-HOSTILE" * 430_000 + b'"}', "too_long"),
    "9 MB": (b'{"kind":"finding","title":"t","body":"' + b"QWXZ-HOSTILE" * 800_000 + b'"}', -32600),
    "a list of arguments": (b'["QWXZ-HOSTILE"]', -32602),
    "a text of arguments": (b'"QWXZ-HOSTILE"', -32602),
}
NOISE = [b"not json QWXZ-HOSTILE", b"", b"   ", b"[]", b"null", b"\xff\xfe\x00", b'"QWXZ-HOSTILE"', b"{", b"\x00"]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_on_the_wire_it_is_answered_and_the_server_lives_on(launch, live, mode):
    server = launch(mode=mode)
    server.ok("session_start", task="t")
    before = live.log_size
    for case, (arguments, expected) in RAW.items():
        answer = server.raw_call("memory_search" if b'"query"' in arguments else "memory_write", arguments)
        if isinstance(expected, int):
            assert answer["error"]["code"] == expected, case
        else:
            assert answer["result"]["isError"] is True, case
            assert answer["result"]["content"][0]["text"].startswith(expected + ": "), (case, answer)
    for line in NOISE:
        server.send(line)
    check_messages_that_are_no_calls(server)
    assert server.ok("memory_search")["attributed"]["count"] == 0
    assert live.log_size == before
    assert server.close() == 0
    assert b"HOSTILE" not in server.stdout + server.stderr
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in server.stdout.splitlines())


def check_messages_that_are_no_calls(server: Any) -> None:
    assert server.request("QWXZ-HOSTILE", {})["error"]["message"] == "Method not found"
    assert server.request("resources/read", {"uri": "QWXZ-HOSTILE"})["error"]["code"] == -32602
    assert server.request("resources/read", {"uri": "memstore://record/QWXZ-HOSTILE"})["error"]["code"] == -32602
    assert server.request("prompts/get", {"name": "QWXZ-HOSTILE"})["error"]["code"] == -32602
    assert server.request("tools/call", {"name": 5, "arguments": {"QWXZ-HOSTILE": 1}})["error"]["code"] == -32602
    unknown = server.request("tools/call", {"name": "QWXZ-HOSTILE"})["result"]
    assert unknown["isError"] is True
