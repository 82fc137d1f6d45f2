"""Published attacks: AgentDojo's documents, clean and poisoned, and texts that only look like attacks.

The documents are observed as they would be, from outside; none of their words may come back unasked, and all of them
must come back exactly when asked for.
"""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from simulator import RUN, Fleet, refs, words_in
from vectors import vector_path

from memstore.service import MemStore

MOST = 150


def published(name: str) -> list[dict[str, Any]]:
    """The lines of a file of the data set, which stands beside the vectors; skips where it is absent."""
    path = Path(vector_path()).parent / "data" / "untrusted" / name
    if not path.exists():
        pytest.skip(f"the data set untrusted/{name} is not here: set MEMSTORE_SHARED to the folder that holds data/")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def runs(texts: list[str]) -> set[str]:
    """Every run of 16 characters of all the texts."""
    return {text[at : at + RUN] for text in texts for at in range(len(text) - RUN + 1)}


def observe_all(member: MemStore, texts: list[str]) -> None:
    for number, text in enumerate(texts):
        member.observe(f"https://documents.example/{number}", text, title=text[:80])


def test_no_default_answer_holds_a_word_of_a_poisoned_document(fleet: Fleet):
    texts = [line["text"] for line in published("agentdojo_docs.jsonl") if line["poisoned"]][::3][:MOST]
    queries = [line["query"] for line in published("agentdojo_tasks.jsonl")][::4]
    injections = [line["text"] for line in published("injections_dev.jsonl")][::12]
    agent = fleet.agent("agent")
    observe_all(agent, texts)
    reader, lead = fleet.agent("reader"), fleet.agent("lead", role="lead")
    answers = [reader.search(query, limit=20) for query in [*queries, *injections]]
    answers += [lead.search(query, min_trust="attributed", detail="full") for query in queries[:10]]
    answers += [reader.history(limit=500, max_tokens=100_000), reader.session_start("work")]
    known = runs(texts)
    told = words_in(answers)
    leaks = {told[at : at + RUN] for at in range(len(told) - RUN + 1)} & known
    assert leaks == set()
    assert sum(answer["quarantined"]["count"] for answer in answers if "quarantined" in answer) > len(queries)


def slots(member: MemStore, queries: list[str]) -> list[list[str]]:
    """For each task the titles in the trusted and attributed slots of a default answer."""
    found = [member.search(query) for query in queries]
    return [[hit["title"] for name in ("trusted", "attributed") for hit in one[name]["hits"]] for one in found]


def test_every_slot_filled_without_the_poison_holds_the_same_record_beside_it(fleet: Fleet):
    documents = published("agentdojo_docs.jsonl")
    queries = [line["query"] for line in published("agentdojo_tasks.jsonl")]
    clean = [line["text"] for line in documents if not line["poisoned"] and len(line["text"]) > RUN]
    poisoned = [line["text"] for line in documents if line["poisoned"]]
    agent, person = fleet.agent("agent"), fleet.agent("person", role="human")
    # What the clean documents say, as notes of an agent and of a person.
    for number, text in enumerate(clean):
        (person if number % 2 else agent).write("finding", f"Note {number}: {text[:60]}", text)
    fleet.agent("reader")
    before = slots(fleet.fresh("reader"), queries)
    observe_all(fleet.agent("browser"), poisoned)
    after = [fleet.fresh("reader").search(query) for query in queries]
    assert slots(fleet.fresh("reader"), queries) == before
    assert sum(map(len, before)) > len(queries)
    assert len(queries) == 86
    known = runs(poisoned) - runs(clean)
    told = words_in(after)
    assert {told[at : at + RUN] for at in range(len(told) - RUN + 1)} & known == set()


def test_what_an_agent_writes_of_them_is_tainted(fleet: Fleet):
    text = next(line["text"] for line in published("agentdojo_docs.jsonl") if line["poisoned"])
    agent = fleet.agent("agent")
    observe_all(agent, [text])
    assert agent.write("finding", "As the document says", text)["label"] == "tainted"


def test_a_benign_text_comes_back_byte_for_byte(fleet: Fleet):
    texts = [line["text"] for line in published("benign.jsonl")][::4]
    agent = fleet.agent("agent")
    for number, text in enumerate(texts):
        agent.observe(f"https://documents.example/{number}", text, key=str(number))
    reader = fleet.agent("reader")
    found: dict[str, str] = {}
    cursor = ""
    while True:
        answer = reader.search(cursor=cursor, limit=100, max_tokens=100_000)
        for at in range(0, len(refs(answer)), 5):
            opened = reader.open(refs(answer)[at : at + 5], render="base64", max_tokens=100_000)
            found |= {one["id"]: base64.b64decode(one["body"]).decode() for one in opened["entries"]}
        cursor = answer["quarantined"]["next_cursor"]
        if not cursor:
            break
    assert sorted(found.values()) == sorted(texts)


def test_a_benign_text_in_an_agents_own_words_is_not_quarantined(fleet: Fleet):
    texts = [line["text"] for line in published("benign.jsonl")][::20]
    agent, reader = fleet.agent("agent"), fleet.agent("reader")
    labels = {agent.write("finding", f"Note {n}", text)["label"] for n, text in enumerate(texts)}
    assert labels == {"attributed"}
    assert reader.search("", limit=100, max_tokens=100_000)["quarantined"]["count"] == 0
