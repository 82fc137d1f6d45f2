"""`why`, `blame`, `impact` and `history --delta` at the command line: JSON, lines for people, short ids, bad input."""

import re
from typing import Any

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
HOSTILE = "calm\x1b[2J\nCHAINS"


def chain(cli: Any) -> tuple[str, str]:
    """A finding and a decision that names it: their ids."""
    said = cli("write", "--agent", "worker", "--kind", "finding", "--title", HOSTILE, "--body", "b").answer["id"]
    decided = cli(
        *("write", "--agent", "planner", "--kind", "decision", "--title", "Go", "--rationale", "r"),
        *("--alternative", "none", "--derived-from", said),
    ).answer["id"]
    return said, decided


def test_blame_impact_and_why_answer_in_json_and_take_the_beginning_of_an_id(cli):
    said, decided = chain(cli)
    blamed = cli("blame", decided[:12], "--agent", "planner").answer
    assert [(node["id"], node["how"]) for node in blamed["nodes"]] == [(said, "declared")]
    assert [node["id"] for node in cli("impact", said).answer["nodes"]] == [decided]
    told = cli("why", said).answer
    assert told["record"]["id"] == said
    assert any("no higher than attributed: its author is a worker" in line for line in told["told"])


def test_as_of_is_taken_as_a_position(cli):
    said, decided = chain(cli)
    seq = cli("why", said).answer["record"]["seq"]
    assert cli("impact", said, "--as-of", str(seq)).answer["nodes"] == []
    refused = cli("why", decided, "--as-of", str(seq))
    assert refused.code == "unknown_id"


def test_ids_of_nothing_ambiguous_ones_and_bad_times_are_refused_in_a_line(cli):
    for number in range(34):
        cli("write", "--agent", "worker", "--kind", "finding", "--title", f"t{number}", "--body", "b")
    assert cli("blame", "m-" + "a" * 26).code == "unknown_id"
    assert cli("blame", "m-\x1b[2J").code == "unknown_id"
    ambiguous = [cli("why", f"m-{letter}") for letter in "abcdefghijklmnopqrstuvwxyz234567"]
    told = [ended for ended in ambiguous if ended.status and ended.code == "ambiguous_id"]
    assert told
    assert all(len(re.findall(r"m-[a-z2-7]{26}", ended.stderr)) >= 2 for ended in told)
    assert cli("why", "m-a", "--as-of", "yesterday").code == "bad_time"


def test_a_blame_is_a_ranked_list_and_a_tree_on_a_terminal_and_stored_text_draws_nothing(cli, terminal):
    said, decided = chain(cli)
    shown = terminal("blame", decided, "--agent", "worker")
    assert shown.status == 0, shown.stdout
    plain = COLOUR.sub("", shown.stdout).replace("\r\n", "\n")
    assert [line.split()[0] for line in plain.split("\n") if re.match(r"[A-Z]{2,}", line)] == ["OF", "FOUND", "CHAINS"]
    assert f"└─ named: {said[:12]}" in plain
    assert said not in plain
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", plain)
    told = COLOUR.sub("", terminal("why", said[:12]).stdout)
    assert "What would raise it:" in told
    assert "Its signature is valid" in told


def test_a_delta_between_two_moments_says_what_came_and_what_fell(cli, terminal):
    said, decided = chain(cli)
    seq = cli("why", decided).answer["record"]["seq"]
    cli("retract", said, "--agent", "planner", "--reason", "poisoned")
    came = cli("history", "--delta", f"{seq - 1}..{seq}", "--agent", "planner").answer
    assert [(event["event"], event["id"]) for event in came["events"]] == [("came", decided)]
    fell = cli("history", "--delta", f"{seq}..{seq + 50}").answer
    assert {(event["event"], event["id"]) for event in fell["events"]} == {("fell", said), ("fell", decided)}
    assert "suspect" in COLOUR.sub("", terminal("history", "--delta", f"{seq}..{seq + 50}").stdout)
    for wrong, code in (
        (f"{seq}", "invalid"),
        ("..", "invalid"),
        (f"{seq}..{seq - 1}", "out_of_range"),
        ("x..y", "bad_time"),
    ):
        assert cli("history", "--delta", wrong).code == code
    assert cli("history", "--delta", f"{seq}..{seq}", "--task", "dig").code == "invalid"
    assert cli("history", "--delta", f"1..h-{'a' * 26}").code == "unknown_id"


def test_what_a_terminal_shows_of_an_id_is_enough_for_every_verb(cli, terminal, tmp_path):
    said, decided = chain(cli)
    (short,) = re.findall(r"named: (m-[a-z2-7]+)", COLOUR.sub("", terminal("blame", decided).stdout))
    assert said.startswith(short)
    assert short != said
    assert cli("get", short, "--agent", "planner").answer["records"][0]["id"] == said
    assert [event["id"] for event in cli("history", "--id", short).answer["events"]] == [said]
    assert cli("export", "bundle", short, "--agent", "planner").answer["record"] == said
    assert cli("export", "prov", short, "--agent", "planner").status == 0
    assert cli("review", short, "--agent", "planner", "--verdict", "dispute").answer["results"][0]["id"] == said
    assert cli("retract", short, "--agent", "planner", "--reason", "wrong").answer["id"] == said
    # Nothing is done to what a few letters happen to name.
    assert cli("retract", said[:8], "--agent", "planner", "--reason", "poisoned").code == "unknown_id"
    told = COLOUR.sub("", terminal("history").stdout)
    assert re.search(rf"planner: retracted  wrong  {said}", told)
    assert re.search(rf"planner: reviewed  dispute  {said}", told)
    assert said in terminal("why", short).stdout


def test_a_timeline_of_nothing_says_so_and_an_id_of_nothing_is_refused(cli, terminal):
    assert "Nothing." in terminal("history", "--task", "none").stdout
    assert cli("history", "--id", "m-" + "a" * 26).code == "unknown_id"
