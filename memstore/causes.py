"""Blame and impact: what led to a record, and what it led to, over what was declared, shown and said (ADR 0056).

`nodes` stand in order of rank: declared before shown before said, lower worth first, then nearest; each with the
shortest chain to it as sentences. All of it is of closed values; a title stands beside one only where reading it lowers
nothing, and is put on record as shown. Records of other scopes are neither shown nor gone through (T13).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from memstore.answers import Page
from memstore.core.causes import (
    MOST_GROUPS,
    Expand,
    Fact,
    Group,
    How,
    Link,
    Runs,
    Walk,
    groups_of,
    in_order,
    overlap,
    runs_of,
)
from memstore.core.contexts import Extent
from memstore.core.labels import Label
from memstore.core.trust import END_OF_LOG
from memstore.cursors import decode_cursor, encode_cursor
from memstore.errors import InvalidInput
from memstore.looking_back import Back
from memstore.past_ports import Span
from memstore.ports import Unit
from memstore.render import tokens
from memstore.requests import HistoryRequest
from memstore.serving import Caller, Served, look_up, named, readable

WHOLE_CHAIN = 6  # links of a chain that are told one by one; of a longer one, those at its ends
FRAME = 120  # tokens for keys, counts and note


class Neighbours:
    """What lies one level further, backwards (`forward` false) or forwards; a context is gone through once."""

    def __init__(self, unit: Unit, scope: str, *, forward: bool, before: int) -> None:
        self._unit = unit
        self._scope = scope
        self._forward = forward
        self._before = before
        self._facts: dict[int, Fact] = {}
        self._named: dict[int, list[Link]] = {}
        self._walked: dict[object, int] = {}

    def begin(self) -> dict[How, Expand]:
        """The ways to go, as of a new walk."""
        self._walked = {}
        return {How.DECLARED: self._declared, How.SHOWN: self._shown, How.SAID: self._said}

    def facts(self, seqs: Collection[int]) -> dict[int, Fact]:
        unknown = [seq for seq in seqs if seq not in self._facts]
        if unknown:
            self._facts |= self._unit.causes.facts(unknown, before=self._before)
        return {seq: self._facts[seq] for seq in seqs if seq in self._facts}

    def _declared(self, seqs: Collection[int], most: int) -> Sequence[Link]:
        # Each of the walks goes this way: what is named, or names, is asked for once.
        unknown = [seq for seq in seqs if seq not in self._named]
        if unknown:
            self._named |= {seq: [] for seq in unknown}
            ways = {"forward": self._forward, "before": self._before, "most": most}
            for link in self._unit.causes.declared(unknown, self._scope, **ways):  # type: ignore[arg-type]
                self._named[link.end].append(link)
        return [link for seq in seqs for link in self._named[seq]]

    def _shown(self, seqs: Collection[int], most: int) -> Sequence[Link]:
        if self._forward:
            spans = self._further(self._unit.causes.readers(seqs, before=self._before))
            return self._unit.causes.written(spans, self._scope, before=self._before, most=most) if spans else ()
        ends = [fact for fact in self.facts(seqs).values() if fact.launch]
        spans = self._further(Span(fact.launch, 0, fact.shown, fact.seq) for fact in ends)
        return self._unit.causes.shown(spans, self._scope, before=self._before, most=most) if spans else ()

    def _further(self, spans: Iterable[Span]) -> list[Span]:
        """Of each context what was not gone through yet: backwards up to `high`, forwards from `low` on."""
        found: dict[str, Span] = {}
        for span in spans:
            known = found.get(span.launch)
            if self._forward:
                before = self._walked.get(span.launch, END_OF_LOG)
                if span.low < before and (known is None or span.low < known.low):
                    found[span.launch] = Span(span.launch, span.low, before, span.end)
            else:
                after = self._walked.get(span.launch, 0)
                if span.high > after and (known is None or span.high > known.high):
                    found[span.launch] = Span(span.launch, after, span.high, span.end)
        for launch, span in found.items():
            self._walked[launch] = span.low if self._forward else span.high
        return list(found.values())

    def _said(self, seqs: Collection[int], most: int) -> Sequence[Link]:
        spans: dict[tuple[str, str], Span] = {}
        for fact in self.facts(seqs).values():
            place = fact.launch, fact.task
            known, walked = spans.get(place), self._walked.get(place)
            if not fact.launch:
                continue
            if self._forward:
                high = END_OF_LOG if walked is None else walked + 1
                if fact.seq + 1 < high and (known is None or fact.seq < known.low):
                    spans[place] = Span(fact.launch, fact.seq, high, fact.seq)
            else:
                low = 0 if walked is None else walked
                if fact.seq > low and (known is None or fact.seq > known.high):
                    spans[place] = Span(fact.launch, low, fact.seq, fact.seq)
        for place, span in spans.items():
            self._walked[place] = span.low if self._forward else span.high
        ways = {"forward": self._forward, "before": self._before, "most": most}
        return self._unit.causes.said(list(spans.values()), self._scope, **ways) if spans else ()  # type: ignore[arg-type]


@dataclass(slots=True)
class Neighbourhood:
    """All that lies behind a record, or before it, in order of rank."""

    root: Fact
    walk: Walk
    facts: dict[int, Fact]
    order: list[int] = field(default_factory=list)


def neighbourhood(unit: Unit, scope: str, seq: int, *, forward: bool, before: int) -> Neighbourhood:
    """Walk thrice, over more kinds of links each time, so that the strongest kind of chain decides the rank."""
    neighbours = Neighbours(unit, scope, forward=forward, before=before)
    walk = Walk(seq)
    for weakest in How:
        walk.take(weakest, neighbours.begin())
    facts = neighbours.facts([seq, *walk.reached])
    return Neighbourhood(facts[seq], walk, facts, in_order(walk, facts))


def causes(unit: Unit, caller: Caller, request: HistoryRequest, page: Page, back: Back | None) -> dict[str, Any]:
    """The views `blame` and `impact`: {of, nodes[], edges[], groups[], count, note, next_cursor}."""
    if not request.id:
        raise InvalidInput(
            f"The view {request.view} is of a record", code="missing_field", next_call="Pass id: of the bad output."
        )
    told = request.model_dump(exclude={"cursor", "max_tokens", "limit"})
    first, before = _place(request.cursor, told)
    # A walk through pages is of one moment, or a write between two of them would move what is yet to come.
    before = before or (back.before if back else unit.log.head().size)
    state = named(unit, caller, request.id, before)
    found = neighbourhood(unit, caller.scope, state.seq, forward=request.view == "impact", before=before)
    telling = _Telling(unit, caller, found, page, before, request.view == "impact")
    answer: dict[str, Any] = {"of": telling.root()}
    page.budget.left -= tokens(answer["of"]) + FRAME
    if not first:
        answer["groups"] = _within(page, telling.groups())
    nodes, edges = telling.page(found.order[first:], request.limit)
    last = first + len(nodes)
    more = encode_cursor(told, "rank", [_part(0, last), _part(1, before)]) if nodes and last < len(found.order) else ""
    return {
        **answer,
        "nodes": nodes,
        "edges": edges,
        "count": len(found.order),
        "note": _note(found),
        "next_cursor": more,
    }


def _within(page: Page, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those groups that there is room for, the higher tier's first: T10, whatever their order is."""
    highest_first = sorted(range(len(groups)), key=lambda place: -Label.named(groups[place]["label"]))
    kept = {place for place in highest_first if page.budget.take(groups[place])}
    return [group for place, group in enumerate(groups) if place in kept]


def _part(place: int, number: int) -> bytes:
    """A number in a cursor, whose parts are sorted."""
    return bytes([place]) + number.to_bytes(4, "big")


def _place(cursor: str, told: object) -> tuple[int, int]:
    if not cursor:
        return 0, 0
    parts = {part[0]: int.from_bytes(part[1:], "big") for part in decode_cursor(cursor, told, ["rank"]).served}
    if set(parts) != {0, 1}:
        raise InvalidInput("The cursor is not of this query", code="bad_cursor", next_call="Leave cursor out.")
    return parts[0], parts[1]


def _note(found: Neighbourhood) -> str:
    cut = "There is more than was looked at: the strongest and nearest are here." if found.walk.cut else ""
    return cut or ("" if found.order else "Nothing of this scope was declared, shown or said.")


@dataclass(slots=True)
class _Telling:
    """Puts records of a neighbourhood on a page."""

    unit: Unit
    caller: Caller
    found: Neighbourhood
    page_of: Page
    before: int
    forward: bool
    runs: Runs = frozenset()

    def root(self) -> dict[str, Any]:
        """The record that was asked about; its words are compared with those of what was found."""
        served, item = self._item(self.found.root)
        if served is not None:
            self.runs = runs_of(_words(served))
            self._entitle(item, served)
        return item

    def _item(self, fact: Fact) -> tuple[Served | None, dict[str, Any]]:
        item: dict[str, Any] = {"id": fact.id, "seq": fact.seq, "kind": fact.kind, "author": fact.author}
        served = look_up(self.unit, fact.id, self.caller.scope, as_of=self.before)
        if served is None:
            return None, {**item, "erased": True}
        return served, {**item, "label": str(served.label), "status": str(served.status)}

    def _entitle(self, item: dict[str, Any], served: Served) -> None:
        """Give the title where reading it lowers nothing, and put that on record."""
        good = not served.reasons and not served.fell_since
        if good and served.label >= readable(self.unit, self.caller):
            item["title"] = served.title
            self.page_of.show(served, Extent.CONCISE)

    def page(self, order: list[int], limit: int) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
        nodes: list[dict[str, Any]] = []
        edges: dict[tuple[int, int], dict[str, str]] = {}
        for seq in order[:limit]:
            reached, chain = self.found.walk.reached[seq], self.found.walk.chain(seq)
            served, item = self._item(self.found.facts[seq])
            item |= {"how": str(reached.how), "distance": reached.distance, "told": " ".join(self._sentences(chain))}
            if served is not None and (shared := overlap(self.runs, runs_of(_words(served)))):
                item["hint"] = {"words_shared_percent": shared}
            fresh = {(nearer, farther): self._edge(nearer, how, farther) for nearer, how, farther in _ends(chain)}
            fresh = {ends: edge for ends, edge in fresh.items() if ends not in edges}
            titled = dict(item)
            before = len(self.page_of.shown)
            if served is not None:
                self._entitle(titled, served)
            if not self.page_of.budget.take([titled, *fresh.values()]):
                del self.page_of.shown[before:]
                if nodes:
                    break
                # One a page at least, or a walk through pages would end here.
                titled = {name: item[name] for name in ("id", "how", "distance")}
                fresh = {}
            nodes.append(titled)
            edges |= fresh
        return nodes, list(edges.values())

    def _edge(self, nearer: int, how: How, farther: int) -> dict[str, str]:
        """`from` is the later record, `to` what it rests on."""
        facts = self.found.facts
        later, earlier = (farther, nearer) if self.forward else (nearer, farther)
        return {"from": facts[later].id, "to": facts[earlier].id, "how": str(how)}

    def _sentences(self, chain: list[tuple[int, How, int]]) -> Iterator[str]:
        head, tail = chain, chain[:0]
        if len(chain) > WHOLE_CHAIN:
            head, tail = chain[: WHOLE_CHAIN - 2], chain[-2:]
        yield from (self._sentence(*step) for step in head)
        if tail:
            yield f"Then {len(chain) - WHOLE_CHAIN} more steps."
            yield from (self._sentence(*step) for step in tail)

    def _sentence(self, nearer: int, how: How, farther: int) -> str:
        facts = self.found.facts
        later, earlier = (facts[farther], facts[nearer]) if self.forward else (facts[nearer], facts[farther])
        what = f"{later.id} ({later.kind} by {later.author})"
        other = f"{earlier.id} ({earlier.kind} by {earlier.author}, {earlier.worth})"
        match how:
            case How.DECLARED:
                return f"{what} names {other}."
            case How.SHOWN:
                return f"{what} was written after {later.author} was shown {other}."
            case How.SAID:
                return f"{what} was written in the context that had written {other}."

    def groups(self) -> list[dict[str, Any]]:
        """What there is in all: grouped, counted, in order of rank, and a few groups of each tier (T10)."""
        told: list[dict[str, Any]] = []
        rest: dict[Label, list[Group]] = {}
        counted: Counter[Label] = Counter()
        for group in groups_of(self.found.order, self.found.walk, self.found.facts):
            counted[group.label] += 1
            if counted[group.label] <= MOST_GROUPS:
                told.append(_group(group))
            else:
                rest.setdefault(group.label, []).append(group)
        for label, groups in sorted(rest.items()):
            told.append({"label": str(label), "groups": len(groups), "count": sum(group.count for group in groups)})
        return told


def _words(served: Served) -> str:
    """What two records are compared by; of what is withheld no more gets out than how much of it is shared."""
    content = served.content
    return f"{content.title}\n{content.words().decode('utf-8', 'replace')}\n{content.rationale}"


def _group(group: Group) -> dict[str, Any]:
    told = {"how": str(group.how), "label": str(group.label), "kind": group.kind, "author": group.author}
    return {**told, "count": group.count, "nearest": group.nearest}


def _ends(chain: list[tuple[int, How, int]]) -> list[tuple[int, How, int]]:
    """The links of a chain that go out as edges: all of a short one."""
    return chain if len(chain) <= WHOLE_CHAIN else [*chain[: WHOLE_CHAIN - 2], *chain[-2:]]
