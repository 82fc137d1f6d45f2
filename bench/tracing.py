"""What looking back costs in a big store: a page of a timeline, a why, blame and impact over a thousand records.

The floor of each is the signatures of the records on the page, by themselves: whatever is shown is verified first.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Any

from bench import floors
from bench.figures import Bench, Bound, Row, taken
from bench.loads import READER, SCOPE, WORKER, Loaded
from memstore.core.contexts import Disclosure, Extent
from memstore.core.labels import Label, Source, Status
from memstore.core.records import Content
from memstore.core.statements import Kind, Origin, Recorded, Verification
from memstore.write import Author, append

PAGE = 50
CONTEXTS, EACH = 50, 20


def looking_back(bench: Bench) -> Iterator[Row]:
    """A timeline page, why, blame and impact, each asked as an agent asks; then blame as of the middle of the log."""
    store = bench.big(bench.records)
    first, last = _web(store)
    middle = str(bench.records // 2)
    keys = floors.Signatures(store.house.store)
    page, one = keys.pieces(bench.records // 2, PAGE), keys.pieces(bench.records // 2, 1)
    with store.reader(READER) as reader:
        history = reader.history
        asked: tuple[tuple[str, Callable[[], object], list[floors.Piece], float], ...] = (
            ("timeline page of 50", lambda: history(task="task-7", limit=PAGE, max_tokens=20_000), page, 50),
            ("timeline page of 50, as of the middle", lambda: history(task="task-7", as_of=middle), page, 50),
            ("why", lambda: history(id=first, view="why"), one, 30),
            ("blame, 1,000 records", lambda: history(id=last, view="blame", max_tokens=20_000), page, 100),
            ("impact, 1,000 records", lambda: history(id=first, view="impact", max_tokens=20_000), page, 100),
        )
        for name, ask, pieces, most in asked:
            ask()  # once, so that what is measured shows nothing for the first time
            ours: list[float] = []
            theirs: list[float] = []
            for _ in range(10 * bench.repeats):
                ours.append(taken(ask))
                theirs.append(taken(lambda: keys.verify(pieces)))  # noqa: B023
            floor = statistics.median(theirs)
            bound = Bound(value=most)
            yield Row(name, statistics.median(ours), "ms", f"{len(ours)}", floor, f"{len(pieces)} signatures", bound)


def _web(store: Loaded) -> tuple[str, str]:
    """A thousand records in fifty contexts, each shown what the one before it wrote; the first and the last."""
    signer = store.house.keyring.load(WORKER)
    written: list[tuple[int, str]] = []
    ids: list[str] = []
    with store.house.store.write() as unit:
        for number in range(CONTEXTS):
            launch = f"web-{number}"
            unit.disclosures.open_context(launch, principal=WORKER, scope=SCOPE)
            size = unit.log.head().size
            told = [
                Disclosure(seq, size, unit.now, Source(record, Label.ATTRIBUTED, Status.IN_FORCE), Extent.FULL)
                for seq, record in written
            ]
            unit.disclosures.disclose(launch, told)
            written = []
            for place in range(EACH):
                text = next(store.words.texts())
                fields: dict[str, Any] = {
                    "kind": Kind.FINDING,
                    "scope": SCOPE,
                    "task": "web",
                    "session": "",
                    "origin": Origin.AGENT,
                }
                fields |= {"verification": Verification.UNVERIFIED, "derived_from": ids[-1:] if place % 2 else []}
                content = Content(title=f"{number}/{place} {text.title}", body=text.body)
                made = append(unit, store.house.key, Author(signer, launch), Recorded, fields, content)
                written.append((made.entry.seq, made.id))
                ids.append(made.id)
    return ids[0], ids[-1]
