"""What every store must know of how records stood, and of what led to what (ports.Past, ports.Causes)."""

from __future__ import annotations

from contracts.values import FAR, NOW, SECOND, disclosure, key, principal, put, put_session, record_id

from memstore.core.causes import Link
from memstore.core.fold import Answer, EndSession, NeedsRevisit, PutPrincipal, Supersede
from memstore.core.labels import Label
from memstore.core.state import RecordState
from memstore.core.statements import Kind, Role
from memstore.past_ports import Span
from memstore.ports import Store, Unit

END = 2**40


def found(unit: Unit, seq: int) -> RecordState:
    told = unit.view.record(record_id(seq))
    assert told is not None
    return told


class PastContract:
    def test_a_record_stood_as_it_did_before_the_acts_that_came_later(self, store: Store):
        with store.write() as unit:
            put(unit, 1)
            put(unit, 2)
            put(unit, 6)
            for act, change in ((4, NeedsRevisit(record_id(1))), (6, Supersede(record_id(1), 6))):
                unit.act(act)
                unit.apply(change, None)
            now = found(unit, 1)
            stood = {before: unit.past.standing(now, before) for before in (2, 5, 6, 7)}
            assert (now.needs_revisit, now.superseded_by) == (True, 6)
            assert {n: (s.needs_revisit, s.superseded_by) for n, s in stood.items()} == {
                2: (False, None), 5: (True, None), 6: (True, None), 7: (True, 6),
            }  # fmt: skip
            assert [(step.act, step.before.needs_revisit) for step in unit.past.story(now)] == [(4, False), (6, True)]
            assert unit.past.standing(found(unit, 2), 2) == found(unit, 2)

    def test_what_one_act_changes_twice_is_kept_once_as_it_stood_before_the_act(self, store: Store):
        with store.write() as unit:
            put(unit, 1, label=Label.TRUSTED)
            unit.act(2)
            unit.records.relabel(found(unit, 1), Label.TAINTED, suspect=True, content=None)
            unit.records.relabel(found(unit, 1), Label.ATTRIBUTED, suspect=False, content=None)
            (step,) = unit.past.story(found(unit, 1))
            assert (step.act, step.before.label, step.before.suspect) == (2, Label.TRUSTED, False)

    def test_a_guess_was_alive_before_its_session_ended_at_the_very_same_moment(self, store: Store):
        with store.write() as unit:
            session = put_session(unit, "s-" + "a" * 26, 0)
            put(unit, 1, kind=Kind.HYPOTHESIS, session=session)
            unit.apply(EndSession(session, 2, NOW, "completed"), None)
            assert found(unit, 1).lapsed
            assert not unit.past.standing(found(unit, 1), 2).lapsed
            assert unit.past.standing(found(unit, 1), 3).lapsed

    def test_ids_are_found_by_their_beginning_in_their_scope(self, store: Store):
        with store.write() as unit:
            put(unit, 1)
            put(unit, 2)
            put(unit, 3, scope="other")
            assert unit.past.named(record_id(1)[:6], "main", 9) == [record_id(1)]
            assert unit.past.named(record_id(3)[:6], "main", 9) == []
            assert len(unit.past.named("m-", "main", 9)) == 2
            assert len(unit.past.named("m-", "main", 1)) == 1

    def test_what_changed_between_two_moments_came_was_acted_on_or_ran_out(self, store: Store):
        with store.write() as unit:
            put(unit, 1, expires_at=NOW + 5 * SECOND)
            put(unit, 2)
            put(unit, 3)
            unit.act(4)
            unit.apply(Answer(record_id(2), 3), None)

            def changed(after: int, before: int, since: int = 0, until: int = 0, most: int = 9) -> list[int]:
                span = {"after": after, "before": before, "since": since, "until": until, "most": most}
                return unit.past.changed("main", **span)

            assert changed(2, 9) == [2, 3]
            assert changed(4, 9) == []
            assert changed(4, 9, since=NOW, until=NOW + 5 * SECOND) == [1]
            assert changed(0, 9, most=2) == [1, 2]

    def test_leases_that_ran_out_between_two_times(self, store: Store):
        with store.write() as unit:
            put_session(unit, "s", 0, until=NOW + SECOND)
            put_session(unit, "t", 1, until=FAR)

            def lapsed(since: int, until: int) -> list[tuple[int, str, str]]:
                return unit.past.lapsed("main", task="", session="", since=since, until=until, most=9)

            assert lapsed(NOW, NOW + SECOND) == [(NOW + SECOND, "s", "ada")]
            assert lapsed(NOW + SECOND, NOW + 2 * SECOND) == []
            unit.apply(EndSession("s", 2, NOW, "completed"), None)
            assert lapsed(NOW, NOW + SECOND) == []


def links(*ends: list[int]) -> list[Link]:
    """Links to records that stand at attributed."""
    return [Link(end, found, Label.ATTRIBUTED) for end, found in ends]


class CausesContract:
    def test_what_is_declared_is_found_both_ways_in_its_scope(self, store: Store):
        with store.write() as unit:
            put(unit, 1)
            put(unit, 2, derived_from=[record_id(1)])
            put(unit, 3, scope="other", derived_from=[record_id(1)])
            put(unit, 4, conditions=[record_id(2)])
            causes = unit.causes
            assert causes.declared([2, 4], "main", forward=False, before=END, most=9) == links([2, 1], [4, 2])
            assert causes.declared([1], "main", forward=True, before=END, most=9) == links([1, 2])
            assert causes.declared([2], "main", forward=True, before=4, most=9) == []
            assert causes.declared([3], "main", forward=False, before=END, most=9) == links([3, 1])

    def test_what_was_shown_is_found_both_ways_the_lowest_first(self, store: Store):
        with store.write() as unit:
            unit.apply(PutPrincipal(principal("ada", role=Role.WORKER), key("k", of="ada")), None)
            unit.disclosures.open_context("l", principal="ada", scope="main")
            for seq, label in ((1, Label.ATTRIBUTED), (2, Label.UNTRUSTED), (3, Label.ATTRIBUTED)):
                put(unit, seq, launch="elsewhere", label=label)
                unit.disclosures.disclose("l", [disclosure(seq, label=label, position=seq + 1)])
            put(unit, 5, shown=2)
            put(unit, 6, shown=3)
            causes = unit.causes
            shown = causes.shown([Span("l", 0, 3, 5)], "main", before=END, most=9)
            assert shown == [Link(5, 2, Label.UNTRUSTED), *links([5, 3], [5, 1])]
            # Each tier has room of its own.
            shown = causes.shown([Span("l", 0, 3, 5)], "main", before=END, most=1)
            assert shown == [Link(5, 2, Label.UNTRUSTED), *links([5, 3])]
            assert causes.readers([3, 2], before=END) == [Span("l", 2, 0, 2)]
            assert causes.readers([3], before=3) == []
            assert causes.written([Span("l", 3, END, 3)], "main", before=END, most=9) == links([3, 6])
            assert causes.written([Span("l", 2, 3, 2)], "main", before=END, most=9) == links([2, 5])

    def test_what_the_same_context_said_on_the_same_task_is_found_both_ways(self, store: Store):
        with store.write() as unit:
            for seq, task in ((1, "t"), (2, "other"), (3, "t"), (4, "t")):
                put(unit, seq, task=task)
            before = unit.causes.said([Span("l", 0, 3, 3)], "main", forward=False, before=END, most=9)
            later = unit.causes.said([Span("l", 3, END, 3)], "main", forward=True, before=END, most=9)
            assert (before, later) == (links([3, 1]), links([3, 4]))

    def test_facts_are_those_of_the_moment(self, store: Store):
        with store.write() as unit:
            unit.apply(PutPrincipal(principal("ada", role=Role.WORKER), key("k", of="ada")), None)
            put(unit, 1, label=Label.TRUSTED)
            unit.act(5)
            unit.records.relabel(found(unit, 1), Label.TAINTED, suspect=False, content=None)
            now, then = (unit.causes.facts([1, 99], before=before) for before in (6, 5))
            assert set(now) == set(then) == {1}
            assert (now[1].label, then[1].label) == (Label.TAINTED, Label.TRUSTED)
            assert (now[1].id, now[1].launch, now[1].task) == (record_id(1), "l", "t")

    def test_people_have_no_context_to_walk_through(self, store: Store):
        with store.write() as unit:
            unit.apply(PutPrincipal(principal("ada", role=Role.HUMAN), key("k", of="ada")), None)
            put(unit, 1)
            assert unit.causes.facts([1], before=END)[1].launch == ""
