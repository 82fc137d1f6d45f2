"""The log as evidence: what opening checks, the full audit, checkpoints, proofs, and rebuilding (DESIGN 3.1).

`verify_head` is cheap and runs at every opening; `audit` checks every signature, digest, chain and leaf and replays the
whole log to see that every label and every projected row is what the rules give. What is found is said as what differs.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from memstore.core.contexts import Disclosure
from memstore.core.entries import Entry, Logged, leaf_of
from memstore.core.epochs import may_act_now
from memstore.core.fold import fold, judge_entry
from memstore.core.handoffs import permitted_handoff
from memstore.core.merkle import consistency_proof, root_of, verify_consistency
from memstore.core.notes import Checkpoint, verify_checkpoint
from memstore.core.policy import Allowed, Decision, KeyState, may_author, may_be_signed
from memstore.core.records import Content, content_digest
from memstore.core.reviews import permitted
from memstore.core.statements import (
    OPERATOR_NAME,
    Erased,
    PrincipalRegistered,
    Recorded,
    Restored,
    Retracted,
    Statement,
    Withdrawal,
    id_of,
    parse_statement,
    payload_type,
)
from memstore.errors import IntegrityError, MemStoreError, NotFound
from memstore.ports import Head, Store, Unit
from memstore.proving import inclusion
from memstore.relabel import carry_out
from memstore.signing import origin_of_store, store_id
from memstore.verifying import is_signed_by, signing_key

Progress = Callable[[int, int], None]
MOST_PROBLEMS = 50
VERIFIERS = 2
BATCH = 256


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it was logged: where, a stable code, and what differs."""

    seq: int
    code: str
    what: str

    def as_dict(self) -> dict[str, Any]:
        return {"seq": self.seq, "code": self.code, "what": self.what}


def verify_head(unit: Unit) -> Checkpoint | None:
    """The signed checkpoint that the log agrees with, None for a log without entries; raises `IntegrityError`."""
    head = unit.log.head()
    # 1. The store is named by the key that signs its checkpoints.
    if store_id(head.public_key) != head.store:
        raise _tampered("the store's id is not that of its checkpoint key")
    if head.size == 0 and not head.checkpoint and unit.log.entry(0) is None:
        return None
    # 2. The checkpoint is signed by that key, and is of this log.
    origin = origin_of_store(head.store)
    checkpoint = verify_checkpoint(head.checkpoint, origin, head.public_key)
    # 3. The frontier is what was signed.
    if checkpoint.size != head.size:
        raise _tampered(f"the checkpoint is of {checkpoint.size} entries, the log's head of {head.size}")
    if checkpoint.root != head.frontier.root():
        raise _tampered("the root of the stored tree is not the one that was signed")
    # 4. The last entry is there, nothing follows it, and it is the leaf that was hashed.
    last = unit.log.entry(head.size - 1)
    if last is None or unit.log.entry(head.size) is not None:
        raise _tampered(f"the log does not end at entry {head.size - 1}")
    _verify_last_leaf(head, last)
    return checkpoint


def _verify_last_leaf(head: Head, last: Logged) -> None:
    leaf = leaf_of(last.entry)
    if leaf != last.leaf:
        raise _tampered(f"entry {last.entry.seq} is not what was hashed into the tree")
    # A tree of odd size has its last leaf as the last root of the frontier.
    if head.size & 1 and head.frontier.roots[-1] != leaf:
        raise _tampered(f"entry {last.entry.seq} is not the last leaf of the tree")


def _tampered(what: str) -> IntegrityError:
    return IntegrityError(
        f"The store was changed outside memstore: {what}",
        code="tampered",
        state="It was not opened.",
        next_call="Run `memstore log verify`, or restore a backup.",
    )


def audit(store: Store, *, against: str = "", progress: Progress = silent) -> dict[str, Any]:
    """Check everything on a copy: {ok, size, root, checkpoint, problems[{seq, code, what}]}.

    `against` is an older checkpoint of this log, kept elsewhere: that nothing before it was changed or taken away.
    """
    with store.copy() as copy:
        with copy.read() as unit:
            try:
                head = unit.log.head()
            except IntegrityError as error:
                return _report(None, [Problem(-1, error.code, error.what)])
            problems = _head_problems(unit)
            problems += list(_entry_problems(unit, head.size, progress))
            leaves = unit.log.leaves(head.size)
        if root_of(leaves) != head.frontier.root():
            problems.append(Problem(head.size, "bad_root", "the leaves do not add up to the root that was signed"))
        if against:
            with copy.read() as unit:
                problems += _against(against, head, leaves, _restored_at(unit))
        problems += _replay_problems(copy, progress)
    return _report(head, problems)


def _report(head: Head | None, problems: list[Problem]) -> dict[str, Any]:
    """What an audit found; `head` None where not even that can be read."""
    return {
        "ok": not problems,
        "store": head.store if head else "",
        "size": head.size if head else 0,
        "root": base64.b64encode(head.frontier.root()).decode() if head else "",
        "problems": [problem.as_dict() for problem in problems[:MOST_PROBLEMS]],
        "problems_in_all": len(problems),
    }


def _head_problems(unit: Unit) -> list[Problem]:
    try:
        verify_head(unit)
    except IntegrityError as error:
        return [Problem(unit.log.head().size, error.code, error.what)]
    return []


class _Signatures:
    """Signatures, checked on other threads while the log is read on: the library lets go of the interpreter meanwhile.

    Leaving the block waits for all of them; then `problems` says which do not verify.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(VERIFIERS)
        self._batch: list[tuple[KeyState, Logged]] = []
        self._checked: list[Future[list[int]]] = []
        self._bad: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._send()
        self._pool.shutdown()

    def check(self, unit: Unit, logged: Logged, author: str) -> None:
        key = signing_key(unit, logged, author)
        if key is None:
            self._bad.append(logged.entry.seq)
            return
        self._batch.append((key, logged))
        if len(self._batch) == BATCH:
            self._send()

    def problems(self) -> list[Problem]:
        bad = sorted(self._bad + [seq for checked in self._checked for seq in checked.result()])
        return [Problem(seq, "bad_signature", "the author's signature does not verify") for seq in bad]

    def _send(self) -> None:
        self._checked.append(self._pool.submit(_not_signed, self._batch))
        self._batch = []


def _not_signed(batch: list[tuple[KeyState, Logged]]) -> list[int]:
    return [logged.entry.seq for key, logged in batch if not is_signed_by(key, logged)]


def _entry_problems(unit: Unit, size: int, progress: Progress) -> Iterator[Problem]:
    """Each entry by itself: its place, leaf, signature, chain and content."""
    with _Signatures() as signatures:
        yield from _unsigned_problems(unit, size, signatures, progress)
    yield from signatures.problems()


def _unsigned_problems(unit: Unit, size: int, signatures: _Signatures, progress: Progress) -> Iterator[Problem]:
    """What is wrong with each entry, the signature apart, which goes to `signatures`."""
    chains: dict[tuple[str, str], tuple[int, str]] = {}
    erased: set[str] = set()
    without_content: list[tuple[int, str]] = []
    expected, store = 0, unit.log.head().store
    for logged in unit.log.entries():
        seq = logged.entry.seq
        if seq != expected:
            yield Problem(expected, "gap", f"entry {expected} is missing")
            expected = seq
        expected += 1
        if leaf_of(logged.entry) != logged.leaf:
            yield Problem(seq, "bad_leaf", "the entry is not what was hashed into the tree")
        try:
            statement = parse_statement(logged.entry.payload_type, logged.payload)
        except IntegrityError as error:
            yield Problem(seq, error.code, error.what)
            continue
        signatures.check(unit, logged, statement.author)
        if statement.store != store:
            yield Problem(seq, "wrong_store", "the statement was made for another store")
        yield from _chain_problems(statement, logged, chains)
        if isinstance(statement, Erased):
            erased.add(statement.record)
        if isinstance(statement, Retracted) and statement.reason is Withdrawal.LEAKED:
            erased.add(statement.record)  # hidden for good, and carried by no copy of the log
        if isinstance(statement, Recorded):
            stored = unit.contents.get(seq)
            if stored is None:
                without_content.append((seq, id_of(statement, logged.entry.digest)))
            elif content_digest(stored.salt, stored.content) != statement.content:
                yield Problem(seq, "bad_content", "the content is not what the author signed")
        progress(seq + 1, size)
    if expected != size:
        yield Problem(expected, "gap", f"the log holds {expected} entries, its head says {size}")
    for seq, record in without_content:
        if record not in erased:
            yield Problem(seq, "no_content", "the content is gone, and no erasure says so")


def _chain_problems(
    statement: Statement, logged: Logged, chains: dict[tuple[str, str], tuple[int, str]]
) -> Iterator[Problem]:
    place = (statement.author, statement.launch)
    n, prev = chains.get(place, (0, ""))
    if (statement.n, statement.prev) != (n + 1, prev):
        yield Problem(logged.entry.seq, "bad_chain", "it does not follow the author's statement before it")
    chains[place] = (statement.n, logged.entry.digest.hex())


def _restored_at(unit: Unit) -> list[tuple[int, int]]:
    """(position, epoch) of each restoration, as the log itself says, oldest first."""
    found = []
    for logged in unit.log.entries():
        if logged.entry.payload_type == payload_type(Restored):
            with suppress(IntegrityError):
                statement = parse_statement(logged.entry.payload_type, logged.payload)
                found += [(logged.entry.seq, statement.epoch)] if isinstance(statement, Restored) else []
    return found


def _lost(size: int, restored: list[tuple[int, int]]) -> Problem | None:
    """What became of a log that was longer than the backup which was restored: said, and not taken for a rollback."""
    for at, epoch in restored:
        if size > at:
            gone = f"{at} to {size - 1}" if size - 1 > at else str(at)
            what = f"the store was restored from a backup of {at} entries, as epoch {epoch}"
            return Problem(at, "restored", f"{what}; entries {gone} of this checkpoint are not in this store")
    return None


def _against(older: str, head: Head, leaves: list[bytes], restored: list[tuple[int, int]]) -> list[Problem]:
    before = None
    try:
        before = verify_checkpoint(older, origin_of_store(head.store), head.public_key)
        lost = _lost(before.size, restored)
        if before.size > head.size:
            return [lost] if lost else [Problem(head.size, "rolled_back", f"the log once held {before.size} entries")]
        verify_consistency(
            old_size=before.size,
            old_root=before.root,
            new_size=head.size,
            new_root=head.frontier.root(),
            proof=consistency_proof(leaves, before.size),
        )
    except IntegrityError as error:
        lost = _lost(before.size, restored) if before else None
        if lost:
            return [lost]
        return [Problem(0, "inconsistent", f"the older checkpoint is not of the beginning of this log: {error.what}")]
    return []


def _replay_problems(copy: Store, progress: Progress) -> list[Problem]:
    """Whether labels and projection are what a replay of log and disclosures gives."""
    problems: list[Problem] = []
    try:
        with copy.write() as unit:
            before = unit.projected()
            problems += replay(unit, progress=progress)
            after = unit.projected()
    except MemStoreError as error:
        return [*problems, Problem(-1, "not_replayed", f"the log cannot be replayed: {error.what}")]
    for table in sorted(before):
        if before[table] != after[table]:
            problems.append(Problem(-1, "bad_projection", f"table {table} is not what the log gives; run rebuild"))
    return problems


def replay(unit: Unit, *, signatures: _Signatures | None = None, progress: Progress = silent) -> Iterator[Problem]:
    """Fold the whole log and its disclosures anew, inside `unit`; yields where an entry is not what the rules give.

    Signatures go to `signatures`, each with the key as it stood at that place in the log.
    """
    disclosures = list(unit.disclosures.replayed())
    size = unit.log.head().size
    unit.forget_projection()
    at = epoch = 0
    for logged in unit.log.entries():
        entry = logged.entry
        moment = unit.at(entry.logged_at)
        # What was shown before an entry was written stands at a position no higher than the entry's.
        at = _replay_until(moment, disclosures, at, entry.seq)
        statement = parse_statement(entry.payload_type, logged.payload)
        if not _was_allowed(moment, entry, statement, epoch):
            yield Problem(entry.seq, "not_allowed", "its author may not do this")
        epoch = statement.epoch if isinstance(statement, Restored) else epoch
        if judge_entry(statement, entry.signature, moment.view) != entry.verdict:
            yield Problem(entry.seq, "bad_label", "the label or its reasons are not what the rules give")
        context = moment.view.context(statement.launch)
        if (context.head if context else bytes(32)) != entry.disclosures:
            yield Problem(entry.seq, "bad_disclosures", "what its context was shown is not what the entry commits to")
        stored = unit.contents.get(entry.seq) if isinstance(statement, Recorded) else None
        content = Content.parse(stored.content) if stored else None
        carry_out(moment, fold(entry, statement, moment.view), content, act=entry.seq)
        if signatures is not None:
            # After the fold: the first statement registers the key that signs it.
            signatures.check(moment, logged, statement.author)
        progress(entry.seq + 1, size)
    _replay_until(unit, disclosures, at, size)


def _was_allowed(moment: Unit, entry: Entry, statement: Statement, epoch: int) -> bool:
    """Whether the author might make this statement then; the first is the operator's own registration."""
    if entry.seq == 0:
        return isinstance(statement, PrincipalRegistered) and statement.name == statement.author == OPERATOR_NAME
    author = moment.view.principal(statement.author)
    if author is None:
        return False
    asked: tuple[Decision, ...]
    asked = (permitted(statement, moment.view, moment.now), permitted_handoff(statement, moment.view, moment.now))
    asked += may_be_signed(entry.signature, author), may_author(statement, author)
    asked += (may_act_now(statement, seq=entry.seq, epoch=epoch),)
    return all(isinstance(decision, Allowed) for decision in asked)


def _replay_until(unit: Unit, disclosures: list[tuple[str, Disclosure]], at: int, position: int) -> int:
    while at < len(disclosures) and disclosures[at][1].position <= position:
        unit.disclosures.replay(*disclosures[at])
        at += 1
    return at


def checked_anew(unit: Unit, *, progress: Progress = silent) -> list[Problem]:
    """Fold the whole log anew inside `unit`, and check head and every entry: what an audit finds, without a copy."""
    try:
        problems = [*_head_problems(unit), *replay(unit, progress=progress)]
    except MemStoreError as error:
        return [Problem(-1, "not_replayed", f"the log cannot be replayed: {error.what}")]
    return [*problems, *_entry_problems(unit, unit.log.head().size, silent)]


def rebuild(store: Store, *, progress: Progress = silent) -> dict[str, Any]:
    """Make the projection anew from log, contents and disclosures; signatures are checked on the way."""
    problems: list[Problem] = []
    with store.write() as unit, _Signatures() as signatures:
        size = unit.log.head().size
        problems += replay(unit, signatures=signatures, progress=progress)
    problems += signatures.problems()
    return {
        "ok": not problems,
        "entries": size,
        "problems": [problem.as_dict() for problem in problems[:MOST_PROBLEMS]],
    }


def checkpoint(store: Store) -> str:
    """The signed note of the log as it is (C2SP checkpoint); keep it elsewhere to prove later what stood by then."""
    with store.read() as unit:
        return unit.log.head().checkpoint


def prove(store: Store, record: str) -> dict[str, Any]:
    """That a record stands in the log: its entry, the path to the root, and the signed checkpoint with that root.

    A handoff and a receipt are proved by their ids as well.
    """
    with store.read() as unit:
        state = unit.view.record(record) or unit.view.handoff(record) or unit.view.receipt(record)
        if state is None:
            raise NotFound("There is no record of this id", code="unknown_id", next_call="memory_search finds records.")
        head = unit.log.head()
        logged = unit.log.entry(state.seq)
        if logged is None:
            raise IntegrityError("The record's entry is missing", code="tampered")
        proof = inclusion(unit, logged)
    return {
        "id": record,
        "entry": logged.entry.as_leaf(),
        "payload": base64.b64encode(logged.payload).decode(),
        "signature": base64.b64encode(logged.signature).decode(),
        "size": head.size,
        "index": state.seq,
        "proof": [base64.b64encode(node).decode() for node in proof],
        "root": base64.b64encode(head.frontier.root()).decode(),
        "checkpoint": head.checkpoint,
    }
