"""Labels as a property: whatever a fleet does, each label is what T1, T2 and T5 say of what its author was shown.

The oracle below is written from the rules alone; it sees what the agents saw, which it reads off their answers, and
nothing of how memstore keeps it. Afterwards the audit must agree, and rebuilding must change nothing.
"""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulator import Fleet

from memstore import admin, log
from memstore.errors import MemStoreError
from memstore.service import MemStore

UNTRUSTED, TAINTED, ATTRIBUTED, TRUSTED = range(4)
AGENTS = {"lead": TRUSTED, "human": TRUSTED, "worker": ATTRIBUTED, "second": ATTRIBUTED, "browser": TAINTED}
SOURCES = {
    "https://evil.example/{}": UNTRUSTED,
    "tool:web/{}": UNTRUSTED,
    "tool:db": ATTRIBUTED,
    "tool:misc": TAINTED,
}

some = st.lists(st.integers(0, 30), max_size=2)
agent = st.sampled_from(["worker", "worker", "lead", "lead", *AGENTS])
acts = st.one_of(
    st.tuples(st.just("write"), agent, some, some),
    st.tuples(st.just("write"), agent, some, some),
    st.tuples(st.just("supersede"), agent, some, st.integers(0, 30)),
    st.tuples(st.just("observe"), agent, st.sampled_from(list(SOURCES))),
    st.tuples(st.just("search"), agent, st.sampled_from(["auto", "attributed"]), st.booleans()),
    st.tuples(st.just("get"), agent, some),
    st.tuples(st.just("open"), agent, st.integers(0, 3)),
    st.tuples(st.just("history"), agent),
    st.tuples(st.just("start"), agent),
    st.tuples(st.just("wait"), st.sampled_from([1, 30, 4000])),
    st.tuples(st.just("fresh"), agent),
    st.tuples(st.just("steal"), st.sampled_from(["worker", "second", "lead"]), st.integers(0, 30)),
)


@dataclass
class Record:
    """What the oracle knows of a record: who said it, what it declares, and what its author had been shown by then."""

    seq: int
    author: str
    declared: list[str]
    shown: list[str]
    kind: int = TRUSTED
    own_words: bool = True


@dataclass
class Oracle:
    """The rules, over all that was said and shown."""

    records: dict[str, Record] = field(default_factory=dict)
    stolen: dict[str, int] = field(default_factory=dict)

    @cached_property
    def labels(self) -> dict[str, int]:
        found: dict[str, int] = {}
        fallen: set[str] = set()
        for name, record in sorted(self.records.items(), key=lambda item: item[1].seq):
            rests = record.declared + record.shown
            if record.seq >= self.stolen.get(record.author, record.seq + 1) or fallen & set(rests):
                fallen.add(name)
            worth = {source: min(found[source], TAINTED if source in fallen else TRUSTED) for source in rests}
            mark = max(TAINTED, min((worth[source] for source in record.shown), default=TRUSTED))
            lowest = min(AGENTS[record.author], record.kind, mark, *(worth[source] for source in record.declared))
            found[name] = max(lowest, TAINTED) if record.own_words else lowest
        return found


class History:
    """A fleet that carries acts out, and the oracle that watches."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.oracle = Oracle()
        self.members = {name: fleet.fresh(name) for name in AGENTS}
        self.shown: dict[str, list[str]] = {name: [] for name in AGENTS}
        self.step = 0

    def carry_out(self, act: tuple[Any, ...]) -> None:
        self.step += 1
        match act:
            case ("wait", seconds):
                self.fleet.clock.advance(seconds=seconds)
            case ("steal", name, back):
                since = max(self.registered, self.fleet.size() - back)
                if since < self.fleet.size() and name not in self.oracle.stolen:
                    admin.compromise(self.fleet.house, name, since)
                    self.oracle.stolen[name] = since
            case (_, name, *_) if name in self.oracle.stolen:
                pass
            case ("fresh", name):
                self.members[name] = self.fleet.fresh(name)
                self.shown[name] = []
            case ("write", name, declared, evidence):
                self._write(name, self._named(declared), self._named(evidence), "")
            case ("supersede", name, declared, old):
                self._write(name, self._named(declared), [], "".join(self._named([old])))
            case ("observe", name, source):
                self._observe(name, source.format(self.step), SOURCES[source])
            case (verb, name, *more):
                self._read(self.members[name], verb, name, more)

    @cached_property
    def registered(self) -> int:
        """The position after the registrations: none of the keys acted before."""
        return self.fleet.size()

    def _named(self, numbers: list[int]) -> list[str]:
        names = list(self.oracle.records)
        return [names[number % len(names)] for number in dict.fromkeys(numbers)] if names else []

    def _write(self, name: str, declared: list[str], evidence: list[str], old: str) -> None:
        try:
            said = self.members[name].write(
                "finding", f"Words {self.step}", "body", evidence=evidence, derived_from=declared, supersedes=old
            )
        except MemStoreError as refused:
            if refused.code != "superseded":
                raise
            return
        self._said(name, said, declared + evidence)

    def _said(self, name: str, said: dict[str, Any], declared: list[str], **more: Any) -> None:
        seen = [] if name == "human" else list(self.shown[name])
        self.oracle.records[said["id"]] = Record(said["seq"], name, declared, seen, **more)

    def _observe(self, name: str, source: str, kind: int) -> None:
        said = self.members[name].observe(source, f"Words {self.step}", ttl_seconds=60)
        self._said(name, said, [], kind=kind, own_words=False)
        if kind == UNTRUSTED:
            self.shown[name].append(said["id"])

    def _read(self, member: MemStore, verb: str, name: str, more: list[Any]) -> None:
        answer: dict[str, Any]
        match verb, more:
            case "search", [trust, full]:
                answer = member.search("words", min_trust=trust, detail="full" if full else "concise", limit=20)
            case "get", [numbers]:
                answer = member.get(self._named(numbers)) if self._named(numbers) else {}
            case "open", [number]:
                found = member.search("words", min_trust="trusted")
                self._note(name, found)
                refs = [entry["ref"] for entry in found["quarantined"]["entries"]][number : number + 1]
                answer = member.open(refs) if refs else {}
            case "history", []:
                answer = member.history()
            case _:
                answer = member.session_start("task")
        self._note(name, answer)
        # What was just read must show in the next word.
        self._write(name, [], [], "")

    def _note(self, name: str, answer: object) -> None:
        self.shown[name] += [record for record in bodies(answer) if record not in self.shown[name]]


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


@pytest.fixture(scope="module")
def prepared() -> Iterator[Path]:
    """A store with its principals and tools, to be copied."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "prepared"
        with Fleet(home) as fleet:
            fleet.tool("web*", open_world=True)
            fleet.tool("db")
            for name, role in (("lead", "lead"), ("human", "human"), ("worker", "worker"), ("second", "worker")):
                fleet.agent(name, role=role)
            fleet.agent("browser", open_world=True)
            fleet.house.store.empty_write_ahead_log()
        yield home


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(acts, min_size=3, max_size=16))
def test_every_label_is_what_the_rules_say(prepared: Path, history: list[tuple[Any, ...]]):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(prepared, Path(folder) / "store")
        with Fleet(Path(folder) / "store") as fleet:
            story = History(fleet)
            assert story.registered
            for act in history:
                story.carry_out(act)
            labels = dict(fleet.sql("SELECT id, label FROM records"))
            assert labels == story.oracle.labels
            fleet.assert_sound()
            with fleet.house.store.read() as unit:
                before = unit.projected()
            assert log.rebuild(fleet.house.store)["ok"]
            with fleet.house.store.read() as unit:
                assert unit.projected() == before
