"""Pages and budgets: cursors that survive writes, `max_tokens` that is kept, queries that are taken literally (T10)."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
from simulator import Fleet, entries, ids

from memstore.cursors import MOST_SERVED, encode_cursor, part
from memstore.errors import InvalidInput
from memstore.service import MemStore

HUGE = {"kind": "finding", "title": "alpha " * 30, "body": 'alpha \u0001"\n' * 6000}


def tokens(answer: object) -> float:
    """Four characters count as a token (DESIGN 7)."""
    return len(json.dumps(answer, ensure_ascii=False, separators=(",", ":"))) / 4


def answered(reader: MemStore, verb: str, *, max_tokens: int, **arguments: Any) -> tuple[dict[str, Any], int]:
    """The answer, and the budget it was given under: the one asked for, or the least that the refusal names."""
    try:
        return getattr(reader, verb)(max_tokens=max_tokens, **arguments), max_tokens
    except InvalidInput as refused:
        if refused.code != "out_of_range":
            raise
        least = int(refused.next_call.split()[-1].rstrip("."))
        return getattr(reader, verb)(max_tokens=least, **arguments), least


def walk(reader: MemStore, query: str, section: str, *, between: Any = None, **arguments: Any) -> list[str]:
    """The ids of a section, page by page; `between` is called after each page."""
    items = "entries" if section == "quarantined" else "hits"
    found: list[str] = []
    cursor = ""
    for _ in range(500):
        answer = reader.search(query, cursor=cursor, **arguments)
        found += [item.get("id") or item["sha256"] for item in answer[section][items]]
        cursor = answer[section]["next_cursor"]
        if not cursor:
            return found
        if between is not None:
            between()
    raise AssertionError("the walk does not end")


@pytest.mark.parametrize("query", ["alpha", ""])
@pytest.mark.parametrize("limit", [1, 3, 100])
def test_a_walk_gives_every_record_once(fleet, ada, query, limit):
    written = [ada.write("finding", f"alpha {n}", "b" * n)["id"] for n in range(1, 12)]
    assert sorted(walk(fleet.fresh("ben"), query, "attributed", limit=limit)) == sorted(written)


@pytest.mark.parametrize("query", ["alpha beta", ""])
def test_a_walk_while_others_write_gives_every_record_of_the_start_once(fleet, ada, query):
    written = [ada.write("finding", f"alpha {n}", "beta " * (n % 5) + "b")["id"] for n in range(30)]
    more = iter(range(40))

    def between() -> None:
        # Newer, and better ranked than what is still to come; every statistic changes. It ends, so that the walk does.
        for n in more:
            ada.write("finding", f"alpha beta {n} more", "alpha " * 50)
            if n % 2:
                return

    found = walk(fleet.fresh("ben"), query, "attributed", between=between, limit=4)
    assert len(found) == len(set(found))
    assert set(written) <= set(found)


def test_each_section_has_a_walk_of_its_own(fleet, ada, lead):
    trusted = [lead.write("constraint", f"alpha {n}")["id"] for n in range(5)]
    attributed = [ada.write("constraint", f"alpha {n}")["id"] for n in range(5)]
    pages = fleet.fresh("ada")
    digests = {pages.observe(f"https://example.org/{n}", f"alpha {n}")["id"] for n in range(5)}
    reader = fleet.fresh("ben")
    assert sorted(walk(reader, "alpha", "trusted", limit=2)) == sorted(trusted)
    assert sorted(walk(reader, "alpha", "attributed", limit=2)) == sorted(attributed)
    assert len(set(walk(reader, "alpha", "quarantined", limit=2))) == len(digests)


def test_a_cursor_s_page_holds_its_section_only(fleet, ada, lead):
    for n in range(3):
        ada.write("constraint", f"alpha {n}")
        lead.write("constraint", f"alpha {n}")
    reader = fleet.fresh("ben")
    cursor = reader.search("alpha", limit=1)["attributed"]["next_cursor"]
    page = reader.search("alpha", limit=1, cursor=cursor)
    assert (page["trusted"]["hits"], len(page["attributed"]["hits"])) == ([], 1)


@pytest.mark.parametrize(
    "changed",
    [{"query": "beta"}, {"kinds": ["finding"]}, {"author": "ada"}, {"detail": "full"}, {"until": "999"}, {"task": "t"}],
)
def test_a_cursor_of_another_query_is_refused(fleet, ada, changed):
    for n in range(3):
        ada.write("constraint", f"alpha {n}")
    cursor = ada.search("alpha", limit=1)["attributed"]["next_cursor"]
    with pytest.raises(InvalidInput) as refused:
        ada.search(**{"query": "alpha", "limit": 1, "cursor": cursor, **changed})
    assert refused.value.code == "bad_cursor"


def test_a_cursor_holds_when_limit_and_budget_change(fleet, ada):
    for n in range(6):
        ada.write("constraint", f"alpha {n}")
    first = ada.search("alpha", limit=2)
    rest = ada.search("alpha", limit=50, max_tokens=9000, cursor=first["attributed"]["next_cursor"])
    assert len(set(ids(first, "attributed") + ids(rest, "attributed"))) == 6


def test_a_cut_or_spoilt_cursor_is_refused(fleet, ada):
    for n in range(6):
        ada.write("constraint", f"alpha {n}")
    cursor = ada.search("alpha", limit=2)["attributed"]["next_cursor"]
    for spoilt in (cursor[:-1], cursor[1:], "x" + cursor[1:], cursor + "AAA", "A", "=", "\n"):
        with pytest.raises(InvalidInput) as refused:
            ada.search("alpha", cursor=spoilt)
        assert refused.value.code == "bad_cursor"


def test_a_walk_that_goes_further_than_a_cursor_can_ends_with_a_note_and_never_with_an_error(fleet, ada, monkeypatch):
    monkeypatch.setattr("memstore.query.MOST_SERVED", 20)
    for n in range(30):
        ada.write("question", f"delta {n}")
    answer: dict[str, Any] = {}
    cursor, served = "", 0
    while cursor or not answer:
        answer = ada.search("delta", cursor=cursor, limit=5, detail="ids")
        served += len(answer["attributed"]["hits"])
        cursor = answer["attributed"]["next_cursor"]
    assert (answer["attributed"]["count"], served) == (30, 25)
    assert "narrow" in answer["note"]


def test_the_longest_cursor_that_is_given_out_is_taken_back(ada):
    longest = encode_cursor({}, "attributed", [part(str(n)) for n in range(MOST_SERVED)])
    with pytest.raises(InvalidInput) as refused:
        ada.search("delta", cursor=longest)
    assert refused.value.code == "bad_cursor"


BUDGETS = [100, 150, 300, 700, 2000]


@pytest.fixture(scope="module")
def crowd(shared: Fleet) -> Fleet:
    """Records of every size in every section, and a task with all that goes into a brief."""
    ada, lead, person = shared.fresh("ada"), shared.fresh("lead"), shared.fresh("person")
    task = "t" * 200
    for author in (ada, lead):
        author.session_start(task)
        author.write(**HUGE)
        author.write(**{**HUGE, "body": "é🜛" * 9000, "caveats": ["\u0002" * 2000] * 1, "tags": ["x" * 64]})
        author.write("finding", "alpha", data={"alpha": ["\\" * 1000] * 20}, caveats=["alpha " * 300] * 60)
        for n in range(12):
            author.write(
                "decision", f"alpha {n} {'w' * 180}", "alpha " * n * 40, rationale="r " * 300, alternatives=["none"]
            )
            author.write("question", f"alpha {n}? {'w' * 180}", "alpha " * 100)
            author.write("constraint", f"alpha {n}! {'w' * 180}", caveats=["c" * 1000])
    person.session_start(task, goal="Do it.\n\u0001" * 500)
    page = shared.fresh("ada")
    for n in range(12):
        page.observe(f"https://example.org/{n}", f"alpha {n} " + "\u202e" * 4000, ttl_seconds=0)
        ada.observe("tool:weather", f"alpha {n} " + "x" * 3000, ttl_seconds=1)
    shared.clock.advance(seconds=2)
    return shared


@pytest.mark.parametrize("most", BUDGETS)
@pytest.mark.parametrize("detail", ["ids", "concise", "full"])
@pytest.mark.parametrize("name", ["ben", "lead"])
def test_search_keeps_max_tokens_on_every_page(crowd, most, detail, name):
    reader = crowd.fresh(name)
    cursor = ""
    for section in ("trusted", "attributed", "quarantined"):
        for _ in range(4):
            answer = reader.search("alpha", detail=detail, max_tokens=most, limit=100, cursor=cursor)
            assert tokens(answer) <= most
            cursor = answer[section]["next_cursor"]
            if not cursor:
                break


@pytest.mark.parametrize("most", BUDGETS)
@pytest.mark.parametrize("detail", ["ids", "concise", "full"])
def test_get_keeps_max_tokens_or_says_how_many_it_needs(crowd, most, detail):
    reader = crowd.fresh("ben")
    found = reader.search("alpha", limit=20, detail="ids", max_tokens=20_000)
    asked = [*ids(found, "attributed"), *ids(found, "trusted")][:17]
    asked += ["key:" + "n" * 190, "m-" + "a" * 26]
    for wanted in (asked, asked[:1], asked[-1:]):
        answer, most_needed = answered(reader, "get", ids=wanted, detail=detail, max_tokens=most)
        assert tokens(answer) <= most_needed <= max(most, 60 * len(wanted) + 100)
        assert len(answer["records"]) + len(answer["quarantined"]) + len(answer["missing"]) == len(wanted)


@pytest.mark.parametrize("most", BUDGETS)
@pytest.mark.parametrize("render", ["datamarked", "base64", "json"])
def test_open_keeps_max_tokens_or_says_how_many_it_needs(crowd, most, render):
    reader = crowd.fresh("ben")
    found = [entry["ref"] for entry in entries(reader.search("alpha", limit=5, max_tokens=9000))]
    assert len(found) == 5
    for wanted in (found, found[:2], found[:1]):
        answer, most_needed = answered(reader, "open", refs=wanted, render=render, max_tokens=most)
        assert tokens(answer) <= most_needed <= max(most, 60 * len(wanted) + 100)
        assert all(entry["body"] for entry in answer["entries"])


@pytest.mark.parametrize("most", BUDGETS)
def test_history_keeps_max_tokens_and_a_walk_with_it_passes_nothing_over(crowd, most):
    reader = crowd.fresh("ben")
    whole = [e["seq"] for e in reader.history(max_tokens=100_000, limit=500)["events"]]
    walked: list[int] = []
    cursor = ""
    while True:
        answer = reader.history(max_tokens=most, cursor=cursor)
        assert tokens(answer) <= most
        walked += [event["seq"] for event in answer["events"]]
        cursor = answer["next_cursor"]
        if not cursor or len(walked) > 40:
            break
    assert walked == whole[: len(walked)]
    assert len(walked) > 40 or walked == whole


@pytest.mark.parametrize("most", BUDGETS)
@pytest.mark.parametrize("name", ["ben", "lead", "person"])
def test_a_brief_keeps_max_tokens_and_says_what_did_not_fit(crowd, most, name):
    answer = crowd.fresh(name).session_start("t" * 200, max_tokens=most)
    assert tokens(answer) <= most
    assert "did not fit" in answer["note"]


def test_a_record_too_big_for_the_budget_does_not_bar_the_way_to_the_rest(fleet, ada):
    big = ada.write("finding", "alpha alpha alpha", "alpha", caveats=["alpha " * 300] * 60)
    small = [ada.write("finding", f"alpha {n}", "b")["id"] for n in range(3)]
    found = walk(fleet.fresh("ben"), "alpha", "attributed")
    assert sorted(found) == sorted([big["id"], *small])
    (hit,) = [h for h in fleet.fresh("ben").search("alpha")["attributed"]["hits"] if h["id"] == big["id"]]
    assert hit["title"] == "alpha alpha alpha"
    assert hit["cut"] == {"body": 5, "data": False}


@pytest.mark.parametrize("query", ["alpha", ""])
def test_records_that_do_not_verify_do_not_hide_those_that_do(fleet, ada, query):
    written = [ada.write("finding", f"alpha {n}", "b") for n in range(20)]
    for told in written[6:]:
        fleet.sql(
            "UPDATE contents SET content = CAST(replace(content, 'alpha', 'x') AS BLOB) WHERE seq = ?", told["seq"]
        )
    reader = fleet.fresh("ben")
    assert sorted(walk(reader, query, "attributed", limit=3)) == sorted(told["id"] for told in written[:6])
    answer = reader.search(query, limit=20, max_tokens=9000)
    assert [entry["reasons"] for entry in entries(answer)] == [["bad_signature"]] * 14
    assert (answer["attributed"]["count"], answer["quarantined"]["count"]) == (6, 14)


@pytest.mark.parametrize("value", ["'text'", "7", "x'ff'", "zeroblob(5)"])
@pytest.mark.parametrize("column", ["content", "salt", "fingerprint"])
def test_a_value_of_another_type_in_a_row_breaks_that_record_only(fleet, ada, column, value):
    bad, good = (ada.write("finding", f"alpha {n}", "b") for n in range(2))
    fleet.sql(f"UPDATE contents SET {column} = {value} WHERE seq = ?", bad["seq"])
    reader = fleet.fresh("ben")
    assert good["id"] in ids(reader.search("alpha"), "attributed")
    assert reader.get([good["id"]])["records"][0]["title"] == "alpha 1"
    assert fleet.audit()["ok"] == (column == "fingerprint")


def test_a_section_that_got_no_room_is_said_in_the_note(fleet, ada, lead):
    lead.write("constraint", "alpha", "alpha " * 500)
    ada.write("constraint", "alpha", "alpha " * 500)
    answer = fleet.fresh("ben").search("alpha", max_tokens=360)
    assert ids(answer, "attributed") == []
    assert answer["attributed"]["count"] == 1
    assert "max_tokens" in answer["note"]


LITERAL = [
    '"alpha"', '"alpha', "alpha*", "alph*", "NEAR(alpha beta)", "NEAR(alpha beta, 2)", "title:alpha", "text : alpha",
    "-alpha", "- alpha", "alpha AND omega", "omega OR alpha", "NOT alpha", "alpha NOT beta", "^alpha", "{title}:alpha",
    "alpha + beta", "(alpha", "alpha)", "'; DROP TABLE records; --", "alpha\\", "%", "*", '"', "", " ", "\n\t", "AND",
    "OR",    "NOT", "NEAR", "col:", ":", "-", "^", "words_trusted", "rank:1", "_", "__", "☃", "١٢٣",
]  # fmt: skip


@pytest.mark.parametrize("query", LITERAL)
def test_full_text_syntax_in_a_query_is_taken_literally(syntax, query):
    store, alpha = syntax
    found = ids(store.search(query), "attributed")
    assert (alpha in found) == ("alpha" in query or not query.strip())


@pytest.fixture(scope="module")
def syntax(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("syntax") / "store"
    shutil.copytree(made, folder)
    with Fleet(folder) as fleet:
        ada = fleet.fresh("ada")
        yield ada, ada.write("finding", "alpha", "beta gamma")["id"]


def test_words_joined_by_operators_are_all_looked_for(fleet, ada):
    first = ada.write("finding", "one", "alpha")["id"]
    second = ada.write("finding", "two", "and not near")["id"]
    assert sorted(ids(ada.search("alpha AND"), "attributed")) == sorted([first, second])
    assert ids(ada.search("alpha -near NOT"), "attributed") != [first]


def test_a_query_of_4096_characters_is_answered_and_one_of_100_kb_refused(fleet, ada):
    kept = ada.write("finding", "alpha", "b")["id"]
    assert ids(ada.search(("alpha " * 1000)[:4096]), "attributed") == [kept]
    assert ids(ada.search("a" * 4096), "attributed") == []
    with pytest.raises(InvalidInput) as refused:
        ada.search("alpha " * 17_000)
    assert refused.value.code == "too_long"


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("Straße nach Wien", "straße"),
        ("naïve café", "NAIVE CAFE"),
        ("cafe\u0301 au lait", "café"),
        ("Привет мир", "привет"),
        ("γλῶσσα", "γλῶσσα"),
        ("日本語 のテキスト", "日本語"),
        ("مرحبا بالعالم", "مرحبا"),
        ("snake_case_name here", "snake_case_name"),
        ("error E1234 at x.py:17", "x.py:17"),
    ],
)
def test_words_of_any_script_are_found(fleet, ada, text, query):
    ada.write("finding", "another", "nothing of the sort")
    kept = ada.write("finding", "t", text)["id"]
    assert ids(ada.search(query), "attributed") == [kept]
