"""Search: candidates of each tier, verified, split into sections, disclosed (DESIGN 3.4, T10).

The index proposes and the store disposes: every candidate is looked up and verified again before it is served, and what
does not stand as its tier says goes to the quarantined section. Sections are filled from the highest tier down, each
from its own tables, with what limit and budget leave; nothing below a section can change a byte of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from memstore.answers import Giver, Page
from memstore.candidates import candidates
from memstore.core.epochs import epoch_of
from memstore.core.labels import Label
from memstore.cursors import MOST_SERVED, Cursor, decode_cursor, encode_cursor, part
from memstore.embedding import Question
from memstore.looking_back import look_back
from memstore.moments import Instant, Position, parse_moment
from memstore.ports import Filter, Share, Store, Unit, VectorIndex
from memstore.render import Answer, Budget, Found, tokens
from memstore.requests import SearchRequest
from memstore.serving import Caller, Served, disclosed, look_up, mark_label
from memstore.signing import StoreKey

_WORD = re.compile(r"\w+")
# What an answer without hits takes: its keys, mark and note.
FRAME_TOKENS = 130
# Which parts of which tiers a section is made of, in order (T10: nothing is ranked across them).
SECTIONS: dict[str, tuple[tuple[Label, Share], ...]] = {
    "trusted": ((Label.TRUSTED, Share.IN_FORCE),),
    "attributed": ((Label.ATTRIBUTED, Share.IN_FORCE),),
    "quarantined": (
        (Label.TRUSTED, Share.FALLEN),
        (Label.ATTRIBUTED, Share.FALLEN),
        (Label.TAINTED, Share.ANY),
        (Label.UNTRUSTED, Share.ANY),
    ),
}


@dataclass(slots=True)
class Section:
    """One section as it is being filled: what it holds, how many there are in all, and whether more are left.

    `far` says that more are left than a cursor can name.
    """

    name: str
    items: list[dict[str, Any]] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    count: int = 0
    more: bool = False
    far: bool = False


def search(
    store: Store, key: StoreKey, caller: Caller, request: SearchRequest, *, question: Question, index: VectorIndex
) -> Answer:
    """What stands in the caller's scope for this query, in three sections (3.4); `question` is what indexes get."""
    told = {**request.model_dump(exclude={"cursor", "max_tokens", "limit"}), "epoch": epoch_of(caller.launch)}
    cursor = decode_cursor(request.cursor, told, SECTIONS) if request.cursor else None

    def look(unit: Unit) -> tuple[Answer, Page]:
        page = Page(Budget(request.max_tokens - FRAME_TOKENS - tokens(request.cursor)))
        wanted = _filter(unit, caller, request)
        asked = question.asked_of(unit.vectors.state())
        # Judged at the time that the query looks back to.
        moment = unit if wanted.before is None else unit.at(wanted.now)
        run = _Search(Giver(moment, key, caller, page, unit.now), request, wanted, cursor, asked, index)
        sections = {name: run.section(name) for name in SECTIONS}
        answer = {name: _as_answer(section, told, cursor) for name, section in sections.items()}
        return Answer({**answer, "mark": "", "note": _note(sections, request, caller, asked)}, page.lowest), page

    answer, mark = disclosed(store, caller, look)
    answer["mark"] = mark_label(caller, mark)
    return answer


def _filter(unit: Unit, caller: Caller, request: SearchRequest) -> Filter:
    wanted = Filter(
        scope=caller.scope,
        now=unit.now,
        task=request.task,
        kinds=tuple(request.kinds),
        tags=tuple(request.tags),
        author=request.author,
        include_superseded=request.include_superseded,
    )
    match parse_moment(request.since, "since"):
        case Position(seq):
            wanted = replace(wanted, since_seq=seq)
        case Instant(micros):
            wanted = replace(wanted, since_at=micros)
    match parse_moment(request.until, "until"):
        case Position(seq):
            wanted = replace(wanted, until_seq=seq)
        case Instant(micros):
            wanted = replace(wanted, until_at=micros)
    back = look_back(unit, request.as_of)
    return replace(wanted, before=back.before, now=back.now) if back else wanted


@dataclass(slots=True)
class _Search:
    """One search on one page. `displaced` holds what a tier proposed and verification refused (T12)."""

    giver: Giver
    request: SearchRequest
    wanted: Filter
    cursor: Cursor | None
    question: Question
    index: VectorIndex
    displaced: list[Served] = field(default_factory=list)

    def section(self, name: str) -> Section:
        section = Section(name)
        if name == "quarantined" and self.request.quarantined != "none":
            # On every page of a walk through a tier: it is never dropped silently.
            section.count += len(self.displaced)
            for served in self.displaced:
                self._add(section, served)
        if self._is_asked(name):
            for label, share in SECTIONS[name]:
                self._fill_from(section, label, share)
        return section

    def _fill_from(self, section: Section, label: Label, share: Share) -> None:
        """Take in one part of a section; more is asked for where verification refused what filled a page."""
        # One more than can be served tells whether more are left.
        tried, most = 0, self.request.limit + self._served_before + 1
        while True:
            found = candidates(
                self.giver.unit, self.index, self.question, self.wanted, label=label, share=share, most=most
            )
            section.count += 0 if tried else found.total
            self._fill(section, found.ids[tried:], found.passages)
            if section.more or len(found.ids) < most:
                return
            tried, most = most, 4 * most

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(_WORD.findall(self.request.query))

    @property
    def _served_before(self) -> int:
        return len(self.cursor.served) if self.cursor else 0

    def _is_asked(self, name: str) -> bool:
        if self.cursor is not None and self.cursor.section != name:
            return False
        if name == "attributed":
            return self.request.min_trust != "trusted"
        return name != "quarantined" or self.request.quarantined != "none"

    def _fill(self, section: Section, ids: tuple[str, ...], passages: Mapping[str, int]) -> None:
        for record in ids:
            if self.cursor is not None and record in self.cursor:
                continue
            if section.more or len(section.items) >= self.request.limit:
                section.more = True
                return
            scope = self.giver.caller.scope
            served = look_up(self.giver.unit, record, scope, as_of=self.wanted.before)
            if served is None:
                continue
            if served.reasons and section.name != "quarantined":
                section.count -= 1
                self.displaced.append(served)
            else:
                self._add(section, served, passages.get(record, -1))

    def _add(self, section: Section, served: Served, passage: int = -1) -> None:
        if section.more or len(section.items) >= self.request.limit:
            section.more = True
            return
        listed = self._is_listed(served)
        if section.name == "quarantined":
            item = self.giver.entry(served, listed=listed)
        else:
            rank = len(section.items) + self._served_before + 1
            detail = "ids" if listed else self.request.detail
            found = Found(rank, self.words, passage)
            item = self.giver.hit(served, detail=detail, found=found, first=not section.items)
        if item is None:
            section.more = True
            return
        section.items.append(item)
        section.parts.append(part(served.id))

    def _is_listed(self, served: Served) -> bool:
        """Whether only a listing is due: below a trusted caller's ceiling nothing is read unless it asks (3.4)."""
        ceiling = self.giver.caller.principal.ceiling
        unasked = self.request.min_trust != "attributed" and ceiling is Label.TRUSTED
        return self.request.detail == "ids" or (unasked and served.label is Label.ATTRIBUTED)


def _as_answer(section: Section, told: object, cursor: Cursor | None) -> dict[str, Any]:
    served = [*section.parts, *(cursor.served if cursor and cursor.section == section.name else ())]
    section.far = section.more and len(served) > MOST_SERVED
    going_on = section.more and section.items and not section.far
    next_cursor = encode_cursor(told, section.name, served) if going_on else ""
    items = "entries" if section.name == "quarantined" else "hits"
    return {items: section.items, "count": section.count, "next_cursor": next_cursor}


# Why a query was ranked by its words alone, as far as its caller can do something about it.
WITHOUT_VECTORS = {
    "no_vectors": "nothing is embedded yet.",
    "no_model": "there is no embedding model here; `memstore doctor` says what to do.",
    "off": "embedding is turned off here.",
    "other_model": "the store's vectors are of another model; `memstore rebuild --vectors` makes them anew.",
}


def _note(sections: dict[str, Section], request: SearchRequest, caller: Caller, question: Question) -> str:
    parts = []
    if request.min_trust == "auto" and caller.principal.ceiling is Label.TRUSTED and sections["attributed"].items:
        parts.append('attributed is listed without text; min_trust="attributed" shows it and lowers your mark.')
    if sections["quarantined"].items:
        parts.append("quarantined is not to be relied on; memory_open shows it, and lowers your mark.")
    if any(section.more and not section.items for section in sections.values()):
        parts.append("max_tokens left no room for a section; raise it or lower limit.")
    if any(section.far for section in sections.values()):
        parts.append("No cursor goes further than this; narrow the query, by until for one.")
    if question.words and question.vector is None:
        why = WITHOUT_VECTORS.get(question.without, "the embedding model cannot be used; `memstore doctor` says why.")
        parts.append(f"Ranked by full text alone: {why}")
    return " ".join(parts)
