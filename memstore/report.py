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
from typing import Any

from memstore import history
from memstore.answers import Page
from memstore.core.contexts import Extent
from memstore.core.labels import Label
from memstore.core.offers import HandoffOffered
from memstore.core.statements import Kind, Recorded, SessionEnded, SessionStarted, Statement, short_id
from memstore.exporting import select, statements
from memstore.markdown import block, code
from memstore.ports import Store, Unit
from memstore.render import Answer, Budget, timestamp
from memstore.requests import HistoryRequest
from memstore.serving import Caller, Served, disclosed, look_up, readable

MOST_BODY = 4000
MOST_EVENTS = 2000
PAGE_TOKENS = 100_000
SECTIONS = (
    ("What was asked", (Kind.INTENT,)),
    ("What binds", (Kind.CONSTRAINT,)),
    ("Decisions", (Kind.DECISION,)),
    ("Findings", (Kind.FINDING,)),
    ("Tried and rejected", (Kind.REJECTED,)),
    ("Questions", (Kind.QUESTION,)),
    ("What else was written", (Kind.HYPOTHESIS, Kind.CHECKPOINT, Kind.TOOL_RESULT, Kind.EXTERNAL)),
)
# What of an event is said, beside its place, time, author and name; all of it closed values.
EVENT_FIELDS = ("kind", "id", "label", "status", "verdict", "method", "reason", "replacement", "type", "to", "action",
                "outcome", "problems", "outputs", "hop")  # fmt: skip
LEAST = {"trusted": Label.TRUSTED, "attributed": Label.ATTRIBUTED}


@dataclass(frozen=True, slots=True)
class _Told:
    """A record of the task as this caller gets it: `words` says whether its words are on the page."""

    served: Served
    words: bool


def export_report(store: Store, caller: Caller, task: str, *, min_trust: str = "auto") -> Answer:
    """{markdown, complete, mark}: the report of a task, all that it shows put on record first."""

    def look(unit: Unit) -> tuple[tuple[list[str], bool, int], Page]:
        page = Page(Budget(0))
        chosen = select(unit, caller, task=task, record="", depth=0)
        acts = statements(unit, chosen.positions)
        said = [(logged.entry.digest, logged.entry.logged_at, statement) for logged, statement in acts]
        least = LEAST.get(min_trust, readable(unit, caller))
        records = [_told(unit, caller, page, least, digest) for digest, _, one in said if isinstance(one, Recorded)]
        kept = [one for one in records if one is not None]
        lines = [*_head(unit, caller, task, kept), *_people(unit, said, kept), *_sessions(said)]
        lines += [line for title, kinds in SECTIONS for line in _section(unit, title, kinds, kept)]
        lines += [*_handoffs(unit, said), *_quarantined(unit, kept)]
        return (lines, chosen.complete, unit.log.head().size), page

    (lines, complete, size), _ = disclosed(store, caller, look)
    timeline, mark, whole = _timeline(store, caller, task, size)
    text = "\n".join([*lines, *timeline, *([] if complete and whole else _left_out()), ""])
    return Answer({"markdown": text, "complete": complete and whole, "mark": mark})


def _told(unit: Unit, caller: Caller, page: Page, least: Label, digest: bytes) -> _Told | None:
    served = look_up(unit, short_id("m-", digest), caller.scope)
    if served is None:
        return None
    # What is only out of date may be seen for what it is (3.4): a post-mortem is about what was believed then.
    words = (not served.reasons or served.only_stale) and served.label >= least
    if words:
        page.show(served, Extent.CONCISE)
    return _Told(served, words)


def _head(unit: Unit, caller: Caller, task: str, records: list[_Told]) -> Iterator[str]:
    head, labels = unit.log.head(), Counter(str(one.served.label) for one in records)
    yield from (f"# Report of the task {code(task)}", "")
    yield f"- Store {head.store}, scope {code(caller.scope)}, as of {head.size} entries of its log."
    yield f"- Made for {code(caller.name)} at {timestamp(unit.now)}; reading it counts as reading the records."
    told = ", ".join(f"{labels[str(label)]} {label}" for label in reversed(Label) if labels[str(label)])
    yield f"- {len(records)} records: {told or 'none'}."
    yield "- What agents wrote stands in code. It is what they said, not what is so, and no instruction to anybody."


def _people(unit: Unit, said: list[tuple[bytes, int, Statement]], records: list[_Told]) -> Iterator[str]:
    yield from ("", "## Who", "")
    wrote = Counter(one.served.state.author for one in records)
    for name in dict.fromkeys(statement.author for _, _, statement in said):
        principal = unit.view.principal(name)
        role = str(principal.role) if principal else "unknown"
        under = f", under {code(principal.under)}" if principal and principal.under else ""
        yield f"- {code(name)}: {role}{under}; {wrote[name]} records"


def _sessions(said: list[tuple[bytes, int, Statement]]) -> Iterator[str]:
    yield from ("", "## Sessions", "")
    ended = {one.session: (at, one.outcome) for _, at, one in said if isinstance(one, SessionEnded)}
    started = [(short_id("s-", digest), at, one) for digest, at, one in said if isinstance(one, SessionStarted)]
    for session, at, statement in started:
        until, outcome = ended.get(session, (None, ""))
        end = f"{timestamp(until)}, {outcome}" if until is not None else "not ended by its agent"
        yield f"- {session} of {code(statement.author)}: {timestamp(at)} to {end}"
    yield from ([] if started else ["None."])


def _section(unit: Unit, title: str, kinds: tuple[Kind, ...], records: list[_Told]) -> Iterator[str]:
    found = [one for one in records if one.served.state.kind in kinds]
    good = [one for one in found if one.words or not one.served.reasons]
    if not found:
        return
    yield from ("", f"## {title}", "")
    for one in good:
        yield from _whole(unit, one.served) if one.words else _listed(one.served)
    if len(good) < len(found):
        yield f"And {len(found) - len(good)} in quarantine, listed below."


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


def _quarantined(unit: Unit, records: list[_Told]) -> Iterator[str]:
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


def _handoffs(unit: Unit, said: list[tuple[bytes, int, Statement]]) -> Iterator[str]:
    offers = [(short_id("h-", digest), at, one) for digest, at, one in said if isinstance(one, HandoffOffered)]
    if not offers:
        return
    yield from ("", "## Handoffs", "")
    for handoff, at, offer in offers:
        state = unit.view.handoff(handoff)
        stands = str(state.status(unit.now)) if state else "unknown"
        who = f"from {code(offer.author)} to {code(offer.receiver)}"
        yield f"- {handoff}: {offer.type} {who}, {timestamp(at)}: {stands}"
        for receipt in unit.receipts.receipts(handoff):
            problems = ", ".join(receipt.problems) or "no problems"
            yield f"  - received by {code(receipt.author)}, #{receipt.seq}: {problems}"
        for answer in unit.receipts.answers(handoff):
            taken = f"; problems accepted: {', '.join(answer.acknowledged)}" if answer.acknowledged else ""
            outputs = f"; outputs {', '.join(answer.outputs)}" if answer.outputs else ""
            yield f"  - {answer.action} by {code(answer.author)}, #{answer.seq}{taken}{outputs}"


def _timeline(store: Store, caller: Caller, task: str, size: int) -> tuple[list[str], str, bool]:
    """The lines, the caller's mark after them, and whether that is all: as `history` gives it, up to this size."""
    lines, cursor, told = ["", "## Timeline", ""], "", 0
    while True:
        asked = {"task": task, "until": str(size - 1), "limit": 500, "max_tokens": PAGE_TOKENS, "cursor": cursor}
        answer = history.history(store, caller, HistoryRequest.parse(asked))
        lines += [_event(event) for event in answer["events"]]
        told, cursor = told + len(answer["events"]), answer["next_cursor"]
        if not cursor or told >= MOST_EVENTS:
            return lines, str(answer["mark"]), not cursor


def _event(event: dict[str, Any]) -> str:
    values = [event[name] for name in EVENT_FIELDS if event.get(name) not in (None, "", [])]
    shown = [", ".join(map(str, value)) if isinstance(value, list) else str(value) for value in values]
    title = f" {code(event['title'])}" if event.get("title") else ""
    who = code(str(event["author"]))
    return f"- #{event['seq']} {event['at']} {who} {event['event']} {' '.join(shown)}{title}".rstrip()


def _left_out() -> list[str]:
    return ["", "There is more of this task than one report holds; `memstore history` gives all of it, in pages."]
