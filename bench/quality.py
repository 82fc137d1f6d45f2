"""Rows of what a search finds in data that nobody here wrote, beside plain full text over the same titles and texts.

Constants were chosen on the items of even index, half A; `n` gives the figure on the others, half B, and one standard
error over all. Records are written by the import, embedded by the product's own queue and found by its own search.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.figures import Bench, Bound, Row, Skipped
from bench.floors import PlainText
from bench.loads import WORKER
from bench.texts import published
from memstore.core.records import MAX_TITLE
from memstore.importing import Line
from memstore.ports import Embedder
from memstore.service import MemStore

# An answer is cut by its number of hits alone, never by its length.
TOKENS = 100_000
FAR = 1_000_000
NOTHING = "–"


@dataclass(frozen=True)
class Piece:
    """One record to find: what it is called and says, its task, and the number of the piece that it replaces."""

    title: str
    text: str
    task: str
    replaces: int | None = None

    def arguments(self, number: int, kind: str) -> dict[str, Any]:
        text = self.text.strip() or NOTHING
        said = {"rationale": text, "alternatives": ["none"]} if kind == "decision" else {"body": text}
        if self.replaces is not None:
            said |= {"supersedes": f"key:{_key(self.replaces)}"}
        return {"kind": kind, "title": self.title[:MAX_TITLE], "task": self.task, "key": _key(number), **said}


@dataclass(frozen=True)
class Asked:
    """One question, and where it was answered: the place of what was wanted, by the product and by plain full text."""

    ours: int
    plain: int


def _key(number: int) -> str:
    return f"piece{number}"


def _number(hit: dict[str, Any]) -> int:
    return int(hit["key"].removeprefix("piece"))


def _place(wanted: int, numbers: Sequence[int]) -> int:
    """From 1, the best; far away for what is not there."""
    return numbers.index(wanted) + 1 if wanted in numbers else FAR


def quality(bench: Bench) -> Iterator[Row | Skipped]:
    """Rejected ideas, steps of failed traces, and superseded proposals."""
    if isinstance(bench.model, str):
        yield Skipped("quality", bench.model)
        return
    for name, measured in (("ideas", _ideas), ("traces", _traces), ("proposals", _proposals)):
        rows: list[Row | Skipped] = [*measured(bench, bench.model)]
        yield from rows or [Skipped(f"quality: {name}", "its data is not beside the checkout, nor at MEMSTORE_SHARED")]


def _opened(bench: Bench, name: str, kind: str, pieces: dict[int, Piece], embedder: Embedder) -> MemStore:
    """A store that holds these pieces in this order, all embedded, as a reader opens it."""
    store = bench.store(name)
    lines = [Line(_key(number), piece.arguments(number, kind)) for number, piece in pieces.items()]
    with store.reader(WORKER) as writer:
        told = writer.import_lines(lines, lambda done, _: bench.tell(f"{name}: {done:,} of {len(lines):,} imported"))
    if told["stored"] != len(lines):
        raise RuntimeError(f"{name}: {told['stored']} of {len(lines)} stored, {told['skipped'][:1]}")
    store.close()
    reader = store.reader(model=embedder)
    reader.embedding.drain(progress=lambda done, upto: bench.tell(f"{name}: {done:,} of {upto:,} embedded"))
    return reader


def _hits(reader: MemStore, query: str, **arguments: Any) -> list[dict[str, Any]]:
    answer = reader.search(query, max_tokens=TOKENS, **arguments)
    if "full text alone" in answer["note"]:
        raise RuntimeError(f"the search did without vectors: {answer['note']}")
    stale = [entry["stale"] for entry in answer["quarantined"]["entries"] if "stale" in entry]
    return [*answer["trusted"]["hits"], *answer["attributed"]["hits"], *stale]


def _ideas(bench: Bench, embedder: Embedder) -> Iterator[Row]:
    """An idea that was rejected, by its heading, which its record does not hold; the title is its proposal's."""
    ideas = published("decisions", "peps_rejected_ideas.jsonl")
    titles = {proposal["pep"]: proposal["title"] for proposal in published("decisions", "peps.jsonl")}
    if not ideas or not titles:
        return
    pieces = {
        number: Piece(titles[idea["pep"]], idea["text"], f"pep-{idea['pep']}") for number, idea in enumerate(ideas)
    }
    plain = PlainText((piece.title, piece.text) for piece in pieces.values())
    asked = []
    with _opened(bench, "ideas", "rejected", pieces, embedder) as reader:
        for number, idea in enumerate(ideas):
            bench.tell(f"ideas: {number:,} of {len(ideas):,} asked")
            found = [_number(hit) for hit in _hits(reader, idea["heading"], limit=5)]
            asked.append(Asked(_place(number, found), _place(number, plain.ranked(idea["heading"]))))
    name = "rejected idea by its heading"
    yield _hit(f"{name}, hit@5", asked, 5, "README .841", Bound(least=90))
    yield _hit(f"{name}, hit@1", asked, 1, "README .665", Bound(least=72))


@dataclass(frozen=True)
class Traced:
    """One failed run, asked for its mistake: within the run, over all runs, and how many hits were of other runs."""

    within: Asked
    overall: Asked
    hits: int
    strange: int
    plain_strange: bool


def _traces(bench: Bench, embedder: Embedder) -> Iterator[Row]:
    """The step at which a run went wrong, by who was at fault and why; a record's title is its agent's name."""
    events = published("whoandwhen_ag", "events.jsonl")
    labels = published("whoandwhen_ag", "labels.jsonl")
    if not events or not labels:
        return
    pieces = {number: Piece(one["agent"], one["text"], one["trace_id"]) for number, one in enumerate(events)}
    steps = {(one["trace_id"], one["step"]): number for number, one in enumerate(events)}
    wanted = [steps[one["trace_id"], one["mistake_step"]] for one in labels]
    plain = PlainText((piece.title, piece.text) for piece in pieces.values())
    with _opened(bench, "traces", "finding", pieces, embedder) as reader:
        bench.tell("traces: asked by agent and reason")
        queries = [f"{one['mistake_agent']} {one['mistake_reason']}" for one in labels]
        named = [_traced(reader, plain, pieces, *one) for one in zip(queries, wanted, strict=True)]
        bench.tell("traces: asked by reason alone")
        queries = [one["mistake_reason"] for one in labels]
        unnamed = [_traced(reader, plain, pieces, *one) for one in zip(queries, wanted, strict=True)]
    name = "step of a failed run by agent and reason"
    yield _hit(f"{name}, within it, hit@1", [one.within for one in named], 1, "README .413", Bound(least=48))
    yield _hit(f"{name}, of all runs, hit@5", [one.overall for one in named], 5, "README .635", Bound(least=70))
    name = "step of a failed run by reason alone"
    yield _hit(f"{name}, within it, hit@1", [one.within for one in unnamed], 1, "", Bound())
    yield _hit(f"{name}, of all runs, hit@5", [one.overall for one in unnamed], 5, "", Bound())
    hits = sum(one.hits for one in named)
    value, floor = 100 * sum(one.strange for one in named) / hits, _share(one.plain_strange for one in named)
    floor_is = "plain FTS5, first hit, no task"
    yield Row("hits of another task when task is given", value, "%", f"{hits} hits", floor, floor_is, Bound(value=0))


def _traced(reader: MemStore, plain: PlainText, pieces: dict[int, Piece], query: str, wanted: int) -> Traced:
    task = pieces[wanted].task
    within = _hits(reader, query, task=task, limit=5)
    overall = [_number(hit) for hit in _hits(reader, query, limit=5)]
    ranked = plain.ranked(query)
    ranked_within = [number for number in ranked if pieces[number].task == task]
    return Traced(
        Asked(_place(wanted, [_number(hit) for hit in within]), _place(wanted, ranked_within)),
        Asked(_place(wanted, overall), _place(wanted, ranked)),
        len(within),
        sum(pieces[_number(hit)].task != task for hit in within),
        pieces[ranked[0]].task != task,
    )


def _proposals(bench: Bench, embedder: Embedder) -> Iterator[Row]:
    """Proposals and what replaced them, by the title of the old one, which its successor often has too."""
    proposals = {one["pep"]: one for one in published("decisions", "peps.jsonl")}
    gold = published("decisions", "peps_supersession_gold.jsonl")
    if not proposals or not gold:
        return
    pieces = _in_order(proposals, _successors(proposals, gold))
    numbers = list(pieces)
    plain = PlainText((piece.title, piece.text) for piece in pieces.values())
    pairs: list[Asked] = []
    reached = []
    with _opened(bench, "proposals", "decision", pieces, embedder) as reader:
        for one in gold:
            found = [_number(hit) for hit in _hits(reader, one["query"])]
            ranked = [numbers[place] for place in plain.ranked(one["query"])]
            # Which of the two comes first: 1 where it is the old one, and it is there.
            for current in one["current"]:
                pairs.append(Asked(_first(one["stale"], current, found), _first(one["stale"], current, ranked)))
            reached.append(one["stale"] in map(_number, _hits(reader, one["query"], include_superseded=True)))
    name = "superseded proposal above its successor"
    yield _hit(name, pairs, 1, "README 77 %", Bound(value=0))
    n = f"{len(gold)} proposals, eight hits"
    yield Row("superseded proposal reached by include_superseded", _share(reached), "%", n, bound=Bound(least=100))


def _first(one: int, other: int, numbers: Sequence[int]) -> int:
    return 1 if _place(one, numbers) < _place(other, numbers) else 2


def _successors(proposals: dict[int, Any], gold: list[dict[str, Any]]) -> dict[int, int]:
    """Each superseded proposal's one successor: a record replaces one other, so a chain is taken as its links say."""
    options = {
        one["stale"]: [pep for pep, other in proposals.items() if one["stale"] in other["replaces"]] + one["current"]
        for one in gold
    }
    found: dict[int, int] = {}
    for stale in sorted(options, key=lambda pep: len(options[pep])):
        free = [pep for pep in options[stale] if pep not in found.values()]
        found[stale] = free[0]
    return found


def _in_order(proposals: dict[int, Any], successors: dict[int, int]) -> dict[int, Piece]:
    """The proposals as pieces, what is replaced before what replaces it."""
    replaced = {new: old for old, new in successors.items()}
    ordered: dict[int, Piece] = {}

    def put(pep: int) -> None:
        old = replaced.get(pep)
        if old is not None and old not in ordered:
            put(old)
        one = proposals[pep]
        ordered.setdefault(pep, Piece(one["title"], one["rationale"], f"pep-{pep}", old))

    for pep in proposals:
        put(pep)
    return ordered


def _hit(name: str, asked: list[Asked], upto: int, published_as: str, bound: Bound) -> Row:
    """How often what was wanted is among the first, beside how often plain full text has it there."""
    ours = [one.ours <= upto for one in asked]
    error = 100 * statistics.pstdev(ours) / len(ours) ** 0.5
    n = f"{len(ours)}; half B {_share(ours[1::2]):.1f}; ± {error:.1f}"
    floor = _share(one.plain <= upto for one in asked)
    floor_is = f"plain FTS5 ({published_as})" if published_as else "plain FTS5"
    return Row(name, _share(ours), "%", n, floor, floor_is, bound)


def _share(happened: Iterable[bool]) -> float:
    return 100 * statistics.fmean(happened)
