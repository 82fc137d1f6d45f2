"""What handing work over costs: offer, receive and accept of twenty records, an inbox that waits, and the brief.

The floor of a step is what any program would have to do for it: its durable commits, and the verification of twenty
signatures.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench import floors
from bench.figures import Bench, Bound, Row, taken
from bench.loads import LEAD, READER, WORKER, Loaded
from memstore.service import MemStore

OUTPUTS = 20
STARTS = 50
KEPT = Bound(times=3)
# Durable commits of each step: an offer; a disclosure and a receipt; an acceptance.
COMMITS = {"offer": 1, "receive": 2, "accept": 1}


def handoffs(bench: Bench) -> Iterator[Row]:
    """Offer, receive and accept of a transfer of twenty verified findings."""
    store = bench.store("handoffs")
    store.fill(1000)
    times: dict[str, list[float]] = {step: [] for step in COMMITS}
    floor: dict[str, list[float]] = {step: [] for step in COMMITS}
    bare = floors.BareStore(store.folder / "bare.db")
    verify = _verifications()
    rounds = 10 * bench.repeats
    with store.reader(WORKER) as worker:
        for number in range(rounds):
            outputs = [_finding(worker, f"Finding {number}-{n}") for n in range(OUTPUTS)]
            # A context of its own each time, as for a worker that is started for the work.
            with store.reader(READER) as reader:
                _once(worker, reader, outputs, number, times)
            for step, commits in COMMITS.items():
                floor[step].append(taken(lambda: _least(bare, commits, verify)))  # noqa: B023
    bare.close()
    store.close()
    for step, found in times.items():
        least = statistics.median(floor[step])
        said = f"{COMMITS[step]} commits, {OUTPUTS} signatures"
        name = f"handoff of {OUTPUTS} records, {step}"
        yield Row(name, statistics.median(found), "ms", f"{rounds}", least, said, KEPT)


def _once(worker: MemStore, reader: MemStore, outputs: list[str], number: int, times: dict[str, list[float]]) -> None:
    answer: dict[str, str] = {}

    def offer() -> None:
        told = {"outputs": outputs, "questions": ["none"], "idempotency_key": str(number)}
        answer["handoff"] = worker.handoff_offer(READER, "transfer", **told)["handoff"]

    def receive() -> None:
        answer["receipt"] = reader.handoff_receive(answer["handoff"], max_tokens=20_000)["receipt"]

    def accept() -> None:
        reader.handoff_respond(answer["handoff"], "accept", receipt=answer["receipt"])

    reader.search("warm", limit=1)
    for step, act in (("offer", offer), ("receive", receive), ("accept", accept)):
        times[step].append(taken(act))


def _finding(worker: MemStore, title: str) -> str:
    told = {"verification": "verified", "evidence": ["measured"]}
    return str(worker.write("finding", title, "x" * 500, **told)["id"])


def _least(bare: floors.BareStore, commits: int, verify: Callable[[], None]) -> None:
    for _ in range(commits):
        bare.commit(b"x" * 1024)
    verify()


def _verifications() -> Callable[[], None]:
    key = Ed25519PrivateKey.generate()
    public, message = key.public_key(), b"x" * 1024
    signature = key.sign(message)

    def verify() -> None:
        for _ in range(OUTPUTS):
            public.verify(signature, message)

    return verify


def inbox(bench: Bench) -> Iterator[Row]:
    """From the commit of an offer to the answer of an inbox that waits for it."""
    store = bench.store("inbox")
    waited: list[float] = []
    with store.reader(WORKER) as worker, store.reader(READER) as reader:
        output = _finding(worker, "Found")
        for number in range(5 * bench.repeats):
            answered: list[float] = []

            def wait(answered: list[float] = answered) -> None:
                reader.handoff_inbox(states=["offered"], wait_seconds=10)
                answered.append(time.perf_counter())

            waiting = threading.Thread(target=wait)
            waiting.start()
            time.sleep(0.12)
            told = {"outputs": [output], "questions": ["none"], "idempotency_key": str(number)}
            handoff = worker.handoff_offer(READER, "transfer", **told)["handoff"]
            committed = time.perf_counter()
            waiting.join(20)
            waited.append((answered[0] - committed) * 1000)
            worker.handoff_respond(handoff, "cancel")
    store.close()
    yield Row("an inbox answers a new offer, worst", max(waited), "ms", f"{len(waited)}", bound=Bound(value=100))


def brief(bench: Bench) -> Iterator[Row]:
    """The brief of a task in a store of ten thousand records, and fifty agents that start at once."""
    store = bench.big(min(10_000, bench.records))
    found: list[float] = []
    for number in range(10 * bench.repeats):
        with store.reader(READER if number % 2 else LEAD) as reader:
            found.append(taken(lambda: reader.session_start(f"task-{number % 40}")))  # noqa: B023
    n = f"{len(found)} starts"
    yield Row(f"brief at {store.count:,} records", statistics.median(found), "ms", n, bound=Bound(value=40))
    after: list[float] = []
    together: list[float] = []
    for _ in range(2 + bench.repeats):
        after.append(taken(lambda: _started(store, at_once=False)))
        together.append(taken(lambda: _started(store, at_once=True)))
    least, n = statistics.median(after), f"{len(after)} × {STARTS}"
    name, floor_is = f"{STARTS} agents start at once", "one after another"
    yield Row(name, statistics.median(together), "ms", n, least, floor_is, Bound(times=1.5))


def _started(store: Loaded, *, at_once: bool) -> None:
    readers = [store.reader() for _ in range(STARTS)]
    threads = [
        threading.Thread(target=reader.session_start, args=(f"task-{n % 40}",)) for n, reader in enumerate(readers)
    ]
    for thread in threads:
        thread.start()
        if not at_once:
            thread.join()
    for thread in threads:
        thread.join()
    for reader in readers:
        reader.close()
