"""Trust as a property: whatever a fleet does, the real store says of every record what the oracle says.

The oracle sees what was said, shown, reviewed, retracted and stolen; of showing, what the agents' answers held. After
each history the audit must agree too, and rebuilding must change nothing.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import ATTRIBUTED, TAINTED, TRUSTED, UNTRUSTED, Model, Person, Record, Retraction, Review, Show
from simulator import Fleet

from memstore import admin, log
from memstore.core.statements import KeyAction
from memstore.errors import MemStoreError

PEOPLE = {
    "lead": Person(TRUSTED, "lead"),
    "other": Person(TRUSTED, "lead"),
    "human": Person(TRUSTED, "human"),
    "check": Person(ATTRIBUTED, "checker"),
    "worker": Person(ATTRIBUTED, "worker", under="lead"),
    "second": Person(ATTRIBUTED, "worker", under="lead"),
    "browser": Person(TAINTED, "worker", under="worker", open_world=True),
}
SOURCES = {"https://evil.example/{}": UNTRUSTED, "tool:db": ATTRIBUTED, "tool:misc": TAINTED}
WRITERS = ["worker", "worker", "second", "lead", "lead", "other", "human", "browser"]
REVIEWERS = ["lead", "lead", "lead", "human", "human", "check", "other", "second", "browser"]
TTL = 60

writer, reviewer = st.sampled_from(WRITERS), st.sampled_from(REVIEWERS)
number = st.integers(0, 30)
some = st.lists(number, max_size=2)
acts = st.one_of(
    st.tuples(st.just("write"), writer, some),
    st.tuples(st.just("write"), writer, some),
    st.tuples(st.just("supersede"), writer, some, number),
    st.tuples(st.just("observe"), writer, st.sampled_from(list(SOURCES))),
    st.tuples(st.just("read"), writer, some),
    st.tuples(st.just("read"), writer, some),
    st.tuples(st.just("glance"), writer),
    st.tuples(st.just("review"), reviewer, number, st.sampled_from(["endorse", "endorse", "endorse", "dispute"])),
    st.tuples(st.just("review"), reviewer, number, st.sampled_from(["endorse", "endorse", "endorse", "dispute"])),
    st.tuples(st.just("blind"), reviewer, number),
    st.tuples(
        st.just("retract"),
        st.sampled_from(["lead", "human", "worker", "second"]),
        number,
        st.sampled_from(["poisoned", "poisoned", "wrong", "outdated", "leaked", "duplicate"]),
    ),
    st.tuples(st.just("fresh"), st.sampled_from(["lead", "worker", "second"])),
    st.tuples(st.just("wait"), st.just(TTL)),
    st.tuples(st.just("steal"), st.sampled_from(["worker", "second", "lead", "human"]), st.integers(0, 12)),
    st.tuples(st.just("rekey"), st.sampled_from(["worker", "second", "lead", "human"])),
)


class History:
    """A fleet that carries acts out, and the model that watches."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.model = Model(PEOPLE)
        self.members = {name: fleet.fresh(name) for name in PEOPLE}
        self.contexts = {name: f"{name} 0" for name in PEOPLE}
        self.launches = {self.contexts[name]: (name, self._launch(name)) for name in PEOPLE}
        self.rekeyed: set[str] = set()
        self.at: dict[int, int] = {}  # log position: the model's time
        self.registered = fleet.size()
        self.step = 0

    def carry_out(self, act: tuple[Any, ...]) -> None:
        self.step += 1
        match act:
            case ("wait", seconds):
                self.fleet.clock.advance(seconds=seconds)
            case ("steal", name, back):
                self._steal(name, back)
            case ("rekey", name) if name in self.model.stolen and name not in self.rekeyed:
                self._rekey(name)
            case ("rekey", _):
                pass
            case (_, name, *_) if name in self.model.stolen and name not in self.rekeyed:
                pass
            case ("fresh", name):
                self.members[name] = self.fleet.fresh(name)
                self.contexts[name] = f"{name} {self.step}"
                self.launches[self.contexts[name]] = name, self._launch(name)
            case ("write", name, declared):
                self._write(name, self._named(declared), "")
            case ("supersede", name, declared, old):
                self._write(name, self._named(declared), "".join(self._named([old])))
            case ("observe", name, source):
                self._observe(name, source)
            case ("read", name, numbers):
                for record in self._named(numbers):
                    self._read(name, record)
            case ("glance", name):
                self._note(name, self.members[name].search("words", limit=3, min_trust="attributed"), full=False)
            case ("review", name, which, stance):
                for record in self._named([which]):
                    self._read(name, record)
                    self._review(name, record, stance)
            case ("blind", name, which):
                for record in self._named([which]):
                    self._review(name, record, "endorse")
            case ("retract", name, which, reason):
                for record in self._named([which]):
                    self._retract(name, record, reason)

    def _launch(self, name: str) -> str:
        return self.members[name]._caller().launch

    def _rekey(self, name: str) -> None:
        """The operator gives a new key after a theft; the agent goes on in the context that it was in."""
        admin.replace_key(self.fleet.house, name, KeyAction.REKEYED)
        self.members[name] = self.fleet.launched(name, self.launches[self.contexts[name]][1])
        self.rekeyed.add(name)

    def marks(self) -> dict[str, str]:
        """The mark of each context of an agent, as the store has it."""
        with self.fleet.house.store.read() as unit:
            states = {context: unit.view.context(launch) for context, (_, launch) in self.launches.items()}
        named = {context: str(state.mark.label) if state else "trusted" for context, state in states.items()}
        return {context: named[context] for context in self.model.marks(self._authors())}

    def _authors(self) -> dict[str, str]:
        return {context: name for context, (name, _) in self.launches.items()}

    def _named(self, numbers: list[int]) -> list[str]:
        names = list(self.model.records)
        return [names[number % len(names)] for number in dict.fromkeys(numbers)] if names else []

    def _tick(self) -> int:
        """The model's time of what was just logged at the end of the log."""
        time = self.model.tick()
        self.at[self.fleet.size() - 1] = time
        return time

    def _write(self, name: str, declared: list[str], old: str) -> None:
        if name == "check":
            return
        hidden = {record for record in [*declared, old] if record and self.model.retracted(record) == "leaked"}
        try:
            said = self.members[name].write(
                "finding", f"Words {self.step}", "body", derived_from=declared, supersedes=old
            )
        except MemStoreError as refused:
            if refused.code != "superseded" and not (refused.code == "unknown_id" and hidden):
                raise
            return
        record = Record(self._tick(), name, self.contexts[name], tuple(declared), supersedes=old)
        self.model.records[said["id"]] = record

    def _observe(self, name: str, source: str) -> None:
        if name == "check":
            return
        told = source.format(self.step)
        said = self.members[name].observe(told, f"Words {self.step}", ttl_seconds=TTL)
        expires = self.fleet.clock() + TTL * 1_000_000 if told.startswith("tool:") else None
        context = self.contexts[name]
        self.model.records[said["id"]] = Record(
            self._tick(), name, context, (), kind=SOURCES[source], own_words=False, expires=expires
        )
        if SOURCES[source] == UNTRUSTED:
            self.model.shows.append(Show(self.model.tick(), context, said["id"], full=True))

    def _read(self, name: str, record: str) -> None:
        member = self.members[name]
        answer = member.get([record])
        self._note(name, answer, full=True)
        if answer["quarantined"]:
            # The last value of what is only stale shows there too, in brief; then it is opened whole.
            self._note(name, answer["quarantined"], full=False)
            member.open([answer["quarantined"][0]["ref"]])
            self.model.shows.append(Show(self.model.tick(), self.contexts[name], record, full=True))

    def _note(self, name: str, answer: object, *, full: bool) -> None:
        records = answer["records"] if isinstance(answer, dict) and "records" in answer else answer
        for record in bodies(records):
            self.model.shows.append(Show(self.model.tick(), self.contexts[name], record, full=full))

    def _review(self, name: str, record: str, stance: str) -> None:
        before = self.fleet.size()
        (result,) = self.members[name].review([record], stance)["results"]
        if self.fleet.size() == before:
            return
        assert self.model.records[record].author != name
        assert not self.model.retracted(record)
        review = Review(self._tick(), name, self.contexts[name], record, stance == "endorse")
        self.model.reviews.append(review)
        if stance == "endorse":
            assert (result["refused"] == "not_entitled") == (not self.model.is_entitled(review))

    def _retract(self, name: str, record: str, reason: str) -> None:
        if self.model.retracted(record):
            return
        allowed = self.model.may_retract(record, name, self.contexts[name], reason)
        before = self.fleet.size()
        trial = self.members[name].retract(record, reason, dry_run=True)
        assert self.fleet.size() == before
        told = self.members[name].retract(record, reason)
        assert told["status"] == ("retracted" if allowed else "disputed")
        assert trial["affected"] == told["affected"]
        if allowed:
            self.model.retractions.append(Retraction(self._tick(), name, record, reason))
        else:
            self.model.reviews.append(Review(self._tick(), name, self.contexts[name], record, False))

    def _steal(self, name: str, back: int) -> None:
        since = max(self.registered, self.fleet.size() - back)
        if since >= self.fleet.size() or name in self.model.stolen:
            return
        admin.compromise(self.fleet.house, name, since)
        void_from = min((time for seq, time in self.at.items() if seq >= since), default=self.model.time + 1)
        self.model.stolen[name] = (void_from, self.model.tick())


def bodies(value: object) -> Iterator[str]:
    """The ids of all records that an answer shows words of."""
    match value:
        case dict():
            if "id" in value and {"title", "text", "body"} & set(value):
                yield value["id"]
            for item in value.values():
                yield from bodies(item)
        case list():
            for item in value:
                yield from bodies(item)


def told_by(fleet: Fleet) -> dict[str, str]:
    """Label and status of every record, as the store has them."""
    records = [row[0] for row in fleet.sql("SELECT id FROM records ORDER BY seq")]
    with fleet.house.store.read() as unit:
        states = [(record, unit.view.record(record)) for record in records]
        return {record: f"{state.label} {state.status(unit.now)}" for record, state in states if state}


@pytest.fixture(scope="module")
def prepared() -> Iterator[Path]:
    """A store with its principals and tools, to be copied."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "prepared"
        with Fleet(home) as fleet:
            fleet.tool("db")
            for name, person in PEOPLE.items():
                fleet.agent(name, role=person.role, under=person.under, open_world=person.open_world)
            fleet.house.store.empty_write_ahead_log()
        yield home


def carried_out(prepared: Path, history: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(prepared, Path(folder) / "store")
        with Fleet(Path(folder) / "store") as fleet:
            story = History(fleet)
            for act in history:
                story.carry_out(act)
                assert told_by(fleet) == story.model.told(fleet.clock())
                assert story.marks() == story.model.marks(story._authors())
            fleet.assert_sound()
            with fleet.house.store.read() as unit:
                before = unit.projected()
            assert log.rebuild(fleet.house.store)["ok"]
            with fleet.house.store.read() as unit:
                assert unit.projected() == before


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(acts, min_size=4, max_size=18))
def test_every_record_stands_as_the_rules_say(prepared: Path, history: list[tuple[Any, ...]]):
    carried_out(prepared, history)


@pytest.mark.slow
@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(acts, min_size=10, max_size=40))
def test_every_record_stands_as_the_rules_say_over_long_histories(prepared: Path, history: list[tuple[Any, ...]]):
    carried_out(prepared, history)
