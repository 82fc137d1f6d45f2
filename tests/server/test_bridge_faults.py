"""What a bridge does when answers are lost, servers die and others write in between: each act has one effect."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from bridging import Far, Sent

from mcp_server.bridge import RemoteStore, Unreachable
from memstore import grants
from memstore.backups import backup, restore
from memstore.errors import Conflict, Denied, InternalError, InvalidInput, MemStoreError, StoreUnavailable

LISTS = {"questions": ["Which disk?"], "caveats": ["one disk"], "rejected": ["none"]}


@pytest.fixture
def far(folder, clock):
    made = Far(folder, clock)
    yield made
    made.close()


class Losing:
    """A way to the server that delivers what is signed and loses the answer, as often as `losses` says."""

    def __init__(self, far: Far, *, losses: int = 0, restarts: bool = False) -> None:
        self.far = far
        self.losses = losses
        self.restarts = restarts

    def __call__(self, call: Sent, send: Callable[[Sent], Sent]) -> Sent:
        told = send(call)
        if call["signatures"] and self.losses:
            self.losses -= 1
            if self.restarts:
                self.far.close()
                self.far.restart()
            raise Unreachable
        return told


def act_of(bridge: RemoteStore, verb: str, known: dict[str, str]) -> Callable[[], Any]:
    """One act of each kind that signs, made ready to be repeated."""
    match verb:
        case "write":
            return lambda: bridge.write("finding", "WAL grows", "Seen.", derived_from=[known["done"]])
        case "observe":
            return lambda: bridge.observe("https://example.org", "words")
        case "session_start":
            return lambda: bridge.session_start("storage", goal="More.")
        case "session_end":
            return lambda: bridge.session_end("partial", summary="Half.", keep=[known["guess"]])
        case "retract":
            return lambda: bridge.retract(known["done"], "wrong")
        case "handoff_offer":
            return lambda: bridge.handoff_offer("researcher", "transfer", outputs=[known["done"]], **LISTS)
        case "review":
            return lambda: bridge.review([known["claim"]], "endorse")
        case "handoff_receive":
            return lambda: bridge.handoff_receive(known["handoff"])
        case _:
            told = bridge.handoff_receive(known["handoff"])
            codes = [problem["code"] for problem in told["problems"]]
            said = {"receipt": told["receipt"], "acknowledge": codes}
            return lambda: bridge.handoff_respond(known["handoff"], "accept", **said)


def ready(far: Far, way: Losing) -> tuple[RemoteStore, dict[str, str]]:
    """A lead with a session and something to do with each verb."""
    lead, worker = far.bridge("planner", way), far.bridge("researcher")
    worker.session_start("storage")
    claim = worker.write("finding", "WAL works", "Measured.")["id"]
    known = {"claim": claim, "handoff": worker.handoff_offer("planner", "report", outputs=[claim], **LISTS)["handoff"]}
    lead.session_start("storage")
    known["done"] = lead.write("finding", "Chosen", "SQLite.")["id"]
    known["guess"] = lead.write("hypothesis", "It lasts", "Perhaps.")["id"]
    lead.get([claim])
    return lead, known


VERBS = [
    "write", "observe", "session_start", "session_end", "retract", "handoff_offer", "review", "handoff_receive",
    "handoff_respond",
]  # fmt: skip


@pytest.mark.parametrize("restarts", [False, True], ids=["same-server", "restarted"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_call_whose_answer_was_lost_has_one_effect_when_it_is_made_again(far, verb, restarts):
    way = Losing(far, restarts=restarts)
    lead, known = ready(far, way)
    act = act_of(lead, verb, known)
    way.losses = 1
    with pytest.raises(Unreachable) as lost:
        act()
    assert "It may have been done" in str(lost.value)
    size = far.size
    answer = act()
    assert far.size == size
    match verb:
        case "write" | "observe":
            assert answer["status"] == "stored"
        case "session_start":
            assert answer["brief"]["intent"]["text"] == "More."
            assert lead.session_end("partial", session=answer["session"])["problems"] == []
        case "session_end" if restarts:
            assert answer["status"] == "already_done"
        case "session_end":
            assert answer["kept"]
        case "retract":
            assert answer["status"] == "retracted"
        case "review":
            assert answer["results"][0]["label"] == "trusted"
        case "handoff_offer":
            assert (answer["state"], answer["receiver"]) == ("offered", "researcher")
        case "handoff_receive":
            assert answer["receipt"]
        case "handoff_respond":
            assert (answer["state"], answer["lease"]) == ("accepted", "1")
    # The chain goes on.
    assert lead.write("finding", "And on", "b")["status"] == "stored"
    assert set(far.signatures()) == {"valid"}
    far.assert_sound()


@pytest.mark.parametrize(
    "error",
    [StoreUnavailable("The server failed", code="server_failed"), Denied("Who?", code="unauthenticated"), None],
    ids=["failed", "unauthenticated", "nothing"],
)
def test_no_answer_to_what_was_signed_is_told_as_if_nothing_was_written(far, error):
    def failing(call: Sent, send: Callable[[Sent], Sent]) -> Sent:
        told = send(call)
        if call["signatures"] and failures:
            failure = failures.pop()
            if failure is None:
                return {}
            raise failure
        return told

    failures = [error]
    bridge = far.bridge("planner", failing)
    with pytest.raises(type(error) if error else StoreUnavailable) as refused:
        bridge.write("finding", "WAL grows", "Seen.")
    assert "It may have been done." in str(refused.value)
    size = far.size
    assert bridge.write("finding", "WAL grows", "Seen.")["status"] == "stored"
    assert far.size == size


def test_a_call_that_is_sent_twice_has_one_effect_though_what_it_wrote_was_withdrawn_in_between(far):
    lead = far.bridge("planner")
    held: list[str] = []

    def between(call, send):
        told = send(call)
        if call["signatures"] and not held:
            held.append(told["answer"]["id"])
            lead.get([held[0]])
            lead.retract(held[0], "wrong")
            far.close()
            far.restart()
            return send(call)
        return told

    worker = far.bridge("researcher", between)
    size = far.size
    answer = worker.write("finding", "x", "y")
    assert (answer["status"], answer["ids"]) == ("already_done", held)
    assert far.size == size + 2  # the record and its retraction


def test_another_call_after_a_lost_one_goes_on_from_where_the_server_stands(far):
    way = Losing(far)
    worker = far.bridge("researcher", way)
    way.losses = 1
    with pytest.raises(Unreachable):
        worker.session_start("storage")  # this one arrived
    assert worker.write("finding", "x", "y")["status"] == "stored"

    def unheard(call, send):
        if call["signatures"]:
            raise Unreachable
        return send(call)

    quiet = far.bridge("researcher", unheard)
    with pytest.raises(Unreachable):
        quiet.write("finding", "lost", "y")  # this one did not
    quiet._ask = far.bridge("researcher")._ask
    assert quiet.write("finding", "other", "y")["status"] == "stored"
    assert quiet.write("finding", "lost", "y")["status"] == "stored"
    far.assert_sound()


def test_what_others_write_meanwhile_has_the_server_ask_again_within_a_bound(far):
    worker = far.bridge("researcher")
    rounds: list[int] = []

    def between(call, send):
        told = send(call)
        if "sign" in told and len(rounds) < moves:
            rounds.append(1)
            sibling.write("finding", f"Twin {len(rounds)}", "z", supersedes=newest[-1], key="name")
            newest.append("key:name")
        return told

    # A name that moves to another record each time that it is looked up, while the call is under way.
    sibling, newest = far.bridge("researcher"), [worker.write("finding", "First", "z", key="name")["id"]]
    moves = 3
    racing = far.bridge("researcher", between)
    assert racing.write("question", "Why?", derived_from=["key:name"])["status"] == "stored"
    rounds.clear()
    moves = 99
    with pytest.raises(InternalError, match="busy"):
        far.bridge("researcher", between).write("question", "How?", derived_from=["key:name"])
    far.assert_sound()


def test_a_clock_that_is_far_off_is_told_and_one_that_is_near_is_not(far, clock):
    worker = far.bridge("researcher")
    worker._clock = lambda: clock() + 599_000_000
    assert worker.write("finding", "x", "y")["status"] == "stored"
    worker._clock = lambda: clock() - 601_000_000
    with pytest.raises(InvalidInput, match="clocks"):
        worker.write("finding", "z", "y")


def test_a_server_whose_clock_stepped_back_is_answered_within_two_rounds(far, clock):
    worker = far.bridge("researcher")
    worker.write("finding", "x", "y")
    clock.step(-300)
    answer = worker.observe("tool:weather", "dry", ttl_seconds=60)
    assert answer["status"] == "stored"
    clock.step(61)
    assert worker.search("dry")["quarantined"]["count"] == 1


def test_sessions_that_ran_out_are_ended_on_record_and_hold_nothing_up(far, clock):
    other, worker = far.bridge("researcher"), far.bridge("researcher")
    died = other.session_start("other")["session"]
    outer = worker.session_start("outer")["session"]
    clock.step(6 * 3600)
    inner = worker.session_start("inner")["session"]
    clock.step(6 * 3600 + 1)
    assert worker.session_end("partial", session=inner)["note"]
    assert "There is no session" in worker.write("finding", "of no session", "y")["note"]
    worker.session_start("next")
    with far.house.store.read() as unit:
        assert [unit.view.session(one).closed for one in (died, outer, inner)] == [True, True, True]
    far.assert_sound()


def test_a_bridge_acts_in_a_context_that_was_given_and_its_bounds_hold(far):
    with pytest.raises(Denied, match="none was given"):
        far.bridge("researcher", require_grant=True).search("x")
    grants.give(far.house.store, far.house.key, far.house.operator(), "researcher", ceiling="tainted")
    worker = far.bridge("researcher", require_grant=True)
    assert worker.write("finding", "x", "y")["label"] == "tainted"
    with pytest.raises(Denied):
        far.bridge("researcher", require_grant=True).search("x")
    strict = Far(far.folder, far.clock, require_grant=True)
    with pytest.raises(Denied, match="none was given"):
        strict.bridge("researcher").search("x")
    strict.close()


def test_refusals_come_as_they_are_told_there(far):
    worker = far.bridge("researcher")
    acts: list[tuple[Callable[[], Any], type[MemStoreError], str]] = [
        (lambda: worker.write("decision", "x"), InvalidInput, "missing_field"),
        (lambda: worker.write("thought", "x"), InvalidInput, "unknown_kind"),
        (lambda: worker.search(limit=0), InvalidInput, "out_of_range"),
        (lambda: worker.session_end("completed"), MemStoreError, "no_session"),
        (lambda: worker.session_start("x", scope="other"), Denied, "unknown_scope"),
        (lambda: worker.write("question", "x", answers="m-" + "a" * 26), MemStoreError, "unknown_id"),
    ]
    for act, kind, code in acts:
        with pytest.raises(kind) as refused:
            act()
        assert refused.value.code == code
    builder = far.bridge("builder")
    builder.session_start("x", scope="other")
    assert builder.write("finding", "there", "y")["status"] == "stored"
    with pytest.raises(Conflict, match="another scope"):
        builder.session_start("x", scope="main")
    locked = Far(far.folder, far.clock, lockdown=True)
    with pytest.raises(Denied, match="locked down"):
        locked.bridge("researcher").open(["r-x"])
    with pytest.raises(Denied, match="locked down"):
        far.bridge("researcher", lockdown=True).open(["r-x"])
    locked.close()


@pytest.mark.parametrize("seed", range(4))
def test_random_faults_lose_nothing_that_was_acknowledged_and_do_nothing_twice(far, seed):
    """Requests that never arrive, answers that are lost, servers that start anew, others who write in between."""
    dice = random.Random(seed)
    noise = far.bridge("planner")

    def between(call, send):
        for _ in range(dice.randrange(3)):
            match dice.randrange(4):
                case 0:
                    send(call)  # the answer is lost, and the link sends it again
                case 1:
                    far.close()
                    far.restart()
                case 2:
                    noise.write("finding", f"noise {dice.random()}", "n")
                case _:
                    pass
        if dice.random() < 0.2:
            if dice.random() < 0.5:
                send(call)
            raise Unreachable
        return send(call)

    worker = far.bridge("researcher", between)
    done = []
    for number in range(25):
        for _ in range(50):
            try:
                match number % 5:
                    case 0:
                        done.append(worker.session_start(f"task {number}")["session"])
                    case 4:
                        done.append(worker.session_end("partial", summary=f"sum {number}"))
                    case _:
                        done.append(worker.write("finding", f"own {number}", "text")["id"])
                break
            except Unreachable:
                continue
    assert len(done) == 25
    with far.house.store.read() as unit:
        own = [one for one in map(unit.view.record, [d for d in done if isinstance(d, str) and d[0] == "m"]) if one]
        assert len(own) == 15
        entries = [logged.entry.payload_type for logged in unit.log.entries()]
        records = [one for one in unit.records.written_from(0) if one.author == "researcher"]
    assert len(records) == len({one.id for one in records}) == 15 + 5
    assert sum(one.endswith("session.started.v1+json") for one in entries) == 5
    assert sum(one.endswith("session.ended.v1+json") for one in entries) == 5
    far.assert_sound()


def test_after_a_restore_a_bridge_starts_anew_and_one_of_before_is_told_so(far, tmp_path):
    before = far.bridge("researcher")
    before.write("finding", "kept", "y")
    backup(far.house, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "restored", clock=far.clock)
    anew = Far(tmp_path / "restored", far.clock)
    before._ask = anew.bridge("researcher")._ask
    for act in (before.search, lambda: before.write("finding", "on", "y"), before.handoff_inbox):
        with pytest.raises(Conflict, match="restored from a backup"):
            act()
    fresh = anew.bridge("researcher")
    fresh.session_start("storage")
    assert fresh.write("finding", "on", "y")["status"] == "stored"
    anew.assert_sound()
    anew.close()
