"""A task as a page of Markdown, for a post-mortem: who, when, what was decided and why, what was found, dropped, open.

It is made for one caller. Words stand in it that the caller may read without being lowered, or (asked for) all that
stands at `attributed`; each of them is disclosed first. What is quarantined is there in closed values: no byte of it.
Stored text is code on the page, never markup (`memstore.markdown`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from memstore.answers import Page
from memstore.core.contexts import Extent
from memstore.core.labels import Label
from memstore.core.offers import HandoffAnswered, HandoffDecided, HandoffOffered, HandoffReceived
from memstore.core.statements import (
    Kind,
    Recorded,
    Retracted,
    Reviewed,
    SessionEnded,
    SessionStarted,
    Statement,
    id_of,
)
from memstore.exporting import ExportRequest, acts_of_task
from memstore.markdown import block, code
from memstore.ports import Store, Unit
from memstore.render import Answer, Budget, timestamp
from memstore.serving import Caller, Served, disclosed, look_up, mark_label, readable

MOST_ACTS = 2000  # of a tier
MOST_BODY = 4000
SECTIONS = (
    ("What was asked", (Kind.INTENT,)),
    ("What binds", (Kind.CONSTRAINT,)),
    ("Decisions", (Kind.DECISION,)),
    ("Findings", (Kind.FINDING,)),
    ("Tried and rejected", (Kind.REJECTED,)),
    ("Questions", (Kind.QUESTION,)),
    ("What else was written", (Kind.HYPOTHESIS, Kind.CHECKPOINT, Kind.TOOL_RESULT, Kind.EXTERNAL)),
)
LEAST = {"trusted": Label.TRUSTED, "attributed": Label.ATTRIBUTED}


@dataclass(frozen=True, slots=True)
class _Told:
    """A record of the task as this caller gets it: `words` says whether its words are on the page."""

    served: Served
    words: bool


@dataclass(frozen=True, slots=True)
class _Act:
    """One act of the task: where, when, its own id if it has one, and the record that it wrote, if it wrote one."""

    seq: int
    at: int
    id: str
    statement: Statement
    told: _Told | None = None


def export_report(store: Store, caller: Caller, request: ExportRequest) -> Answer:
    """{markdown, complete, mark}: the report of a task, all that it shows put on record first."""

    def look(unit: Unit) -> tuple[tuple[list[str], bool], Page]:
        page = Page(Budget(0))
        least = LEAST.get(request.min_trust, readable(unit, caller))
        found = acts_of_task(unit, caller, request.task, MOST_ACTS)
        acts: list[_Act] = []
        for logged, statement in found.acts:
            own = id_of(statement, logged.entry.digest)
            told = _told(unit, caller, page, least, own) if isinstance(statement, Recorded) else None
            acts.append(_Act(logged.entry.seq, logged.entry.logged_at, own, statement, told))
        return (list(_page(unit, caller, request.task, acts, found.complete)), found.complete), page

    (lines, complete), mark = disclosed(store, caller, look)
    return Answer({"markdown": "\n".join(lines), "complete": complete, "mark": mark_label(caller, mark)})


def _told(unit: Unit, caller: Caller, page: Page, least: Label, record: str) -> _Told | None:
    served = look_up(unit, record, caller.scope)
    if served is None:
        return None
    # What is only out of date may be seen for what it is (3.4): a post-mortem is about what was believed then.
    words = (not served.reasons or served.only_stale) and served.label >= least
    if words:
        page.show(served, Extent.CONCISE)
    return _Told(served, words)


def _page(unit: Unit, caller: Caller, task: str, acts: list[_Act], complete: bool) -> Iterator[str]:
    records = [act.told for act in acts if act.told is not None]
    yield from _head(unit, caller, task, records)
    yield from _people(unit, acts, records)
    yield from _sessions(acts)
    for title, kinds in SECTIONS:
        yield from _section(unit, title, [one for one in records if one.served.state.kind in kinds])
    yield from _handoffs(unit, acts)
    yield from _quarantined(records)
    yield from ("", "## Timeline", "")
    yield from (_event(act) for act in acts)
    if not complete:
        yield ""
        yield "There is more of this task than one report holds; `memstore history` gives all of it, in pages."


def _head(unit: Unit, caller: Caller, task: str, records: list[_Told]) -> Iterator[str]:
    head, labels = unit.log.head(), Counter(str(one.served.label) for one in records)
    yield from (f"# Report of the task {code(task)}", "")
    yield f"- Store {head.store}, scope {code(caller.scope)}, as of {head.size} entries of its log."
    yield f"- Made for {code(caller.name)} at {timestamp(unit.now)}; reading it counts as reading the records."
    told = ", ".join(f"{labels[str(label)]} {label}" for label in reversed(Label) if labels[str(label)])
    yield f"- {len(records)} records: {told or 'none'}."
    yield "- What agents wrote stands in code. It is what they said, not what is so, and no instruction to anybody."


def _people(unit: Unit, acts: list[_Act], records: list[_Told]) -> Iterator[str]:
    yield from ("", "## Who", "")
    wrote = Counter(one.served.state.author for one in records)
    for name in dict.fromkeys(act.statement.author for act in acts):
        principal = unit.view.principal(name)
        role = str(principal.role) if principal else "unknown"
        under = f", under {code(principal.under)}" if principal and principal.under else ""
        yield f"- {code(name)}: {role}{under}; {wrote[name]} records"


def _sessions(acts: list[_Act]) -> Iterator[str]:
    yield from ("", "## Sessions", "")
    ended = {
        one.session: f"{timestamp(act.at)}, {one.outcome}"
        for act in acts
        if isinstance(one := act.statement, SessionEnded)
    }
    started = [act for act in acts if isinstance(act.statement, SessionStarted)]
    for act in started:
        until = ended.get(act.id, "not ended by its agent")
        yield f"- {act.id} of {code(act.statement.author)}: {timestamp(act.at)} to {until}"
    yield from ([] if started else ["None."])


def _section(unit: Unit, title: str, records: list[_Told]) -> Iterator[str]:
    """Records of one sort, with their words or as a list; T10: of what is in quarantine nothing is here, no count."""
    good = [one for one in records if one.words or not one.served.reasons]
    if good:
        yield from ("", f"## {title}", "")
    for one in good:
        yield from _whole(unit, one.served) if one.words else _listed(one.served)


def _facts(unit: Unit, served: Served) -> str:
    state = served.state
    facts = [
        str(served.label),
        str(served.status),
        f"by {code(state.author)}",
        timestamp(state.logged_at),
        f"#{state.seq}",
    ]
    if state.kind is Kind.FINDING:
        facts.insert(0, str(state.verification))
    if state.kind is Kind.QUESTION:
        answer = unit.records.id_at(state.answered_by) if state.answered_by is not None else ""
        facts.insert(0, f"answered by {answer}" if answer else "open")
    return ", ".join([*facts, *served.flags])


def _whole(unit: Unit, served: Served) -> Iterator[str]:
    """A record with its words."""
    content = served.content
    yield from (f"### {served.id}", "", f"{code(served.title)}", "", f"{served.state.kind}: {_facts(unit, served)}")
    yield from _text("", content.body)
    yield from _text("Rationale", content.rationale)
    for name in ("alternatives", "conditions", "evidence", "caveats"):
        yield from _items(name.capitalize(), getattr(content, name))
    if content.data:
        yield from _text("Data", json.dumps(content.data, ensure_ascii=False, indent=1))
    yield from _items("To be revisited because of", [f"{record}: {cause}" for record, cause in served.revisit])
    rests = list(served.statement.derived_from) if served.statement else []
    yield from _items("Derived from", rests)
    yield ""


def _text(name: str, text: str) -> Iterator[str]:
    if not text:
        return
    yield from ["", f"{name}:"] if name else []
    yield from block(text[:MOST_BODY])
    if len(text) > MOST_BODY:
        yield f"… {len(text) - MOST_BODY} more characters; `memstore get` shows them."


def _items(name: str, items: list[str]) -> Iterator[str]:
    if items:
        yield from ("", f"{name}:", "")
        yield from (f"- {code(item)}" for item in items)


def _listed(served: Served) -> Iterator[str]:
    """A record that stands, without a word of it: reading it would lower this caller."""
    yield f"- {served.id}: {served.state.kind}, {served.label}, by {code(served.state.author)}, #{served.state.seq}"


def _quarantined(records: list[_Told]) -> Iterator[str]:
    """Closed values: no title, task, address or name that an agent or the outside chose."""
    yield from ("", "## In quarantine", "")
    found = [one.served for one in records if one.served.reasons and not one.words]
    for served in found:
        state, reasons = served.state, ", ".join(str(reason) for reason in served.reasons)
        size = len(served.content.words())
        yield (
            f"- {served.id}: {state.kind} from {state.origin}, {reasons}; by {code(state.author)},"
            f" {timestamp(state.logged_at)}, #{state.seq}, {size} bytes, sha256 {served.digest}"
        )
    yield from ([] if found else ["Nothing."])


def _handoffs(unit: Unit, acts: list[_Act]) -> Iterator[str]:
    offers = [(act, act.statement) for act in acts if isinstance(act.statement, HandoffOffered)]
    if offers:
        yield from ("", "## Handoffs", "")
    for act, offer in offers:
        state = unit.view.handoff(act.id)
        stands = str(state.status(unit.now)) if state else "unknown"
        who = f"from {code(offer.author)} to {code(offer.receiver)}"
        yield f"- {act.id}: {offer.type} {who}, {timestamp(act.at)}: {stands}"
        for receipt in unit.receipts.receipts(act.id):
            problems = ", ".join(receipt.problems) or "no problems"
            yield f"  - received by {code(receipt.author)}, #{receipt.seq}: {problems}"
        for answer in unit.receipts.answers(act.id):
            taken = f"; problems accepted: {', '.join(answer.acknowledged)}" if answer.acknowledged else ""
            outputs = f"; outputs {', '.join(answer.outputs)}" if answer.outputs else ""
            yield f"  - {answer.action} by {code(answer.author)}, #{answer.seq}{taken}{outputs}"


def _event(act: _Act) -> str:
    """A line of the timeline: closed values, and the title of a record whose words are on the page."""
    title = f" {code(act.told.served.title)}" if act.told is not None and act.told.words else ""
    return f"- #{act.seq} {timestamp(act.at)} {code(act.statement.author)} {_event_words(act)}{title}"


def _event_words(act: _Act) -> str:
    match act.statement:
        case SessionStarted():
            return f"started {act.id}"
        case SessionEnded() as ended:
            return f"ended {ended.session}: {ended.outcome}"
        case Recorded() as record:
            if act.told is None:
                return "wrote what is erased"
            return f"wrote {record.kind} {act.id}: {act.told.served.label}, {act.told.served.status}"
        case Reviewed() as review:
            return f"{review.verdict}d {review.record}, {review.method}"
        case Retracted() as retraction:
            instead = f", replaced by {retraction.replacement}" if retraction.replacement else ""
            return f"retracted {retraction.record} as {retraction.reason}{instead}"
        case HandoffOffered() as offer:
            return f"offered {act.id}, a {offer.type}"
        case HandoffReceived() as receipt:
            return f"received {receipt.handoff}: {', '.join(receipt.problems) or 'no problems'}"
        case HandoffAnswered() as answer:
            return f"answered {answer.handoff}: {answer.action}"
        case HandoffDecided() as decision:
            return f"decided {decision.handoff}: {'approve' if decision.approved else 'deny'}"
        case _:
            return act.statement.noun
