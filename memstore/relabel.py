"""What follows from an act for what is there already: labels, standing, marks and claims (DESIGN T1, T5-T8).

A label is a pure function of the log and the disclosures, so an act about the past (a review, a retraction, a stolen
key) has its whole reach judged again, within the transaction of the act: nothing that races with it comes out good.
What the act does not reach stays as it is and is not looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from memstore.core.fold import REVISITED, Change, CompromiseKey
from memstore.core.labels import NO_MARK, Label, Mark, as_text
from memstore.core.policy import Allowed, may_supersede
from memstore.core.records import Content
from memstore.core.reviews import PutRetraction, PutReview, above
from memstore.core.state import RecordState
from memstore.core.statements import Kind, Stance, Withdrawal
from memstore.core.trust import Standing, carried_by, settle
from memstore.errors import InternalError
from memstore.ports import Claim, Unit


def carry_out(unit: Unit, changes: Iterable[Change], content: Content | None, *, act: int) -> list[int]:
    """Apply what the entry at `act` changes, and all that follows; positions of the records it touched, in order."""
    unit.act(act)
    touched: set[int] = set()
    for change in changes:
        match change:
            case PutReview():
                touched |= _reviewed(unit, change, content)
            case PutRetraction():
                touched |= _withdrawn(unit, change, content)
            case CompromiseKey():
                touched |= _stolen(unit, change, content)
            case _:
                unit.apply(change, content)
    return sorted(touched)


def _reviewed(unit: Unit, review: PutReview, content: Content | None) -> set[int]:
    before = [one for one in unit.reviews.standing(review.record) if one.author == review.author]
    unit.apply(review, content)
    state, context = _state(unit, review.record), unit.view.context(review.launch)
    mark = context.mark if context else NO_MARK
    changed: set[int] = set()
    if before and before[0].stance is Stance.ENDORSE:
        # Something may be taken away, and with it what leans on itself: the whole reach is judged from the bottom.
        changed = _settled(unit, unit.trust.reach([state.seq]))
    elif review.stance is Stance.ENDORSE and _carries_further(state, review, mark):
        changed = _settled(unit, unit.trust.reach([state.seq]))
    if mark.label is Label.ATTRIBUTED and state.seq not in changed:
        # T2: from here on the record lowers the mark of who reviewed it no more.
        unit.trust.remark([], [review.launch])
    return changed


def _carries_further(state: RecordState, review: PutReview, mark: Mark) -> bool:
    """Whether an endorsement changes how its record stands; if it changes nothing there, it does so nowhere."""
    carried = carried_by(review.carry, mark=mark, admitted=state.admitted)
    return carried is not None and (state.suspect or carried[0] > state.label)


def _withdrawn(unit: Unit, retraction: PutRetraction, content: Content | None) -> set[int]:
    unit.apply(retraction, content)
    state = _state(unit, retraction.record)
    touched: set[int] = set()
    if retraction.spreads:
        touched = _settled(unit, unit.trust.reach([state.seq]))
    elif retraction.reason in REVISITED:
        touched = _flag_dependants(unit, retraction, state)
    _settle_claims(unit, [state.seq])
    if retraction.reason is not Withdrawal.DUPLICATE:
        touched |= unit.trust.flag_contingent([state.seq])
    touched.discard(state.seq)
    unit.reviews.record_affected(retraction.seq, touched)
    return touched


def _stolen(unit: Unit, change: CompromiseKey, content: Content | None) -> set[int]:
    key = unit.registry.key(change.keyid)
    if key is not None and key.compromised is not None and key.compromised <= change.since:
        # Said before: what followed from it follows once, for what was endorsed since stands.
        return set()
    hit = unit.reviews.touched_by_key(change.keyid, change.since)
    unit.apply(change, content)
    touched = _settled(unit, unit.trust.reach(hit)) | set(hit)
    # T2: a review that is void excuses no reading any more, in whichever context it was made.
    unit.trust.remark(hit)
    _settle_claims(unit, hit)
    revoked = [state.seq for state in unit.records.at(hit) if state.revoked]
    unit.trust.flag_contingent(revoked)
    unit.reviews.record_affected(change.at, touched)
    return touched


def _flag_dependants(unit: Unit, retraction: PutRetraction, state: RecordState) -> set[int]:
    """T5: what declares it, and what declares that, has to be looked at again.

    T10: an act from below flags nothing above it, save an author's on what declares its own record.
    """
    flagged: set[int] = set()
    frontier = [state.seq]
    while frontier:
        found = unit.records.at(seq for seq in unit.trust.declared_by(frontier) if seq not in flagged)
        direct = frontier == [state.seq] and retraction.own
        frontier = [one.seq for one in found if direct or one.label <= retraction.label]
        flagged |= set(frontier)
    unit.trust.flag_revisit(flagged)
    return flagged


def _settled(unit: Unit, seqs: list[int]) -> set[int]:
    """Judge these records anew, all together; those whose label or standing is another now."""
    web = unit.trust.web(seqs)
    standings = settle(web)
    before = unit.records.at(seqs)
    changed = {state.seq: state for state in before if _differs(state, standings[state.id])}
    for state in changed.values():
        _put(unit, state, standings[state.id])
    unit.trust.remark(changed)
    _settle_claims(unit, changed)
    fallen = [subject.seq for subject in web.subjects if _fell(changed, subject.seq, standings[subject.id])]
    unit.trust.flag_contingent(fallen)
    return {seq for seq, state in changed.items() if _moved(state, standings[state.id])}


def _moved(state: RecordState, standing: Standing) -> bool:
    """Whether a reader sees the difference; the reasons may change where label and standing stay."""
    return (state.label, state.suspect) != (standing.verdict.label, standing.suspect)


def _fell(changed: dict[int, RecordState], seq: int, standing: Standing) -> bool:
    return seq in changed and standing.suspect and not changed[seq].suspect


def _differs(state: RecordState, standing: Standing) -> bool:
    return (state.label, state.suspect, state.fell_at, state.admitted, state.because) != (
        standing.verdict.label,
        standing.suspect,
        standing.fell_at,
        standing.admitted,
        as_text(standing.verdict.because),
    )


def _put(unit: Unit, state: RecordState, standing: Standing) -> None:
    label = standing.verdict.label
    if _moved(state, standing):
        stored = unit.contents.get(state.seq) if label is not state.label and not state.erased else None
        content = Content.of_store(stored.content) if stored else None
        unit.records.relabel(state, label, suspect=standing.suspect, content=content)
    unit.trust.put_standing(state.seq, standing)


def _settle_claims(unit: Unit, seqs: Iterable[int]) -> None:
    """T8, T10: what replaces and answers what, as labels and standing are now; the first that may, does."""
    claims: defaultdict[tuple[str, str], list[Claim]] = defaultdict(list)
    for claim in unit.trust.claims(seqs):
        claims[claim.how, claim.target].append(claim)
    for (how, target), made in claims.items():
        old = _state(unit, target)
        by = next((claim.claimant for claim in made if _holds(unit, claim, old)), None)
        if unit.trust.settle_claim(how, target, by) and how == "supersedes" and by is not None:
            unit.trust.flag_contingent([old.seq])


def _holds(unit: Unit, claim: Claim, old: RecordState) -> bool:
    new = _state(unit, unit.records.id_at(claim.claimant))
    if new.suspect or new.revoked or new.retracted or new.scope != old.scope:
        return False
    if claim.how == "answers":
        return old.kind is Kind.QUESTION and new.label >= old.label
    author = unit.view.principal(new.author)
    decision = author and may_supersede(
        author=author,
        old_author=old.author,
        above=above(unit.view, author.name, old.author),
        label=new.label,
        old_label=old.label,
    )
    return isinstance(decision, Allowed)


def _state(unit: Unit, record: str) -> RecordState:
    found = unit.view.record(record)
    if found is None:
        raise InternalError("A record that an act names is not here", code="damaged", next_call="Run log verify.")
    return found
