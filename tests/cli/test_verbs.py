"""The verbs from the command line: their arguments as options, the same answers, and one continuing context."""

import json

import pytest

WRITE = (
    "write",
    "--agent",
    "worker",
    "--kind",
    "finding",
    "--title",
    "Use SQLite",
    "--body",
    "WAL serves many processes",
)


def test_what_was_written_is_found(cli):
    written = cli(*WRITE, "--task", "t1", "--verification", "verified", "--evidence", "a run").answer
    assert (written["status"], written["label"]) == ("stored", "attributed")
    found = cli("search", "sqlite", "processes", "--agent", "worker").answer
    hit = found["attributed"]["hits"][0]
    assert (hit["id"], hit["task"], hit["evidence"]) == (written["id"], "t1", ["a run"])
    assert list(found) == ["trusted", "attributed", "quarantined", "mark", "note"]


def test_lists_repeat_the_option_in_singular_or_plural_and_objects_are_json(cli):
    told = ("--caveats", "one", "--caveat", "two", "--tag", "db", "--tags", "wal", "--data", '{"mode": {"wal": true}}')
    written = cli(*WRITE, *told, "--confidence", "70", "--key", "db/choice").answer
    record = cli("get", "key:db/choice", "--agent", "worker").answer["records"][0]
    assert (record["id"], record["caveats"], record["confidence"]) == (written["id"], ["one", "two"], 70)
    assert record["data"] == {"mode": {"wal": True}}
    assert cli("search", "--tag", "db", "--tag", "wal", "--agent", "worker").answer["attributed"]["count"] == 1
    assert cli("search", "--tag", "none", "--agent", "worker").answer["attributed"]["count"] == 0


def test_a_flag_is_true_by_being_there(cli):
    assert cli(*WRITE, "--dry-run").answer["status"] == "would_store"
    assert cli("stats").answer["records"]["total"] == 0


@pytest.mark.parametrize("source", ["file", "stdin"])
def test_one_object_gives_all_arguments_and_options_win_over_it(cli, tmp_path, source):
    told = {"kind": "finding", "title": "of the object", "body": "b", "caveats": ["c"], "task": "t2"}
    if source == "file":
        (tmp_path / "a b.json").write_text(json.dumps(told), "utf-8")
        ended = cli("write", "--agent", "worker", "--json", str(tmp_path / "a b.json"), "--title", "of the option")
    else:
        ended = cli("write", "--agent", "worker", "--json", "-", "--title", "of the option", stdin=json.dumps(told))
    record = cli("get", ended.answer["id"], "--agent", "worker").answer["records"][0]
    assert (record["title"], record["caveats"], record["task"]) == ("of the option", ["c"], "t2")


def test_the_option_names_the_task_before_the_object_does(cli):
    told = json.dumps({"kind": "finding", "title": "t", "body": "b", "task": "of the object"})
    written = cli("write", "--agent", "worker", "--json", "-", "--task", "of the option", stdin=told).answer
    found = cli("get", written["id"], "--agent", "worker").answer
    assert found["records"][0]["task"] == "of the option"


BAD = {
    "not json": ("bad_json", b"{"),
    "not an object": ("bad_json", b"[1]"),
    "a name twice": ("bad_json", b'{"kind": "finding", "kind": "finding"}'),
    "not a number": ("bad_json", b'{"confidence": NaN}'),
    "too deep": ("bad_json", b"[" * 100_000),
    "a number of many digits": ("bad_json", b'{"confidence": ' + b"1" * 10_000 + b"}"),
    "not utf-8": ("bad_json", b'{"title": "\xff"}'),
    "too long": ("too_long", b'"' + b"x" * (4 << 20) + b'"'),
    "a name of the facade's own": ("unknown_field", b'{"kind": "finding", "title": "t", "self": 1}'),
    "an unknown field": ("unknown_field", b'{"kind": "finding", "title": "t", "titel": "t"}'),
    "a task of no type": ("invalid", b'{"kind": "finding", "title": "t", "task": 7}'),
    "a float": ("not_canonical", b'{"kind": "finding", "title": "t", "body": "b", "data": {"x": 1.5}}'),
    "beyond 2^53": (
        "not_canonical",
        b'{"kind": "finding", "title": "t", "body": "b", "data": {"x": 9007199254740993}}',
    ),
    "a nul": ("not_canonical", b'{"kind": "finding", "title": "t", "body": "secret\\u0000"}'),
    "a lone surrogate": ("not_canonical", b'{"kind": "finding", "title": "\\ud800", "body": "b"}'),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_object_is_refused_by_its_code_and_not_echoed(cli, bad):
    code, raw = BAD[bad]
    ended = cli("write", "--agent", "worker", "--json", "-", stdin=raw)
    assert (ended.status, ended.code, ended.stdout) == (2, code, "")
    assert "secret" not in ended.stderr
    assert "titel" not in ended.stderr
    assert cli("stats").answer["records"]["total"] == 0


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (("write", "--agent", "worker", "--kind", "zebra", "--title", "t"), 2, "unknown_kind"),
        (("write", "--agent", "worker", "--kind", "finding"), 2, "missing_field"),
        (("write", "--agent", "worker", "--kind", "decision", "--title", "t"), 2, "missing_field"),
        ((*WRITE, "--confidence", "zebra"), 2, "invalid"),
        ((*WRITE, "--confidence", "101"), 2, "out_of_range"),
        ((*WRITE, "--data", "zebra"), 2, "bad_json"),
        ((*WRITE, "--scope", "zebra"), 5, "unknown_scope"),
        ((*WRITE, "--derived-from", "m-" + "a" * 26), 3, "unknown_id"),
        (("observe", "--agent", "worker", "--source", "tool:x", "--content", "zebra"), 2, "missing_field"),
        (("search", "--agent", "zebra"), 3, "no_key"),
        (("search", "--agent", "@store"), 5, "unknown_principal"),
        (("search", "--agent", "../keys/worker"), 5, "unknown_principal"),
        (("search", "--agent", "worker", "--limit", "0"), 2, "out_of_range"),
        (("search", "--agent", "worker", "--since", "zebra"), 2, "bad_time"),
        (("search", "--agent", "worker", "--cursor", "zebra"), 2, "bad_cursor"),
        (("search", "--agent", "worker", "--json", "/no/such/file"), 2, "no_file"),
        (("get", "--agent", "worker"), 2, "missing_field"),
        (("open", "--agent", "worker", "r-zebra"), 3, "unknown_ref"),
        (("session", "end", "--agent", "worker", "--outcome", "completed"), 3, "no_session"),
        (("session", "end", "--agent", "worker", "--outcome", "zebra"), 2, "invalid"),
    ],
)
def test_bad_arguments_are_refused_with_the_status_of_their_family(cli, arguments, status, code):
    ended = cli(*arguments)
    assert (ended.status, ended.code, ended.stdout) == (status, code, "")
    assert "zebra" not in ended.stderr


def test_a_call_that_cannot_be_read_ends_with_2(cli):
    assert cli("search").status == 2  # without an agent
    assert cli("search", "--agent", "worker", "--colour", "red").status == 2
    assert "--colour" in cli("search", "--agent", "worker", "--colour", "red").stderr
    assert "\x1b" not in cli("\x1b[31mno-such-command").stderr


def test_a_query_is_taken_literally(cli):
    cli(*WRITE)
    for query in ('"', "*", "NEAR(", "title:sqlite", "a AND", "-- x'"):
        assert cli("search", "--agent", "worker", "--", query).status == 0


def test_all_calls_of_an_agent_are_one_context_until_the_operator_resets_it(cli):
    seen = cli("observe", "--agent", "worker", "--source", "https://x.example/", "--content", "words").answer
    assert seen["mark"] == "tainted"
    assert cli(*WRITE).answer["label"] == "tainted"
    assert cli("session", "reset", "worker").answer == {"principal": "worker", "scope": "main", "epoch": 1}
    fresh = cli("write", "--agent", "worker", "--kind", "finding", "--title", "t", "--body", "b").answer
    assert fresh["label"] == "attributed"


def test_quarantined_words_are_opened_by_their_ref_alone(cli):
    cli("observe", "--agent", "worker", "--source", "https://x.example/", "--content", "open sesame\x1b[2J")
    found = cli("search", "sesame", "--agent", "planner")
    assert "open sesame" not in found.stdout
    ref = found.answer["quarantined"]["entries"][0]["ref"]
    opened = cli("open", ref, "--agent", "planner", "--render", "json").answer
    assert "open sesame" in opened["entries"][0]["body"]
    assert opened["mark"] == "tainted"


def test_sessions_start_end_and_are_listed_with_their_state(cli):
    started = cli("session", "start", "--agent", "worker", "--task", "t1").answer
    assert cli(*WRITE).answer["status"] == "stored"
    assert [one["state"] for one in cli("session", "list").answer["sessions"]] == ["open"]
    ended = cli("session", "end", "--agent", "worker", "--outcome", "completed", "--summary", "done").answer
    assert [problem["code"] for problem in ended["problems"]] == ["unverified"]
    listed = cli("session", "list").answer["sessions"]
    assert [(one["session"], one["state"], one["task"]) for one in listed] == [(started["session"], "ended", "t1")]
    assert cli("session", "list", "--scope", "side").answer == {"sessions": []}
    events = cli("history", "--session", started["session"], "--agent", "worker").answer["events"]
    assert [event["event"] for event in events] == ["session_started", "recorded", "recorded", "session_ended"]


def test_the_operator_looks_back_without_an_agent_and_in_any_scope(cli):
    cli(*WRITE, "--task", "t1")
    cli("write", "--agent", "planner", "--scope", "side", "--kind", "constraint", "--title", "s", "--body", "b")
    assert [event["title"] for event in cli("history", "--task", "t1").answer["events"]] == ["Use SQLite"]
    assert [event["title"] for event in cli("history", "--scope", "side").answer["events"]] == ["s"]


def test_an_agent_acts_in_the_scope_it_names(cli):
    cli("write", "--agent", "planner", "--scope", "side", "--kind", "constraint", "--title", "aside", "--body", "b")
    assert cli("search", "aside", "--agent", "planner").answer["trusted"]["count"] == 0
    assert cli("search", "aside", "--agent", "planner", "--scope", "side").answer["trusted"]["count"] == 1
