"""The brief: what an agent is told of a task as it starts, within its budget (DESIGN 3.6).

It is bounded and never lowers a mark: bodies that stand as high as the caller can be told are given, the rest as ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from memstore.core.contexts import Extent
from memstore.core.handoffs import is_within
from memstore.core.labels import Label, Mark
from memstore.core.records import Content
from memstore.core.statements import Kind, Role
from memstore.errors import NotFound
from memstore.inbox import GATES, UNDONE, item_of
from memstore.ports import Filter, Share, Store, Unit
from memstore.render import Answer, Budget, revisited, snippet, timestamp
from memstore.serving import Caller, Served, Shown, disclosed, look_up, mark_label, readable

MOST_OF_A_KIND = 200
AHEAD = 16  # records that are read at once
MOST_MISSES = 5  # items that did not fit, after which a list of the brief is over
# What a brief tells of each tier, in this order.
_TOLD = (Kind.CONSTRAINT, Kind.DECISION, Kind.QUESTION)


def brief_of(store: Store, caller: Caller, *, task: str, session: str, tokens: int) -> tuple[dict[str, Any], Mark, int]:
    """The brief of a task within its budget, the mark after it, and how many items did not fit.

    What goes first: the intent; then for each tier, the highest first, constraints, decisions (those to revisit before
    others) and questions; then work in flight, and what changed.
    """

    def look(unit: Unit) -> tuple[tuple[dict[str, Any], int], _Brief]:
        writer = _Brief(Budget(tokens - 100), caller)
        return (writer.written(unit, task, session), writer.left_out), writer

    (brief, left_out), mark = disclosed(store, caller, look)
    return brief, mark, left_out


class _Brief:
    """A brief as it is being filled."""

    def __init__(self, budget: Budget, caller: Caller) -> None:
        self.budget = budget
        self.caller = caller
        self.shown: list[Shown] = []
        self.left_out = 0

    def written(self, unit: Unit, task: str, session: str) -> dict[str, Any]:
        intent = self._intent(unit, task)
        told: dict[Kind, list[dict[str, Any]]] = {kind: [] for kind in _TOLD}
        # T10: all that is trusted goes in before anything that stands lower takes room.
        for label in (Label.TRUSTED, Label.ATTRIBUTED):
            for kind in _TOLD:
                told[kind] += self._told(unit, self._of_kind(unit, task, kind, label))
        return {
            "intent": intent,
            "constraints": told[Kind.CONSTRAINT],
            "decisions": told[Kind.DECISION],
            "questions": told[Kind.QUESTION],
            "in_flight": self._in_flight(unit, task, session),
            "handoffs": self._handoffs(unit, task),
            "changed": self._changed(unit, task, session),
        }

    def _of_kind(self, unit: Unit, task: str, kind: Kind, label: Label) -> tuple[str, ...]:
        """What stands of one kind and tier, what is to be revisited first, else newest first; no question answered."""
        wanted = Filter(scope=self.caller.scope, now=unit.now, task=task, kinds=(kind,), unanswered=True)
        listed = unit.retrieval.newest(
            wanted, label=label, share=Share.IN_FORCE, most=MOST_OF_A_KIND, revisit=kind is not Kind.INTENT
        )
        self.left_out += listed.total - len(listed.ids)
        return listed.ids

    def _looked_up(self, unit: Unit, records: tuple[str, ...]) -> Iterator[tuple[int, Served]]:
        """(place, record), each verified when it is reached: a brief shows some twenty of what may be hundreds."""
        for place, record in enumerate(records):
            if place % AHEAD == 0:
                unit.foresee(records[place : place + AHEAD])
            served = look_up(unit, record, self.caller.scope)
            if served is not None and not served.reasons:
                yield place, served

    def _told(self, unit: Unit, records: tuple[str, ...]) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        misses = 0
        for place, served in self._looked_up(unit, records):
            if misses == MOST_MISSES:
                self.left_out += len(records) - place
                break
            item: dict[str, Any] = {"id": served.id, "label": str(served.label), "author": served.state.author}
            if served.flags:
                item["flags"] = list(served.flags)
            if served.revisit:
                item["revisit"] = revisited(served)
            telling = served.label >= readable(unit, self.caller)
            if telling:
                content = served.content
                words = {"title": content.title, "body": snippet(content.body), "rationale": snippet(content.rationale)}
                item |= {name: value for name, value in words.items() if value}
                item |= {"caveats": content.caveats} if content.caveats else {}
            if not self.budget.take(item):
                self.left_out += 1
                misses += 1
                continue
            if telling:
                self.shown.append(Shown(served, Extent.CONCISE))
            items.append(item)
        return items

    def _intent(self, unit: Unit, task: str) -> dict[str, Any]:
        """The newest intent of the highest tier, verbatim or not at all: a part of a request may say the opposite."""
        tiers = [self._of_kind(unit, task, Kind.INTENT, label) for label in (Label.TRUSTED, Label.ATTRIBUTED)]
        intents = [served for records in tiers for _, served in islice(self._looked_up(unit, records), 1)]
        if not intents or intents[0].label < readable(unit, self.caller):
            return {"id": intents[0].id} if intents else {}
        newest = intents[0]
        item = {
            "id": newest.id,
            "text": newest.content.body,
            "author": newest.state.author,
            "label": str(newest.label),
            "flags": list(newest.flags),
        }
        if not self.budget.take(item):
            self.left_out += 1
            return {"id": newest.id}
        self.shown.append(Shown(newest, Extent.FULL if _is_all_told(newest.content) else Extent.CONCISE))
        return item

    def _in_flight(self, unit: Unit, task: str, session: str) -> list[dict[str, Any]]:
        items = []
        for other in unit.records.running(self.caller.scope, task, most=MOST_OF_A_KIND):
            if other.id == session:
                continue
            item = {"session": other.id, "principal": other.principal, "started_at": timestamp(other.started_at)}
            if self.budget.take(item):
                items.append(item)
        return items

    def _handoffs(self, unit: Unit, task: str) -> list[dict[str, Any]]:
        """Handoffs of the task that are not over and that this caller has to do with, those it is to have first.

        What comes to it from another scope has a task of that one. A person has to do with every gate.
        """
        name, least = self.caller.name, readable(unit, self.caller)
        across = unit.handoffs.across(self.caller.scope, name)
        found = [one for one in across if is_within(one, name, self.caller.scope, unit.view, unit.now)]
        found += unit.handoffs.open_in(self.caller.scope, task=task)
        person = self.caller.principal.role is Role.HUMAN
        mine = [
            one
            for one in found
            if name in (one.receiver, one.fallback, one.holder, one.sender) or (person and one.stage in GATES)
        ]
        mine.sort(key=lambda one: (name == one.sender, one.seq))
        told = [item_of(unit, one, least=least) for one in mine if one.status(unit.now) in UNDONE]
        return [item for item in told if self.budget.take(item)]

    def _changed(self, unit: Unit, task: str, session: str) -> list[dict[str, Any]]:
        """Records of the task that others wrote since this principal's last session in the scope began."""
        last = unit.records.before(session, self.caller.scope, self.caller.name)
        if last is None:
            return []
        wanted = Filter(scope=self.caller.scope, now=unit.now, task=task, since_at=last.started_at)
        items = []
        for label in (Label.TRUSTED, Label.ATTRIBUTED):
            found = unit.retrieval.newest(wanted, label=label, share=Share.IN_FORCE, most=MOST_OF_A_KIND)
            unit.foresee(found.ids, whole=False)
            for state in map(unit.view.record, found.ids):
                if state is None or state.author == self.caller.name:
                    continue
                item = {"id": state.id, "kind": str(state.kind), "author": state.author, "label": str(state.label)}
                if self.budget.take(item):
                    items.append(item)
        return items


def _is_all_told(content: Content) -> bool:
    """Whether an intent's text is all there is of it: who has read that has read it whole (T6)."""
    return content == Content(title=title_of(content.body), body=content.body)


def title_of(goal: str) -> str:
    """The title of an intent that came as a session's goal: the beginning of its first line."""
    return snippet(goal.strip().split("\n")[0])[:200]


def brief_label(brief: dict[str, Any]) -> Label:
    """The lowest label of any words in a brief."""
    told = [brief["intent"], *brief["constraints"], *brief["decisions"], *brief["questions"]]
    labels = [Label.named(item["label"]) for item in told if "title" in item or "text" in item]
    return min(labels, default=Label.TRUSTED)


def brief_again(store: Store, caller: Caller, session: str, tokens: int) -> Answer:
    """The brief of a session of this scope, given anew."""
    with store.read() as unit:
        found = unit.view.session(session)
    if found is None or found.scope != caller.scope:
        raise NotFound("There is no session of this id", code="unknown_id", next_call="Call session_start.")
    brief, mark, _ = brief_of(store, caller, task=found.task, session=session, tokens=tokens)
    return Answer({"session": session, "brief": brief, "mark": mark_label(caller, mark)}, brief_label(brief))
