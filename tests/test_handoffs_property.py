"""Any order of offers, receipts, answers, lapses, crashes and doubled messages: no illegal state, nothing done twice.

The machine keeps its own account of every handoff, by rules written apart from those of the store, and holds the store
to it: state, lease, who may end it, and how many statements each call adds. A crash forgets the answer to a call and
opens the store anew; a doubled message is the same call once more.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from simulator import Fleet, codes

from memstore import log
from memstore.errors import MemStoreError
from memstore.service import MemStore

LEASE = 900
ABLE = "capability:review"  # which the worker alone has
ATTEMPTS = 3
SENDER, WORKER, OWNER, PERSON = "ada", "ben", "lead", "ann"
TO_TAKE = ("offered", "clarification_requested", "dead_letter")
OVER = {"completed", "failed", "rejected", "cancelled", "denied"}


@dataclass
class Account:
    """What the machine knows of one handoff."""

    id: str
    arguments: dict[str, Any]
    stage: str = "offered"
    token: int = 0
    attempts: int = 0
    until: int = 0
    holder: str = ""
    deadline: int = 0
    # by launch: receipt, token, codes, and what those depended on
    receipts: dict[str, tuple[str, int, list[str], tuple[bool, bool, int]]] = field(default_factory=dict)
    asked: bool = False  # and not answered before it was accepted
    answered: int = 0
    effects: int = 0  # how often work on it was finished

    def state(self, now: int) -> str:
        lapsed = self.stage == "accepted" and now >= self.until
        waits = lapsed or self.stage in ("awaiting_approval", "offered", "clarification_requested")
        if waits and self.deadline and now >= self.deadline:
            return "dead_letter"
        if lapsed:
            return "offered" if self.attempts < ATTEMPTS else "dead_letter"
        return self.stage

    def found(self, now: int) -> tuple[bool, bool, int]:
        """What an inspection depends on here: an open question, a deadline that is past, how often it was answered."""
        asked = self.stage == "clarification_requested" or self.asked
        return asked, bool(self.deadline) and now >= self.deadline, self.answered

    def taker(self, now: int) -> str:
        return OWNER if self.state(now) == "dead_letter" else WORKER


class Handoffs(RuleBasedStateMachine):
    """One sender, one worker in two contexts, and the fallback owner."""

    template: Path

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        shutil.copytree(self.template, self.folder / "store")
        self.fleet = Fleet(self.folder / "store")
        self.members = {name: self.fleet.launched(name.split("/")[0], f"c-{name}") for name in self.names()}
        told = self.members[SENDER].write("finding", "Found", "it", verification="verified", evidence=["log"])
        self.output = told["id"]
        self.accounts: list[Account] = []
        self.made = 0

    @staticmethod
    def names() -> list[str]:
        return [SENDER, f"{WORKER}/1", f"{WORKER}/2", OWNER, PERSON]

    def teardown(self) -> None:
        if hasattr(self, "fleet"):
            report = self.fleet.audit()
            with self.fleet.house.store.read() as unit:
                before = unit.projected()
            rebuilt = log.rebuild(self.fleet.house.store)
            with self.fleet.house.store.read() as unit:
                after = unit.projected()
            self.fleet.close()
            shutil.rmtree(self.folder, ignore_errors=True)
            assert report["ok"], report["problems"]
            assert rebuilt["ok"]
            assert before == after

    @property
    def now(self) -> int:
        return self.fleet.clock.micros

    def _twice(self, doubled: bool, call: Any) -> Any:
        """The call, and once more where the message was doubled: the second adds nothing and says the same state."""
        first = call()
        if doubled:
            size = self.fleet.size()
            again = call()
            assert self.fleet.size() == size
            assert again["state"] == first["state"]
        return first

    @rule(doubled=st.booleans(), deadline=st.booleans(), gate=st.booleans(), to=st.sampled_from([WORKER, ABLE]))
    def offer(self, doubled: bool, deadline: bool, gate: bool, to: str) -> None:
        self.made += 1
        arguments: dict[str, Any] = {"outputs": [self.output], "questions": ["none"], "fallback": OWNER}
        arguments["idempotency_key"] = str(self.made)
        account = Account("", arguments, stage="awaiting_approval" if gate else "offered")
        if gate:
            arguments["gate"] = f"May it be done, number {self.made}?"
        if deadline:
            account.deadline = self.now + 2 * LEASE * 1_000_000
            from memstore.render import timestamp

            arguments["deadline"] = timestamp(account.deadline)
        call = lambda: self.members[SENDER].handoff_offer(to, "transfer", **arguments)  # noqa: E731
        account.id = self._twice(doubled, call)["handoff"]
        assert account.id not in {other.id for other in self.accounts}
        self.accounts.append(account)

    def _pick(self, data: Any) -> Account:
        picked: Account = data.draw(st.sampled_from(self.accounts))
        return picked

    @precondition(lambda self: self.accounts)
    @rule(data=st.data(), who=st.sampled_from([f"{WORKER}/1", f"{WORKER}/2", OWNER]))
    def receive(self, data: Any, who: str) -> None:
        account, name = self._pick(data), who.split("/")[0]
        state = account.state(self.now)
        holds = state == "accepted" and account.holder == name
        may = holds or (
            state in ("offered", "clarification_requested", "dead_letter") and account.taker(self.now) == name
        )
        try:
            found = self.members[who].handoff_receive(account.id)
        except MemStoreError:
            assert not may or state in OVER
            return
        assert may or (state == "accepted" and name == WORKER)
        account.receipts[who] = (found["receipt"], account.token, codes(found), account.found(self.now))

    @precondition(lambda self: any(account.receipts for account in self.accounts))
    @rule(data=st.data(), who=st.sampled_from([f"{WORKER}/1", f"{WORKER}/2", OWNER]), doubled=st.booleans())
    def accept(self, data: Any, who: str, doubled: bool) -> None:
        account, name = self._pick(data), who.split("/")[0]
        if who not in account.receipts:
            return
        receipt, token, problems, seen = account.receipts[who]
        state = account.state(self.now)
        open_to = state in TO_TAKE and account.taker(self.now) == name
        member, size = self.members[who], self.fleet.size()
        told = {"receipt": receipt, "acknowledge": problems}
        refused = ""
        answer = {}
        try:
            answer = self._twice(doubled, lambda: member.handoff_respond(account.id, "accept", **told))
        except MemStoreError as error:
            refused = error.code
        if refused:
            # Only what is another finding than then makes the receipt of this attempt an old one.
            same = open_to and token == account.token and seen == account.found(self.now)
            assert not same, refused
            if open_to:
                assert refused == "old_receipt"
            assert self.fleet.size() == size
            return
        if self.fleet.size() == size:
            return  # the same call as before, which changes nothing
        assert open_to
        assert token == account.token
        account.token, account.attempts = account.token + 1, account.attempts + 1
        account.stage, account.holder, account.until = "accepted", name, self.now + LEASE * 1_000_000
        assert answer["lease"] == str(account.token)

    @precondition(lambda self: any(account.token for account in self.accounts))
    @rule(
        data=st.data(), who=st.sampled_from([f"{WORKER}/1", f"{WORKER}/2", OWNER]), old=st.booleans(),
        doubled=st.booleans(), action=st.sampled_from(["complete", "fail", "heartbeat"]),
    )  # fmt: skip
    def finish(self, data: Any, who: str, old: bool, doubled: bool, action: str) -> None:
        account, name = self._pick(data), who.split("/")[0]
        lease = account.token - 1 if old else account.token
        counts = account.state(self.now) == "accepted" and account.holder == name and lease == account.token
        told = {"lease": str(lease), **({"reason": "It crashed"} if action == "fail" else {})}
        member, size = self.members[who], self.fleet.size()
        try:
            self._twice(doubled, lambda: member.handoff_respond(account.id, action, **told))
        except MemStoreError:
            assert not counts
            assert self.fleet.size() == size
            return
        if action == "heartbeat":
            assert counts
            account.until = self.now + LEASE * 1_000_000
        elif account.stage not in OVER:
            assert counts
            account.stage = {"complete": "completed", "fail": "failed"}[action]
            account.effects += 1

    @precondition(lambda self: self.accounts)
    @rule(data=st.data(), doubled=st.booleans())
    def ask_or_answer(self, data: Any, doubled: bool) -> None:
        account = self._pick(data)
        state = account.state(self.now)
        self.made += 1
        sender, worker = self.members[SENDER], self.members[f"{WORKER}/1"]
        if state == "offered":
            question = f"Why {self.made}?"
            self._twice(doubled, lambda: worker.handoff_respond(account.id, "clarify", question=question))
            account.stage, account.asked = "clarification_requested", True
        elif state == "clarification_requested":
            reason = f"Because of {self.made}"
            self._twice(doubled, lambda: sender.handoff_respond(account.id, "clarify", reason=reason))
            account.stage, account.asked, account.answered = "offered", False, account.answered + 1

    @precondition(lambda self: self.accounts)
    @rule(data=st.data(), who=st.sampled_from([f"{WORKER}/1", OWNER]), doubled=st.booleans())
    def reject(self, data: Any, who: str, doubled: bool) -> None:
        account, name = self._pick(data), who.split("/")[0]
        state, size = account.state(self.now), self.fleet.size()
        call = lambda: self.members[who].handoff_respond(account.id, "reject", reason="Not mine")  # noqa: E731
        try:
            self._twice(doubled, call)
        except MemStoreError:
            # A gate that nobody decided by its deadline is turned down by the fallback owner.
            assert not (state in TO_TAKE and account.taker(self.now) == name)
            assert self.fleet.size() == size
            return
        if self.fleet.size() != size:
            assert state in TO_TAKE
            assert account.taker(self.now) == name
            account.stage = "rejected"

    @precondition(lambda self: any(account.stage == "awaiting_approval" for account in self.accounts))
    @rule(data=st.data(), approved=st.booleans(), doubled=st.booleans(), who=st.sampled_from([PERSON, OWNER]))
    def decide(self, data: Any, approved: bool, doubled: bool, who: str) -> None:
        account, size = self._pick(data), self.fleet.size()
        state = account.state(self.now)
        try:
            self._twice(doubled, lambda: self.members[who].handoff_decide(account.id, approved=approved))
        except MemStoreError:
            assert who == OWNER or state != "awaiting_approval"
            assert self.fleet.size() == size
            return
        assert who == PERSON
        if self.fleet.size() != size:
            assert state == "awaiting_approval"
            account.stage = "offered" if approved else "denied"

    @precondition(lambda self: self.accounts)
    @rule(data=st.data(), doubled=st.booleans())
    def cancel(self, data: Any, doubled: bool) -> None:
        account = self._pick(data)
        state, size = account.state(self.now), self.fleet.size()
        try:
            self._twice(doubled, lambda: self.members[SENDER].handoff_respond(account.id, "cancel"))
        except MemStoreError:
            assert state in OVER
            assert self.fleet.size() == size
            return
        if self.fleet.size() != size:
            assert state not in OVER
            account.stage = "cancelled"

    @rule(seconds=st.sampled_from([1, LEASE - 1, LEASE]))
    def wait(self, seconds: int) -> None:
        self.fleet.clock.advance(seconds=seconds)

    @rule()
    def crash(self) -> None:
        """Every process dies and the store is opened anew; contexts are continued, as a command line's are."""
        clock = self.fleet.clock
        self.fleet.close()
        self.fleet = Fleet(self.folder / "store", clock)
        self.members = {name: self.fleet.launched(name.split("/")[0], f"c-{name}") for name in self.names()}

    @invariant()
    def every_handoff_is_where_the_account_says(self) -> None:
        if not getattr(self, "accounts", None):
            return
        with self.fleet.house.store.read() as unit:
            for account in self.accounts:
                found = unit.view.handoff(account.id)
                assert found is not None
                assert str(found.status(unit.now)) == account.state(self.now)
                assert (found.token, found.attempts) == (account.token, account.attempts)
                ends = [one for one in unit.receipts.answers(account.id) if str(one.action) in ("complete", "fail")]
                assert len(ends) == account.effects <= 1
                leases = [one.lease for one in unit.receipts.answers(account.id) if str(one.action) == "accept"]
                assert leases == sorted(set(leases))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "store"
    with Fleet(folder) as fleet:
        fleet.agent(OWNER, role="lead")
        fleet.agent(SENDER, under=OWNER)
        fleet.agent(WORKER, under=OWNER, capabilities=("review",))
        fleet.agent(PERSON, role="human")
    return folder


def test_no_order_of_calls_crashes_and_lapses_leads_astray(template: Path) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    machine = type("Machine", (Handoffs,), {"template": template})
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    told = settings(max_examples=12, stateful_step_count=20, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(machine, settings=told)


@pytest.mark.slow
def test_no_order_leads_astray_over_many_runs(template: Path) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    machine = type("Machine", (Handoffs,), {"template": template})
    told = settings(max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine, settings=told)


def test_the_account_is_of_the_store_and_not_of_itself(template: Path, tmp_path: Path) -> None:
    """The machine's own hands: a transfer that is received has no problems, so that accepting needs no codes."""
    shutil.copytree(template, tmp_path / "store")
    with Fleet(tmp_path / "store") as fleet:
        ada: MemStore = fleet.fresh(SENDER)
        output = ada.write("finding", "Found", "it", verification="verified", evidence=["log"])["id"]
        handoff = ada.handoff_offer(WORKER, "transfer", outputs=[output], questions=["none"])["handoff"]
        assert codes(fleet.fresh(WORKER).handoff_receive(handoff)) == []
