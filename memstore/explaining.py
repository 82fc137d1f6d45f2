"""Why a record is labelled and shown as it is, as data and in sentences (DESIGN 7, view `why`).

The story of its label from the entries that made it, the state of its signature, the proof that it stands in the log,
who was shown it, and what would change it. Closed values throughout, so that asking lowers nothing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from memstore.answers import Page
from memstore.core.contexts import Extent
from memstore.core.entries import Logged
from memstore.core.labels import RAISED_BY, CauseCode, Label, Status
from memstore.core.state import RecordState
from memstore.core.trust import END_OF_LOG
from memstore.errors import InternalError, InvalidInput
from memstore.events import event_at
from memstore.looking_back import Back
from memstore.ports import Unit
from memstore.proving import inclusion
from memstore.render import timestamp
from memstore.requests import HistoryRequest
from memstore.reviewing import needs
from memstore.serving import Caller, Served, look_up, named, readable
from memstore.verifying import signature_state

MOST_READERS = 20
MOST_EVENTS = 200

# What a cause of a label says, after "It is no higher than LABEL: ".
SAYS: dict[CauseCode, str] = {
    CauseCode.AUTHOR_WORKER: "its author is a worker, for whom nobody vouches by itself",
    CauseCode.AUTHOR_OPEN_WORLD: "its author reads the open world",
    CauseCode.AUTHOR_TOOL: "its author is a tool",
    CauseCode.AUTHOR_UNKNOWN: "its author is not registered",
    CauseCode.KIND_EXTERNAL: "it is content from outside",
    CauseCode.TOOL_REGISTERED: "it is what a registered tool said",
    CauseCode.TOOL_UNREGISTERED: "it is what a tool said that is not registered",
    CauseCode.TOOL_OPEN_WORLD: "it is what a tool said that reads the open world",
    CauseCode.SIGNATURE_INVALID: "its signature is not valid",
    CauseCode.SIGNATURE_UNKNOWN_KEY: "its signature is by no key of its author",
    CauseCode.DECLARED: "it names {id} as what it rests on",
    CauseCode.SHOWN: "its context had been shown {id} before it was written",
    CauseCode.MISSING_ANCESTOR: "it names a source that is not here",
    CauseCode.GRANT: "the grant of its context goes no further",
    CauseCode.ENDORSED: "it was endorsed",
    CauseCode.ENDORSED_BELOW: "it was endorsed by somebody whose word carries so far",
    CauseCode.ADMITTED: "it rests on what came from outside, and was endorsed",
}
RAISES = frozenset({CauseCode.ENDORSED, CauseCode.ENDORSED_BELOW, CauseCode.ADMITTED})
CHANGES: dict[Status, str] = {
    Status.RETRACTED: "Nothing brings it back: it was retracted. What is right has to be written anew.",
    Status.REVOKED_AUTHOR: "Nothing brings it back: the key that signed it was compromised. Write it again.",
    Status.SUSPECT: "A review made now, by a person or whoever may endorse it, takes the suspicion away.",
    Status.SUPERSEDED: "It counts again only if what replaced it falls.",
    Status.EXPIRED: "Nothing: its time is over. Observe it afresh.",
}


def why(unit: Unit, caller: Caller, request: HistoryRequest, page: Page, back: Back | None) -> dict[str, Any]:
    """{record, told[], events[], seen_by[], proof, next_cursor}: `events` tells each act that concerned it."""
    if not request.id:
        raise InvalidInput("The view why is of a record", code="missing_field", next_call="Pass id.")
    before = back.before if back else unit.log.head().size
    state = named(unit, caller, request.id, before)
    logged = unit.log.entry(state.seq)
    if logged is None:
        raise InternalError("The log has a gap", code="damaged", next_call="Run log verify.")
    served = look_up(unit, state.id, caller.scope, as_of=before)
    then = unit.past.standing(state, before)
    because = _told_here(unit, caller, then.because)
    record = _record(unit, then, served, logged, because)
    telling = served is not None and not served.reasons and not served.fell_since
    if served is not None and telling and served.label >= readable(unit, caller):
        record["title"] = served.title
        page.show(served, Extent.CONCISE)
    page.budget.take(record)
    story = _story(unit, caller, then, back)
    told = [*_standing(record, because), *_sentences(story, then.id), *_looked(record, logged)]
    readers = unit.past.seen_by(state.seq, before, back.now if back else END_OF_LOG, MOST_READERS)
    proof = _proof(unit, logged)
    told += [_proved(proof), *_seen(readers), *_changing(unit, then, record, because)]
    answer: dict[str, Any] = {"record": record, "told": [line for line in told if page.budget.take(line)]}
    answer["events"] = [event for event in story if page.budget.take(event)]
    answer["seen_by"] = [reader for reader in readers if page.budget.take(reader)]
    answer["proof"] = proof if page.budget.take(proof) else {"index": proof["index"], "size": proof["size"]}
    cut = len(answer["events"]) < len(story) or len(told) > len(answer["told"])
    return {**answer, "note": "max_tokens left no room for all of it." if cut else "", "next_cursor": ""}


def _told_here(unit: Unit, caller: Caller, because: str) -> list[dict[str, str]]:
    """The causes of a label; a record of another scope among them is not named (T13)."""
    causes: list[dict[str, str]] = json.loads(because)
    for cause in causes:
        source = unit.view.record(cause["id"]) if cause.get("id") else None
        if cause.get("id") and (source is None or source.scope != caller.scope):
            cause["id"] = ""
    return causes


def _record(
    unit: Unit, then: RecordState, served: Served | None, logged: Logged, because: list[dict[str, str]]
) -> dict[str, Any]:
    author = unit.view.principal(then.author)
    signature = served.signature if served else signature_state(unit, logged, then.author)
    return {
        "id": then.id,
        "seq": then.seq,
        "kind": str(then.kind),
        "author": then.author,
        "role": str(author.role) if author else "",
        "logged_at": timestamp(then.logged_at),
        "label": str(served.label if served else then.label),
        "status": str(then.status(unit.now)),
        "reasons": [str(reason) for reason in served.reasons] if served else ["erased"],
        "flags": list(served.flags) if served else [],
        "because": because,
        "signature": str(signature),
        "needs": needs(unit, then),
    }


def _standing(record: dict[str, Any], because: list[dict[str, str]]) -> Iterator[str]:
    """How it stands: by whom, how far it may be relied on, and why no further."""
    who = f"{record['author']} ({record['role']})" if record["role"] else record["author"]
    yield f"{record['id']} is a {record['kind']} by {who}, logged at {record['logged_at']} as entry {record['seq']}."
    yield f"It is {record['label']} and {record['status'].replace('_', ' ')}."
    for cause in because:
        code, name = CauseCode(cause["code"]), cause.get("id") or "a record that is not of this scope"
        says = SAYS[code].format(id=name)
        yield (
            f"It is {cause['label']} because {says}."
            if code in RAISES
            else (f"By itself it is no higher than {cause['label']}: {says}.")
        )
    if not because:
        yield "Nothing lowers it."
    if record["reasons"]:
        yield f"It is quarantined: {', '.join(record['reasons'])}."
    if record["flags"]:
        yield f"It is flagged: {', '.join(record['flags'])}."


def _looked(record: dict[str, Any], logged: Logged) -> Iterator[str]:
    match record["signature"]:
        case "valid":
            yield f"Its signature is valid, by the key {logged.entry.keyid[:12]}… of {record['author']}."
        case "attested":
            yield f"The store signed it for {record['author']}, which has no key here."
        case state:
            yield f"Its signature or its content does not verify: {state.replace('_', ' ')}."


def _proof(unit: Unit, logged: Logged) -> dict[str, Any]:
    head = unit.log.head()
    path = inclusion(unit, logged)
    return {
        "index": logged.entry.seq,
        "size": head.size,
        "root": base64.b64encode(head.frontier.root()).decode(),
        "path": [base64.b64encode(node).decode() for node in path],
    }


def _proved(proof: dict[str, Any]) -> str:
    return (
        f"It stands in the log: {len(proof['path'])} hashes lead from entry {proof['index']} to the signed root of "
        f"{proof['size']} entries."
    )


def _seen(readers: list[dict[str, Any]]) -> Iterator[str]:
    if not readers:
        yield "It was shown to nobody."
    for reader in readers:
        times = "once" if reader["times"] == 1 else f"{reader['times']} times"
        yield f"It was shown to {reader['author']} {times}, first at {reader['first']}."


def _changing(unit: Unit, then: RecordState, record: dict[str, Any], because: list[dict[str, str]]) -> Iterator[str]:
    """What would change how it stands."""
    status = then.status(unit.now)
    if status in CHANGES:
        yield CHANGES[status]
    if record["label"] == str(Label.TRUSTED) or status in (Status.RETRACTED, Status.REVOKED_AUTHOR):
        return
    lowest = next((cause for cause in because if cause["label"] == record["label"]), None)
    if lowest is not None:
        yield f"What would raise it: {RAISED_BY[CauseCode(lowest['code'])]}."
    if record["needs"]:
        yield f"Any one of these could: {', '.join(record['needs'])}."


def _story(unit: Unit, caller: Caller, then: RecordState, back: Back | None) -> list[dict[str, Any]]:
    """Each act that concerned it, in order, and what that changed: label, status, whether it has to be revisited."""
    before, moment = (back.before, unit.at(back.now)) if back else (unit.log.head().size, unit)
    steps = [step for step in unit.past.story(then) if step.act < before]
    after = [*(step.before for step in steps[1:]), then][: len(steps)]
    changed = {step.act: _difference(step.before, now) for step, now in zip(steps, after, strict=True)}
    listed = unit.retrieval.timeline(
        caller.scope, task="", session="", record=then.id, after=-1, before=before, most=MOST_EVENTS
    )
    story: list[dict[str, Any]] = []
    for seq in sorted({*listed, *(act for act, what in changed.items() if what)}):
        event, _, _ = event_at(moment, caller, seq, as_of=back.before if back else None)
        event = {name: value for name, value in event.items() if name not in ("title", "task", "flags", "status")}
        if seq == then.seq:
            entered = steps[0].before if steps else then
            event["label"] = str(entered.label)
        elif not _is_here(unit, caller, event):
            event = {"seq": seq, "at": event["at"], "event": "elsewhere"}
        if changed.get(seq):
            event["changed"] = changed[seq]
        story.append(event)
    return story


def _is_here(unit: Unit, caller: Caller, event: dict[str, Any]) -> bool:
    """Whether an act is of this scope, or of none: of another scope nothing is told (T13)."""
    record = event.get("id", "")
    state = unit.view.record(record) if record.startswith("m-") else None
    return state is None or state.scope == caller.scope


def _difference(was: RecordState, now: RecordState) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    if was.label is not now.label:
        found["label"] = [str(was.label), str(now.label)]
    before, after = _lasting(was), _lasting(now)
    if before is not after:
        found["status"] = [str(before), str(after)]
    if was.needs_revisit is not now.needs_revisit:
        found["needs_revisit"] = ["no", "yes"] if now.needs_revisit else ["yes", "no"]
    return found


def _lasting(state: RecordState) -> Status:
    """The status that acts have given it, time apart."""
    return state.status(0) if not state.lapsed else Status.IN_FORCE


def _sentences(story: list[dict[str, Any]], record: str) -> Iterator[str]:
    for event in story:
        if "changed" not in event:
            continue
        changes = [f"{name.replace('_', ' ')} {was} → {now}" for name, (was, now) in event["changed"].items()]
        what = f"{event['verdict']}d" if "verdict" in event else event["event"].replace("_", " ")
        who = f" by {event['author']}" if event.get("author") else ""
        about = f" {event['id']}" if event.get("id", record) != record else ""
        about += f" of {event['principal']}" if event.get("principal") else ""
        about += f" as {event['reason']}" if event.get("reason") else ""
        yield f"At entry {event['seq']} ({event['at']}), {what}{about}{who}: {'; '.join(changes)}."
