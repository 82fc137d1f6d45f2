"""Takes each rule of trust out, one at a time, in a copy of the source, and shows that a test sees it.

`python tests/mutate.py [RULE…]` prints a row for each: the rule, what was taken out, the test, and `red` if it failed
as it must. The exit status is 1 if any stayed green, or if a patch no longer fits the source.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("memstore", "mcp_server", "tests", "pyproject.toml")
SECONDS = 300


@dataclass(frozen=True)
class Mutation:
    """A rule, what of it is taken out, where, and the test that must go red."""

    rule: str
    without: str
    file: str
    old: str
    new: str
    test: str


MUTATIONS = (
    Mutation(
        "T1",
        "a label is no higher than what the record declares",
        "memstore/core/labels.py",
        "causes.append(Cause(CauseCode.DECLARED, source.worth, source.id))",
        "pass",
        "tests/core/test_labels.py",
    ),
    Mutation(
        "T1",
        "an agent's ceiling",
        "memstore/core/policy.py",
        "            return Cause(CauseCode.AUTHOR_WORKER, Label.ATTRIBUTED)",
        "            return Cause(CauseCode.AUTHOR_WORKER, Label.TRUSTED)",
        "tests/core/test_policy.py",
    ),
    Mutation(
        "T2",
        "what a context was shown lowers what it writes",
        "memstore/core/fold.py",
        "return context.mark if context and author and author.has_mark else Mark()",
        "return Mark()",
        "tests/attacks/test_omitted_sources.py",
    ),
    Mutation(
        "T2",
        "what a context reviewed itself does not lower it",
        "memstore/core/labels.py",
        "return self.reviewed and self.label is Label.ATTRIBUTED",
        "return False and self.label is Label.ATTRIBUTED",
        "tests/flows/test_review.py",
    ),
    Mutation(
        "T2",
        "... but what comes from outside does, reviewed or not",
        "memstore/core/labels.py",
        "self.label is Label.ATTRIBUTED and not self.admitted and not self.fallen",
        "self.label is Label.ATTRIBUTED and not self.fallen",
        "tests/attacks/test_reworded_note.py",
    ),
    Mutation(
        "T3",
        "a grant narrows in every field",
        "memstore/core/reviews.py",
        "return Allowed() if narrower else Denied(",
        "return Allowed() if True else Denied(",
        "tests/attacks/test_grants.py",
    ),
    Mutation(
        "T3",
        "grants need a mark of at least attributed",
        "memstore/core/reviews.py",
        "if context is not None and context.mark.label < Label.ATTRIBUTED:",
        "if False:",
        "tests/attacks/test_grants.py",
    ),
    Mutation(
        "T3",
        "a context ends with the restoring of its store",
        "memstore/core/epochs.py",
        "    if epoch_of(statement.launch) != epoch:",
        "    if False:",
        "tests/attacks/test_behind_a_backup.py",
    ),
    Mutation(
        "T3",
        "a process that runs on over a restored store is refused",
        "memstore/service.py",
        "        if head.epoch != self._epoch:",
        "        if False:",
        "tests/attacks/test_behind_a_backup.py",
    ),
    Mutation(
        "T4",
        "what does not stand is quarantined",
        "memstore/serving.py",
        "if self.status in _OF_STATUS:",
        "if False:",
        "tests/attacks/test_expiry.py",
    ),
    Mutation(
        "T5",
        "what rests on what fell is suspect",
        "memstore/core/trust.py",
        "suspect = judged.hit > NEVER_FELL and not carried",
        "suspect = False",
        "tests/flows/test_retract.py",
    ),
    Mutation(
        "T5",
        "endorsements from before the fall are void",
        "memstore/core/trust.py",
        "if endorsement.seq in self._carried and endorsement.seq > judged.hit",
        "if endorsement.seq in self._carried",
        "tests/flows/test_retract.py",
    ),
    Mutation(
        "T5",
        "endorsements by contexts that were shown it are void",
        "memstore/core/trust.py",
        "            if mark.fooled:\n                return None\n",
        "",
        "tests/attacks/test_manufactured_corroboration.py",
    ),
    Mutation(
        "T6",
        "a lead endorses those below it alone",
        "memstore/core/policy.py",
        "return Carry.LEAD if above else Carry.NOTHING",
        "return Carry.LEAD",
        "tests/attacks/test_manufactured_corroboration.py",
    ),
    Mutation(
        "T6",
        "who was not shown it whole endorses nothing",
        "memstore/core/policy.py",
        "if own or reviewer.open_world or not saw_whole:",
        "if own or reviewer.open_world:",
        "tests/attacks/test_listed_only.py",
    ),
    Mutation(
        "T6",
        "a lead carries what comes from outside to attributed at most",
        "memstore/core/trust.py",
        "            if admitted:\n                return Label.ATTRIBUTED, CauseCode.ADMITTED\n",
        "",
        "tests/attacks/test_reworded_note.py",
    ),
    Mutation(
        "T6",
        "untrusted is never raised",
        "memstore/reviewing.py",
        'return "untrusted" if stance is Stance.ENDORSE and state.label is Label.UNTRUSTED else ""',
        'return ""',
        "tests/attacks/test_told_to_endorse.py",
    ),
    Mutation(
        "T7",
        "nobody withdraws what stands above him",
        "memstore/core/policy.py",
        "    if label > retractor.ceiling:",
        "    if False:",
        "tests/attacks/test_retraction_as_a_weapon.py",
    ),
    Mutation(
        "T7",
        "a worker's word brings down no more than itself",
        "memstore/core/policy.py",
        "return reason is Withdrawal.POISONED and retractor.role in (Role.LEAD, Role.HUMAN, Role.OPERATOR)",
        "return reason is Withdrawal.POISONED",
        "tests/attacks/test_retraction_as_a_weapon.py",
    ),
    Mutation(
        "T8",
        "a successor stands at least as high",
        "memstore/core/policy.py",
        "    if label < old_label:",
        "    if False:",
        "tests/attacks/test_suppression.py",
    ),
    Mutation(
        "T9",
        "a stolen key's acts are void",
        "memstore/core/policy.py",
        "return self.in_use_at(seq) and (self.compromised is None or seq < self.compromised)",
        "return self.in_use_at(seq)",
        "tests/attacks/test_withdrawn_keys.py",
    ),
    Mutation(
        "T10",
        "a dispute from below shows nothing above",
        "memstore/serving.py",
        "unit.reviews.disputed_up_to(state.id) >= state.label",
        "unit.reviews.disputed_up_to(state.id) >= 0",
        "tests/attacks/test_words_from_below.py",
    ),
    Mutation(
        "T10",
        "an answer from below closes nothing above",
        "memstore/core/fold.py",
        "if question and question.kind is Kind.QUESTION and state.label >= question.label:",
        "if question and question.kind is Kind.QUESTION:",
        "tests/attacks/test_words_from_below.py",
    ),
    Mutation(
        "T10",
        "each tier is searched by itself",
        "memstore/stores/projection.py",
        'WORDS = {label: f"words_{label}" for label in Label}',
        'WORDS = {label: "words_trusted" for label in Label}',
        "tests/attacks/test_interference_between_tiers.py",
    ),
    Mutation(
        "T11",
        "a session's task is told as its author's words are",
        "memstore/verifying.py",
        "    return logged.entry.verdict.label if stands else min(logged.entry.verdict.label, Label.TAINTED)",
        "    return Label.TRUSTED",
        "tests/attacks/test_task_as_a_message.py",
    ),
    Mutation(
        "T12",
        "a source that is not here counts as the worst",
        "memstore/core/labels.py",
        "causes.append(Cause(CauseCode.MISSING_ANCESTOR, Label.UNTRUSTED, source))",
        "pass",
        "tests/core/test_labels.py",
    ),
    Mutation(
        "T12",
        "a label that no review bears out is not served",
        "memstore/verifying.py",
        "and (state.label <= entry.verdict.label or is_borne_out(unit, state, entry))",
        "and True",
        "tests/attacks/test_tampered_file.py",
    ),
    Mutation(
        "T13",
        "a record of another scope is none",
        "memstore/serving.py",
        "if state is None or state.scope != scope or state.erased:",
        "if state is None or state.erased:",
        "tests/attacks/test_scopes.py",
    ),
    Mutation(
        "3.5",
        "a receipt counts for the context that it was given to",
        "memstore/handoffs.py",
        "mine = receipt is not None and (receipt.author, receipt.launch) == (caller.name, caller.launch)",
        "mine = receipt is not None and receipt.author == caller.name",
        "tests/flows/test_handoffs.py",
    ),
    Mutation(
        "3.5",
        "a receipt is old once things have changed",
        "memstore/handoffs.py",
        "    if not is_of(receipt, found):",
        "    if receipt.token != handoff.token:",
        "tests/flows/test_handoffs.py",
    ),
    Mutation(
        "3.5",
        "every problem is taken on by name",
        "memstore/handoffs.py",
        "    left = [code for code in found.codes if code not in request.acknowledge]",
        "    left: list[str] = []",
        "tests/flows/test_handoffs.py",
    ),
    Mutation(
        "3.5",
        "what is not valid is not accepted",
        "memstore/handoffs.py",
        "    barred = [problem.code for problem in found.problems if problem.bars]",
        "    barred: list[str] = []",
        "tests/flows/test_gates_and_contracts.py",
    ),
    Mutation(
        "3.5",
        "an old lease ends nothing",
        "memstore/handoffs.py",
        "if caller.name != handoff.holder or lease != str(handoff.token):",
        "if caller.name != handoff.holder:",
        "tests/flows/test_handoffs.py",
    ),
    Mutation(
        "3.5",
        "a lease that ran out ends nothing",
        "memstore/handoffs.py",
        "    if status is not HandoffStatus.ACCEPTED:",
        "    if status is None:",
        "tests/flows/test_handoffs.py",
    ),
    Mutation(
        "3.5",
        "the same call twice is once",
        "memstore/handoffs.py",
        "    if before is not None:\n            return _again",
        "    if before is not None and False:\n            return _again",
        "tests/flows/test_handoffs.py",
    ),
    Mutation(
        "3.5",
        "a gate is decided by a person, whatever was logged",
        "memstore/inspecting.py",
        "    if principal is None or principal.role is not Role.HUMAN:",
        "    if principal is None:",
        "tests/attacks/test_words_in_handoffs.py",
    ),
    Mutation(
        "3.5",
        "a gate that was opened in the file lets nobody through",
        "memstore/inspecting.py",
        "    if statement.gate and not _is_waiting",
        "    if False and not _is_waiting",
        "tests/attacks/test_words_in_handoffs.py",
    ),
    Mutation(
        "3.5",
        "only who stands above delegates",
        "memstore/core/handoffs.py",
        "not may_delegate(author, receiver, view)",
        "False",
        "tests/flows/test_handoffs.py",
    ),
    Mutation(
        "3.5",
        "what was dropped is told beside all that its sender took on",
        "memstore/stores/queries.sql",
        "WHERE a.handoff = h.id AND a.author = :sender AND a.action = 'accept'",
        "WHERE 0 AND a.author = :sender AND a.action = 'accept'",
        "tests/flows/test_handoffs_mended.py",
    ),
    Mutation(
        "3.5",
        "accepting a report endorses what was shown",
        "memstore/handoffs.py",
        "    endorsed = endorse_shown(unit, key, caller, tuple(outputs))",
        "    endorsed: list[str] = []",
        "tests/flows/test_handoffs.py",
    ),
    Mutation(
        "T11",
        "a task that was phrased below is not told",
        "memstore/inbox.py",
        '"task": handoff.task if handoff.task and worth_of(unit, handoff) >= least else "",',
        '"task": handoff.task,',
        "tests/attacks/test_words_in_handoffs.py",
    ),
    Mutation(
        "T13",
        "a handoff of others looks like none",
        "memstore/handoffs.py",
        "    if not party:\n        raise unknown()",
        "    if not party and False:\n        raise unknown()",
        "tests/flows/test_handoffs.py",
    ),
)


def patched(home: Path, mutation: Mutation) -> bool:
    """Take the rule out of the copy; False where the patch does not fit exactly once."""
    path = home / mutation.file
    source = path.read_text("utf-8")
    if source.count(mutation.old) != 1:
        return False
    path.write_text(source.replace(mutation.old, mutation.new), "utf-8")
    return True


def is_red(home: Path, test: str) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow", test]
    done = subprocess.run(command, cwd=home, capture_output=True, timeout=SECONDS, check=False)
    return done.returncode == 1


def outcome(mutation: Mutation) -> str:
    """`red` where the test failed, as it must; `GREEN` where it did not; `NO FIT` where the source has moved on."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, home / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, home / name)
        if not patched(home, mutation):
            return "NO FIT"
        return "red" if is_red(home, mutation.test) else "GREEN"


def rows(rules: Iterable[str] = ()) -> Iterator[tuple[Mutation, str]]:
    asked = set(rules)
    for mutation in MUTATIONS:
        if not asked or mutation.rule in asked:
            yield mutation, outcome(mutation)


def main(rules: Iterable[str]) -> int:
    bad = 0
    for mutation, how in rows(rules):
        bad += how != "red"
        sys.stdout.write(f"{mutation.rule:4} {how:7} {mutation.without:66} {mutation.test}\n")
        sys.stdout.flush()
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
