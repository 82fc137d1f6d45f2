"""W3C PROV of a task, or of what is around a record, as PROV-JSON (Member Submission of 24 April 2013).

Entities are records, activities are sessions, contexts and acts, agents are principals. `used` is a disclosure: a
context is what was shown something, so it is contexts that use, and sessions are informed by theirs. Titles and tasks
stand in it where the caller's reading them lowers nothing; of all else there are ids and closed values.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import Any

from memstore.answers import Page
from memstore.core.contexts import Extent
from memstore.core.entries import Logged
from memstore.core.offers import HandoffAnswered, HandoffDecided, HandoffOffered, HandoffReceived
from memstore.core.state import RecordState
from memstore.core.statements import (
    OBSERVED,
    Recorded,
    Retracted,
    Reviewed,
    Role,
    SessionEnded,
    SessionStarted,
    Statement,
    short_id,
)
from memstore.exporting import ExportRequest, Selection, declared_by, may_be_told, select, shown_before
from memstore.ports import Store, Unit
from memstore.render import Answer, Budget, timestamp
from memstore.serving import Caller, Served, disclosed, look_up

VOCABULARY = "urn:memstore:prov:"
_DERIVED = {"evidence": "memstore:Evidence", "supersedes": "prov:Revision", "answers": "memstore:Answer"}
_AGENTS = {Role.HUMAN: "prov:Person", Role.OPERATOR: "prov:Person"}
Attributes = dict[str, Any]


def export_prov(store: Store, caller: Caller, request: ExportRequest) -> Answer:
    """A PROV-JSON document, what it shows put on record first."""

    def look(unit: Unit) -> tuple[Answer, Page]:
        page = Page(Budget(0))
        chosen = select(unit, caller, request)
        return Answer(_Writer(unit, caller, page).document(chosen), page.lowest), page

    return disclosed(store, caller, look)[0]


def _name(value: str) -> Attributes:
    """A qualified name as the value of an attribute."""
    return {"$": value, "type": "xsd:QName"}


class _Writer:
    """A document in the making, of one moment and one caller."""

    def __init__(self, unit: Unit, caller: Caller, page: Page) -> None:
        self.unit, self.caller, self.page = unit, caller, page
        self.parts: defaultdict[str, dict[str, Attributes]] = defaultdict(dict)
        self.relations = 0
        self.shown: dict[str, int] = {}
        self.known: dict[str, Served | None] = {}
        self.ended: set[str] = set()

    def document(self, chosen: Selection) -> Attributes:
        head = self.unit.log.head()
        self.parts["entity"][f"store:export-{head.size}"] = {
            "prov:type": _name("memstore:Export"),
            "memstore:entries": head.size,
            "memstore:checkpoint": head.checkpoint,
            "memstore:scope": self.caller.scope,
            "memstore:madeFor": _name(self._agent(self.caller.name)),
            "memstore:complete": chosen.complete,
        }
        for logged, statement in chosen.acts:
            self._act(logged, statement)
        base = f"urn:memstore:{head.store}:"
        prefix = {"memstore": VOCABULARY, "store": base, "agent": f"{base}agent:"}
        return {"prefix": prefix, **self.parts}

    def _relate(self, relation: str, **ends: Any) -> None:
        """A relation between what the names of `ends` say; an end that is empty is left out."""
        self.relations += 1
        told = {f"prov:{name.rstrip('_')}": value for name, value in ends.items() if value}
        self.parts[relation][f"_:r{self.relations}"] = told

    def _act(self, logged: Logged, statement: Statement) -> None:
        at = timestamp(logged.entry.logged_at)
        match statement:
            case SessionStarted():
                self._activity(f"store:{short_id('s-', logged.entry.digest)}", "Session", statement, start=at)
            case SessionEnded():
                told = self.parts["activity"].setdefault(f"store:{statement.session}", {})
                told |= {"prov:endTime": at, "memstore:outcome": str(statement.outcome)}
            case Recorded():
                self._record(short_id("m-", logged.entry.digest))
            case Reviewed():
                act = self._activity(f"store:act-{logged.entry.seq}", "Review", statement, start=at, end=at)
                told = {"memstore:verdict": str(statement.verdict), "memstore:method": str(statement.method)}
                self.parts["activity"][act] |= told
                self._relate("used", activity=act, entity=self._entity(statement.record), time=at)
            case Retracted():
                act = self._activity(f"store:act-{logged.entry.seq}", "Retraction", statement, start=at, end=at)
                self.parts["activity"][act]["memstore:reason"] = str(statement.reason)
                self._invalidated(statement.record, act, at)
            case HandoffOffered():
                act = f"store:{short_id('h-', logged.entry.digest)}"
                self._activity(act, "Handoff", statement, start=at)
                told = {"memstore:handoffType": str(statement.type), "memstore:hop": statement.hop}
                self.parts["activity"][act] |= told | {"memstore:to": _name(self._agent(statement.receiver))}
                for output in statement.outputs:
                    self._relate("used", activity=act, entity=self._entity(output), time=at)
            case HandoffReceived() | HandoffAnswered() | HandoffDecided():
                self._answer(logged, statement, at)

    def _answer(self, logged: Logged, statement: HandoffReceived | HandoffAnswered | HandoffDecided, at: str) -> None:
        act = self._activity(f"store:act-{logged.entry.seq}", "HandoffAct", statement, start=at, end=at)
        self._relate("wasInformedBy", informed=act, informant=f"store:{statement.handoff}")
        told: Attributes = {}
        match statement:
            case HandoffReceived():
                told = {"memstore:action": "receive", "memstore:problems": list(statement.problems)}
            case HandoffAnswered():
                told = {"memstore:action": str(statement.action), "memstore:acknowledged": list(statement.acknowledged)}
                for output in statement.outputs:
                    self._relate("used", activity=act, entity=self._entity(output), time=at)
            case HandoffDecided():
                told = {"memstore:action": "approve" if statement.approved else "deny"}
        self.parts["activity"][act] |= {name: value for name, value in told.items() if value}

    def _activity(self, name: str, kind: str, statement: Statement, *, start: str = "", end: str = "") -> str:
        fresh = name not in self.parts["activity"]
        known = self.parts["activity"].setdefault(name, {})
        told = {"prov:startTime": start, "prov:endTime": end, "prov:type": _name(f"memstore:{kind}")}
        known |= {attribute: value for attribute, value in told.items() if value}
        if fresh:
            self._relate("wasAssociatedWith", activity=name, agent=self._agent(statement.author))
        if fresh and kind == "Session":
            self._relate("wasInformedBy", informed=name, informant=self._context(statement.launch, statement.author))
        return name

    def _context(self, launch: str, author: str) -> str:
        """The activity of one launch: its own name may be a handle, so it is told by a hash."""
        name = f"store:{short_id('c-', hashlib.sha256(launch.encode()).digest())}"
        if name not in self.parts["activity"]:
            self.parts["activity"][name] = {"prov:type": _name("memstore:Context")}
            self._relate("wasAssociatedWith", activity=name, agent=self._agent(author))
        return name

    def _agent(self, name: str) -> str:
        agent = f"agent:{name}"
        principal = self.unit.view.principal(name)
        if principal is None or agent in self.parts["agent"]:
            return agent
        kind = _AGENTS.get(principal.role, "prov:SoftwareAgent")
        self.parts["agent"][agent] = {"prov:type": _name(kind), "memstore:role": str(principal.role)}
        if principal.under:
            self._relate("actedOnBehalfOf", delegate=agent, responsible=self._agent(principal.under))
        return agent

    def _entity(self, record: str) -> str:
        """The name of a record, which is described where it is of the caller's scope."""
        name = f"store:{record}"
        served = None if name in self.parts["entity"] else self._served(record)
        if served is not None:
            self.parts["entity"][name] = self._described(served)
            self._relate("wasAttributedTo", entity=name, agent=self._agent(served.state.author))
            self._relate(
                "wasGeneratedBy",
                entity=name,
                activity=self._maker(served.state),
                time=timestamp(served.state.logged_at),
            )
        return name

    def _served(self, record: str) -> Served | None:
        if record not in self.known:
            self.known[record] = look_up(self.unit, record, self.caller.scope)
        return self.known[record]

    def _described(self, served: Served) -> Attributes:
        state = served.state
        told: Attributes = {
            "prov:type": _name(f"memstore:{state.kind}"),
            "memstore:seq": state.seq,
            "memstore:label": str(served.label),
            "memstore:status": str(served.status),
            "memstore:signature": str(served.signature),
            "memstore:verification": str(state.verification),
        }
        logged = self.unit.log.entry(state.seq)
        if logged is not None:
            told |= {"memstore:keyid": logged.entry.keyid, "memstore:digest": logged.entry.digest.hex()}
        if served.reasons:
            told["memstore:quarantined"] = [str(reason) for reason in served.reasons]
        elif may_be_told(self.unit, self.caller, served):
            self.page.show(served, Extent.CONCISE)
            words = {"prov:label": served.title, "memstore:task": served.task}
            told |= {attribute: value for attribute, value in words.items() if value}
        return told

    def _maker(self, state: RecordState) -> str:
        """The activity that a record came from: its session, else its context."""
        context = self._context(state.launch, state.author)
        if not state.session:
            return context
        session, known = f"store:{state.session}", self.unit.view.session(state.session)
        if session not in self.parts["activity"] and known is not None:
            told = {"prov:startTime": timestamp(known.started_at), "prov:type": _name("memstore:Session")}
            self.parts["activity"][session] = told
            self._relate("wasAssociatedWith", activity=session, agent=self._agent(known.principal))
            self._relate("wasInformedBy", informed=session, informant=context)
        return session

    def _record(self, record: str) -> None:
        """A record with all that it rests on, declared and shown, and what ended it."""
        served, name = self._served(record), self._entity(record)
        if served is None or served.statement is None:
            return
        for how, source in declared_by(served.statement):
            self._derived(name, how, source)
        context = self._context(served.state.launch, served.state.author)
        for shown in shown_before(self.unit, served, self.shown):
            state = self.unit.view.record(shown.record)
            if state is None or state.scope != self.caller.scope:
                continue  # T13: what was shown of another scope, by a handoff, is not named here.
            self._used(context, shown.record, shown.at)
        state = served.state
        if state.superseded_by is not None:
            successor = self.unit.view.record(self.unit.records.id_at(state.superseded_by))
            if successor is not None:
                self._invalidated(record, self._maker(successor), timestamp(successor.logged_at))
        elif state.expires_at is not None and self.unit.now >= state.expires_at:
            self._ended(record, "", timestamp(state.expires_at))

    def _derived(self, name: str, how: str, source: str) -> None:
        entity = self._entity(source)
        if how == "conditions":
            # A condition lowers nothing: the decision does not come from it, it hangs on it.
            self._relate("wasInfluencedBy", influencee=name, influencer=entity, type=_name("memstore:Condition"))
            return
        state = self.unit.view.record(source)
        kind = _DERIVED.get(how, "")
        if how == "derived_from" and state is not None and state.kind in OBSERVED:
            kind = "prov:PrimarySource"
        self._relate("wasDerivedFrom", generatedEntity=name, usedEntity=entity, type=_name(kind) if kind else "")

    def _used(self, context: str, record: str, at: int) -> None:
        """A disclosure, told once for each context and record."""
        place = f"_:u-{context.removeprefix('store:')}-{record}"
        if place not in self.parts["used"]:
            told = {"prov:activity": context, "prov:entity": self._entity(record), "prov:time": timestamp(at)}
            self.parts["used"][place] = told

    def _invalidated(self, record: str, act: str, at: str) -> None:
        """What an act ended, if that still counts: one that is void ended nothing."""
        state = self.unit.view.record(record)
        if state is not None and (state.retracted or state.superseded_by is not None):
            self._ended(record, act, at)

    def _ended(self, record: str, act: str, at: str) -> None:
        """Once for each record, by what came first: an entity is invalidated by one activity (PROV-CONSTRAINTS 25)."""
        if record not in self.ended:
            self.ended.add(record)
            self._relate("wasInvalidatedBy", entity=self._entity(record), activity=act, time=at)
