"""What every store must do with principals, keys, tools, records, sessions and disclosures (ports; core.fold.View)."""

from __future__ import annotations

from typing import Any

from contracts.values import (
    FAR,
    NOW,
    SECOND,
    disclosure,
    key,
    principal,
    put,
    put_session,
    record_id,
    state,
)

from memstore.core.contexts import ContextState, Extent, after
from memstore.core.fold import (
    Answer,
    CompromiseKey,
    EndSession,
    EraseContent,
    ExtendChain,
    FreshContext,
    NeedsRevisit,
    PutKey,
    PutPrincipal,
    PutTool,
    RetireKey,
    Supersede,
)
from memstore.core.labels import Label, Mark, Source, Status
from memstore.core.policy import Tool
from memstore.core.state import RecordState
from memstore.core.statements import Kind, Role
from memstore.ports import Store, Unit


def found(unit: Unit, record: str) -> RecordState:
    told = unit.view.record(record)
    assert told is not None
    return told


def context(unit: Unit, launch: str) -> ContextState:
    told = unit.view.context(launch)
    assert told is not None
    return told


class RegistryContract:
    def test_a_principal_comes_back_as_it_was_registered(self, store: Store):
        told = principal(
            "Ada",
            role=Role.LEAD,
            under="boss",
            open_world=True,
            scopes=("b", "a"),
            team="t",
            version="v",
            capabilities=("x", "y"),
            accepts=("c@1.0",),
        )
        with store.write() as unit:
            unit.apply(PutPrincipal(told, key("k", of="Ada")), None)
            unit.apply(PutPrincipal(principal("ben"), key("l", of="ben")), None)
            assert unit.view.principal("Ada") == told
            assert [p.name for p in unit.registry.principals()] == ["Ada", "ben"]
            assert unit.view.principal("nobody") is None

    def test_a_name_is_taken_in_any_case_but_only_its_own_case_is_the_principal(self, store: Store):
        with store.write() as unit:
            unit.apply(PutPrincipal(principal("Ada"), key("k", of="Ada")), None)
            assert unit.registry.name_taken("ADA")
            assert not unit.registry.name_taken("Ad")
            assert unit.view.principal("ada") is None

    def test_keys_of_a_principal_come_in_the_order_they_were_added(self, store: Store):
        with store.write() as unit:
            unit.apply(PutPrincipal(principal("ada"), key("z", added=1)), None)
            unit.apply(PutKey(key("a", added=5)), None)
            unit.apply(PutKey(key("b", of="ben", added=2)), None)
            assert [k.keyid for k in unit.registry.keys_of("ada")] == ["z", "a"]
            assert unit.registry.key("a") == key("a", added=5)
            assert unit.registry.key("none") is None

    def test_a_key_is_retired_once_and_compromised_from_the_earliest_position(self, store: Store):
        with store.write() as unit:
            unit.apply(PutKey(key("k", added=1)), None)
            for change in (RetireKey("k", 5), RetireKey("k", 7), CompromiseKey("k", 4), CompromiseKey("k", 6)):
                unit.apply(change, None)
            told = unit.registry.key("k")
            assert told is not None
            assert (told.retired, told.compromised) == (5, 4)

    def test_a_tool_registered_again_counts_as_registered_last(self, store: Store):
        with store.write() as unit:
            for tool in (Tool("b*", True, 9), Tool("a", False), Tool("b*", False, 3)):
                unit.apply(PutTool(tool), None)
            assert unit.registry.tools() == [Tool("a", False), Tool("b*", False, 3)]
            assert unit.view.tool("b*") == Tool("b*", False, 3)
            assert unit.view.tool("bc") is None

    def test_chains_and_epochs_are_of_an_author_and_a_launch_and_of_a_principal_and_a_scope(self, store: Store):
        with store.write() as unit:
            assert unit.registry.chain("ada", "l") == (0, "")
            unit.apply(ExtendChain("ada", "l", 1, "1" * 64), None)
            unit.apply(ExtendChain("ada", "l", 2, "2" * 64), None)
            unit.apply(FreshContext("ada", "main"), None)
            unit.apply(FreshContext("ada", "main"), None)
            assert unit.registry.chain("ada", "l") == (2, "2" * 64)
            assert unit.registry.chain("ada", "m") == unit.registry.chain("ben", "l") == (0, "")
            assert [unit.registry.epoch(*of) for of in (("ada", "main"), ("ada", "b"), ("ben", "main"))] == [2, 0, 0]


class RecordsContract:
    def test_a_record_comes_back_as_it_was_put(self, store: Store):
        told: dict[str, Any] = {
            "expires_at": NOW + SECOND,
            "shown": 3,
            "stale_inputs": True,
            "label": Label.TRUSTED,
            "scope": "b",
        }
        with store.write() as unit:
            record = put(unit, 4, **told)
            assert unit.view.record(record) == state(4, **told)
            assert (unit.records.id_at(4), unit.records.id_at(5)) == (record, "")
            assert unit.view.record("m-none") is None
            assert unit.view.source(record) == Source(record, Label.TRUSTED, Status.IN_FORCE)

    def test_a_name_is_of_its_author_and_scope_and_means_the_newest(self, store: Store):
        with store.write() as unit:
            put(unit, 0, content={"key": "k"})
            newest = put(unit, 1, content={"key": "k"})
            elsewhere = put(unit, 2, content={"key": "k"}, scope="b")
            theirs = put(unit, 3, content={"key": "k"}, author="ben")
            named = unit.records.named
            assert [named("ada", "main", "k"), named("ada", "b", "k"), named("ben", "main", "k")] == [
                *(newest, elsewhere, theirs)
            ]
            assert named("ada", "main", "K") == named("ben", "b", "k") == ""

    def test_supersession_counts_once_and_flags_what_depends_on_it(self, store: Store):
        with store.write() as unit:
            old = put(unit, 0)
            dependent, other = put(unit, 1, conditions=[old]), put(unit, 2, derived_from=[old])
            put(unit, 3)
            unit.apply(Supersede(old, 3), None)
            unit.apply(Supersede(old, 9), None)
            assert found(unit, old).superseded_by == 3
            assert found(unit, dependent).needs_revisit
            assert not found(unit, other).needs_revisit

    def test_an_answer_counts_once_and_a_flag_stays(self, store: Store):
        with store.write() as unit:
            question = put(unit, 0, kind=Kind.QUESTION)
            for change in (Answer(question, 5), Answer(question, 6), NeedsRevisit(question)):
                unit.apply(change, None)
            assert (found(unit, question).answered_by, found(unit, question).needs_revisit) == (5, True)

    def test_records_of_a_session_and_from_a_position_come_in_order(self, store: Store):
        with store.write() as unit:
            ids = [put(unit, seq, session="s-" + "a" * 26 if seq % 2 else "") for seq in range(5)]
            assert [r.id for r in unit.records.of_session("s-" + "a" * 26)] == [ids[1], ids[3]]
            assert [r.id for r in unit.records.written_from(2)] == ids[2:]

    def test_a_walk_over_records_sees_what_was_changed_on_the_way(self, store: Store):
        with store.write() as unit:
            for seq in range(3):
                put(unit, seq)
            seen = []
            for told in unit.records.written_from(0):
                seen.append(told.needs_revisit)
                unit.apply(NeedsRevisit(record_id(told.seq + 1)), None)
            assert seen == [False, True, True]

    def test_a_compromise_voids_records_by_that_key_from_the_position_on(self, store: Store):
        with store.write() as unit:
            old, asked = put(unit, 0), put(unit, 1, kind=Kind.QUESTION)
            by_other = put(unit, 2)
            # The entry at position n is signed by "key<n>" here.
            bad = put(unit, 3, supersedes=old, answers=asked)
            unit.apply(PutKey(key("key3")), None)
            unit.apply(CompromiseKey("key3", 4), None)
            assert not found(unit, bad).revoked
            unit.apply(CompromiseKey("key3", 3), None)
            assert found(unit, bad).revoked
            assert not found(unit, by_other).revoked
            assert unit.reviews.touched_by_key("key3", 3) == [3]

    def test_what_replaces_and_answers_what_is_told_and_settled(self, store: Store):
        with store.write() as unit:
            old, asked = put(unit, 0), put(unit, 1, kind=Kind.QUESTION)
            put(unit, 2, supersedes=old, answers=asked)
            unit.apply(Supersede(old, 2), None)
            unit.apply(Answer(asked, 2), None)
            for told in ([0, 1], [2]):
                claims = unit.trust.claims(told)
                assert sorted((one.how, one.target, one.claimant) for one in claims) == [
                    ("answers", asked, 2),
                    ("supersedes", old, 2),
                ]
            assert unit.trust.settle_claim("supersedes", old, None)
            assert unit.trust.settle_claim("answers", asked, None)
            assert not unit.trust.settle_claim("answers", asked, None)
            assert (found(unit, old).superseded_by, found(unit, asked).answered_by) == (None, None)

    def test_sessions_come_newest_first_as_many_as_asked_for(self, store: Store):
        with store.write() as unit:
            for seq in range(4):
                put_session(unit, f"s-{seq}", seq, launch="l" if seq < 3 else "m", scope="main")
            put_session(unit, "s-far", 9, scope="b")
            assert [s.id for s in unit.records.sessions("main", most=3)] == ["s-3", "s-2", "s-1"]
            assert [s.id for s in unit.records.sessions("main", launch="l", most=1)] == ["s-2"]

    def test_a_session_ends_once_or_when_its_lease_has_run_out(self, store: Store):
        with store.write() as unit:
            put_session(unit, "s-1", 0, until=NOW + SECOND)
            put_session(unit, "s-2", 1)
            unit.apply(EndSession("s-2", 5, NOW, "partial"), None)
            for now, ended in ((NOW, False), (NOW + SECOND, True)):
                told = unit.at(now).view.session("s-1")
                assert told is not None
                assert (told.ended, told.closed, told.expires_at) == (ended, False, NOW + SECOND)
            over = unit.view.session("s-2")
            assert over is not None
            assert (over.ended, over.closed) == (True, True)
            assert unit.view.session("s-3") is None

    def test_a_hypothesis_lapses_with_its_session_and_nothing_else_does(self, store: Store):
        with store.write() as unit:
            name = put_session(unit, "s-" + "a" * 26, 0, until=NOW + SECOND)
            guess, finding = put(unit, 1, kind=Kind.HYPOTHESIS, session=name), put(unit, 2, session=name)
            orphan = put(unit, 3, kind=Kind.HYPOTHESIS, session="s-" + "b" * 26)
            later = unit.at(NOW + SECOND)
            assert [found(unit, r).lapsed for r in (guess, finding, orphan)] == [False, False, True]
            assert [found(later, r).lapsed for r in (guess, finding)] == [True, False]
            unit.records.lease(name, FAR)
            assert not found(later, guess).lapsed

    def test_a_relabelled_record_has_its_new_label(self, store: Store):
        with store.write() as unit:
            record = put(unit, 0)
            unit.records.relabel(found(unit, record), Label.TAINTED, suspect=True, content=None)
            assert (found(unit, record).label, found(unit, record).suspect) == (Label.TAINTED, True)

    def test_an_erased_record_keeps_its_place_and_loses_its_name(self, store: Store):
        with store.write() as unit:
            record = put(unit, 0, content={"key": "k"})
            unit.apply(EraseContent(record), None)
            assert unit.records.named("ada", "main", "k") == ""
            assert unit.records.id_at(0) == record


class DisclosuresContract:
    """Records 0 to 3 are there, attributed; the context "l" is open."""

    def _open(self, unit: Unit) -> None:
        unit.apply(PutPrincipal(principal("ada"), key("k")), None)
        for seq in range(4):
            put(unit, seq)
        unit.disclosures.open_context("l", principal="ada", scope="main")

    def test_a_context_is_fresh_when_it_is_opened(self, store: Store):
        with store.write() as unit:
            self._open(unit)
            assert unit.view.context("l") == ContextState("l", "ada", "main")
            assert unit.view.context("m") is None

    def test_what_is_shown_moves_the_context_as_core_says(self, store: Store):
        told = [disclosure(0), disclosure(1, label=Label.TAINTED), disclosure(2, status=Status.EXPIRED)]
        expected = ContextState("l", "ada", "main")
        with store.write() as unit:
            self._open(unit)
            for one in told:
                unit.disclosures.disclose("l", [one])
                expected = after(expected, one)
            assert unit.view.context("l") == expected
            assert expected.mark == Mark(Label.TAINTED, record_id(1))

    def test_the_same_at_no_greater_extent_adds_nothing(self, store: Store):
        with store.write() as unit:
            self._open(unit)
            unit.disclosures.disclose("l", [disclosure(0, extent=Extent.FULL)])
            before = unit.view.context("l")
            again = [disclosure(0, extent=Extent.CONCISE), disclosure(0, extent=Extent.FULL, position=200)]
            assert unit.disclosures.unseen("l", again) == []
            unit.disclosures.disclose("l", again)
            assert unit.view.context("l") == before

    def test_a_greater_extent_is_a_disclosure(self, store: Store):
        with store.write() as unit:
            self._open(unit)
            unit.disclosures.disclose("l", [disclosure(0)])
            fuller = disclosure(0, extent=Extent.FULL)
            assert unit.disclosures.unseen("l", [fuller, disclosure(1)]) == [fuller, disclosure(1)]
            unit.disclosures.disclose("l", [fuller])
            assert context(unit, "l").shown == 2

    def test_to_a_context_that_is_not_open_everything_is_unseen(self, store: Store):
        with store.write() as unit:
            assert unit.disclosures.unseen("m", [disclosure(0)]) == [disclosure(0)]

    def test_contexts_are_apart(self, store: Store):
        with store.write() as unit:
            self._open(unit)
            unit.disclosures.open_context("m", principal="ada", scope="main")
            unit.disclosures.disclose("l", [disclosure(0, label=Label.TAINTED)])
            assert context(unit, "m") == ContextState("m", "ada", "main")

    def test_what_was_shown_comes_in_order_and_as_it_stands_now(self, store: Store):
        with store.write() as unit:
            self._open(unit)
            unit.disclosures.disclose("l", [disclosure(seq) for seq in (2, 0, 1)])
            unit.records.relabel(found(unit, record_id(0)), Label.TAINTED, suspect=False, content=None)
            told = list(unit.disclosures.shown_to("l"))
            assert [source.id for source in told] == [record_id(seq) for seq in (2, 0, 1)]
            assert [source.label for source in told] == [Label.ATTRIBUTED, Label.TAINTED, Label.ATTRIBUTED]

    def test_marks_are_computed_again_for_those_who_were_shown_a_record(self, store: Store):
        with store.write() as unit:
            self._open(unit)
            unit.disclosures.open_context("m", principal="ada", scope="main")
            unit.disclosures.disclose("l", [disclosure(0), disclosure(1)])
            unit.disclosures.disclose("m", [disclosure(2)])
            head = context(unit, "l").head
            for seq in (1, 2):
                unit.records.relabel(found(unit, record_id(seq)), Label.TAINTED, suspect=False, content=None)
            unit.trust.remark([1])
            assert context(unit, "l").mark == Mark(Label.TAINTED, record_id(1))
            assert context(unit, "l").head == head
            assert context(unit, "m").mark.label is Label.ATTRIBUTED

    def test_a_replay_gives_the_same_chain_from_what_is_stored(self, store: Store):
        with store.write() as unit:
            self._open(unit)
            unit.disclosures.open_context("m", principal="ada", scope="main")
            unit.disclosures.disclose("m", [disclosure(1, position=7)])
            unit.disclosures.disclose("l", [disclosure(0, position=5), disclosure(1, position=8)])
            stored = list(unit.disclosures.replayed())
            assert [(launch, d.record, d.position) for launch, d in stored] == [("l", 0, 5), ("m", 1, 7), ("l", 1, 8)]
            unit.forget_projection()
            assert context(unit, "l").shown == 0
            for launch, told in stored:
                unit.disclosures.replay(launch, told)
            assert context(unit, "l").shown == 2
