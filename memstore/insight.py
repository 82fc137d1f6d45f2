"""What a store is like: counts for its operator, and a diagnosis that names what is wrong and what to do about it.

It looks and changes nothing. A check that cannot be made is one that failed; whether each entry of the log verifies is
for `memstore.log` to say.
"""

from __future__ import annotations

import shutil
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from memstore.admin import House
from memstore.candidates import BIG
from memstore.core.labels import Label, Status
from memstore.core.statements import OPERATOR_NAME
from memstore.embedding import Embedding
from memstore.errors import MemStoreError
from memstore.log import verify_head
from memstore.ports import Store, Unit, VectorCount
from memstore.signing import STORE_KEY
from memstore.tokens import fate_of

MEBI = 1024 * 1024
MOST_WAL_BYTES = 64 * MEBI
LEAST_FREE_BYTES = 100 * MEBI
MICROS = 1_000_000
MOST_WAITING = 1_000_000
SOON_SECONDS = 3 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: whether it is well, what was found, and the next step if it is not."""

    name: str
    ok: bool
    what: str
    next: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def stats(store: Store, *, plans: bool = False) -> dict[str, Any]:
    """How much there is of what: records by kind, label and status, contexts, sessions, bytes.

    `plans` adds each scope's tiers with their vectors, and how a question to them that nothing narrows is answered.
    """
    with store.read() as unit:
        head, rows, sizes = unit.log.head(), unit.counts.rows(), unit.counts.sizes()
        counted, state = unit.counts.records(), unit.vectors.state()
        tiers = unit.vectors.counted() if plans else []
        waiting = len(unit.reviews.waiting("", MOST_WAITING))
        handed = unit.handoffs.signals()
        fates = Counter(fate_of(unit, token) for token in unit.tokens.listed())
    by: dict[str, Counter[str]] = {"kind": Counter(), "label": Counter(), "status": Counter()}
    total = quarantined = 0
    for group in counted:
        total += group.records
        by["kind"][group.kind] += group.records
        by["label"][str(group.label)] += group.records
        by["status"][str(group.status)] += group.records
        if group.label < Label.ATTRIBUTED or group.status is not Status.IN_FORCE:
            quarantined += group.records
    planned = {
        "model": state.model,
        "precision": state.precision,
        "tiers": [{"scope": t.scope, "label": str(t.label), **_planned(t)} for t in tiers],
    }
    return {
        "store_id": head.store,
        "entries": head.size,
        "epoch": head.epoch,
        "records": {"total": total, **{f"by_{name}": dict(sorted(found.items())) for name, found in by.items()}},
        "erased": rows["erased"],
        "quarantined_share": round(quarantined / total, 4) if total else 0.0,
        "principals": rows["principals"],
        "contexts": rows["contexts"],
        "tainted_contexts": rows["tainted_contexts"],
        "disclosures": rows["disclosures"],
        "open_sessions": rows["open_sessions"],
        "bytes_on_disk": sizes.database + sizes.write_ahead_log,
        "pending_vectors": rows["unembedded"],
        "tainted_share": round(rows["tainted"] / total, 4) if total else 0.0,
        "admitted": rows["admitted"],
        "reviews": rows["reviews"],
        "retractions": rows["retractions"],
        "reviews_waiting": waiting,
        "handoffs": _handed(handed),
        "tokens": dict(sorted(fates.items())),
        **({"vectors": planned} if plans else {}),
    }


def _handed(found: dict[str, Any]) -> dict[str, Any]:
    """The signals of handing over; ratios rounded, so that they can be read."""
    finished = found.pop("of_finished_tasks")
    tasks = found["finished_tasks"]
    per_task = {"per_finished_task": round(finished / tasks, 2) if tasks else 0.0}
    rounded = {name: round(value, 2) if isinstance(value, float) else value for name, value in found.items()}
    return {"total": rounded.pop("handoffs"), **per_task, **rounded}


def _planned(tier: VectorCount) -> dict[str, Any]:
    plan = "exact" if tier.vectors <= BIG else "chroma in the process that keeps it, exact in every other"
    return {"records": tier.records, "vectors": tier.vectors, "plan": plan}


def examine_folder(folder: Path, *, keys: bool = True) -> list[Check]:
    """What can be said of a store's folder without opening the store: key files, .gitignore, room on the disk.

    `keys` False is for a copy of a log, which has none.
    """
    checks: list[tuple[str, Callable[[], Check]]] = [
        *([("key_modes", lambda: _key_modes(folder / "keys"))] if keys else []),
        ("gitignore", lambda: _gitignore(folder)),
        ("free_disk", lambda: _free_disk(folder)),
    ]
    return [made(name, check) for name, check in checks]


def examine(house: House, *, now: int, embedding: Embedding, keys: bool = True) -> list[Check]:
    """What can be said of an open store; `now` is the system's clock, in microseconds since 1970 UTC."""
    of_keys: list[tuple[str, Callable[[Unit], Check]]] = [
        ("keys_without_principals", lambda unit: _keys_without_principals(house, unit)),
        ("principals_without_keys", lambda unit: _principals_without_keys(house, unit)),
        ("key_contents", lambda unit: _key_contents(house, unit)),
    ]
    checks: list[tuple[str, Callable[[Unit], Check]]] = [
        ("database", _database),
        ("log", _log),
        *(of_keys if keys else []),
        ("clock", lambda unit: _clock(unit, now)),
        ("write_ahead_log", _write_ahead_log),
        ("full_text", _full_text),
        ("vectors", lambda unit: _vectors(unit, embedding)),
        ("tokens", _tokens),
    ]

    def looked(check: Callable[[Unit], Check]) -> Check:
        with house.store.read() as unit:
            return check(unit)

    return [made(name, lambda check=check: looked(check)) for name, check in checks]  # type: ignore[misc]


def made(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except MemStoreError as error:
        return Check(name, False, f"{error.what}.", error.next_call)
    except OSError as error:
        return Check(name, False, f"It cannot be looked at: {error.strerror}.", "Check owner and permissions.")


def _key_modes(keys: Path) -> Check:
    # 0600 for the files: `Keyring.load` refuses what others can read.
    open_to_others = [path.name for path in _key_files(keys) if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if open_to_others:
        names = ", ".join(open_to_others)
        return Check("key_modes", False, f"Others can read key files: {names}.", f"In {keys.name}, chmod 600 {names}")
    return Check("key_modes", True, "Key files are their owner's alone.")


def _key_files(keys: Path) -> list[Path]:
    return sorted(path for path in keys.iterdir() if path.is_file())


def _gitignore(folder: Path) -> Check:
    file = folder / ".gitignore"
    if file.is_file() and "*" in file.read_text("utf-8", "replace").split():
        return Check("gitignore", True, "Keys and data are kept out of git.")
    return Check("gitignore", False, "Nothing keeps keys out of git.", f"Put a line * into {file.name} in the store.")


def _free_disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        return Check("free_disk", False, f"{free // MEBI} MB are free.", "Make room: a full disk refuses every write.")
    return Check("free_disk", True, f"{free // MEBI} MB are free.")


def _database(unit: Unit) -> Check:
    version, damage = unit.counts.schema_version(), unit.counts.damage()
    if damage:
        return Check("database", False, f"The file is damaged in {damage} places or more.", "Restore a backup.")
    return Check("database", True, f"Schema version {version}; its pages are whole.")


def _log(unit: Unit) -> Check:
    verify_head(unit)
    return Check("log", True, f"The head of {unit.log.head().size} entries is as it was signed.")


def _keys_without_principals(house: House, unit: Unit) -> Check:
    known = {f"{principal.name}.key" for principal in unit.registry.principals()} | {f"{STORE_KEY}.key"}
    stray = [path.name for path in _key_files(house.keyring.folder) if path.name not in known]
    if not stray:
        return Check("keys_without_principals", True, "Each key file is a principal's.")
    what = f"{len(stray)} files among the keys belong to nobody here: {', '.join(stray)}."
    return Check("keys_without_principals", False, what, "Remove them, unless they are of another store.")


def _standing(unit: Unit) -> Iterator[tuple[str, str]]:
    """(name, key id) of each principal that can act."""
    for principal in unit.registry.principals():
        newest = unit.registry.keys_of(principal.name)[-1]
        if newest.retired is None and newest.compromised is None:
            yield principal.name, newest.keyid


def _principals_without_keys(house: House, unit: Unit) -> Check:
    absent = [name for name, _ in _standing(unit) if not house.keyring.has(name)]
    if not absent:
        return Check("principals_without_keys", True, "Each principal that can act has its key file.")
    # Agents may have made their keys where they are (ADR 0046); the operator acts here or nowhere.
    what = f"No key file here for {', '.join(absent)}: beside a bridge, or lost."
    return Check("principals_without_keys", OPERATOR_NAME not in absent, what, "Where it is lost: agent rekey NAME.")


def _tokens(unit: Unit) -> Check:
    soon = unit.now + SOON_SECONDS * MICROS
    standing = [token for token in unit.tokens.listed() if fate_of(unit, token) == "stands"]
    latest = {token.principal: token.expires_at for token in sorted(standing, key=lambda one: one.expires_at)}
    ending = sorted(name for name, expires_at in latest.items() if expires_at < soon)
    if ending:
        what = f"The last token of {', '.join(ending)} ends within three days."
        return Check("tokens", False, what, "memstore token NAME makes another; token list shows them.")
    return Check("tokens", True, f"{len(standing)} tokens stand.")


def _key_contents(house: House, unit: Unit) -> Check:
    """Whether a file holds the key that is registered; one with a passphrase stays closed."""
    other = [name for name, keyid in _standing(unit) if _holds_another(house, name, keyid)]
    if not other:
        return Check("key_contents", True, "Key files that can be opened hold the keys that are registered.")
    what = f"The key file is not the registered key's, or is damaged: {', '.join(other)}."
    return Check("key_contents", False, what, "agent rekey NAME.")


def _holds_another(house: House, name: str, keyid: str) -> bool:
    try:
        return house.keyring.load(name).keyid != keyid
    except MemStoreError as error:
        # A passphrase, open modes and a missing file are other checks' matters.
        return error.code == "bad_key"


def _clock(unit: Unit, now: int) -> Check:
    ahead = (unit.counts.clock_floor() - now) // MICROS
    if ahead > 0:
        what = f"The store has seen a time {ahead} s ahead of the system's clock."
        return Check("clock", False, what, "Set the system's clock; until it catches up, nothing ages here.")
    return Check("clock", True, "The system's clock is not behind what the store has seen.")


def _write_ahead_log(unit: Unit) -> Check:
    size = unit.counts.sizes().write_ahead_log
    what = f"The write-ahead log holds {size // MEBI} MB."
    if size > MOST_WAL_BYTES:
        return Check(
            "write_ahead_log", False, what, "Stop the processes that hold the store open; the last empties it."
        )
    return Check("write_ahead_log", True, what)


def _full_text(unit: Unit) -> Check:
    gaps = [f"{label}: {gap.missing} missing, {gap.surplus} too many" for label, gap in unit.counts.words() if gap]
    if gaps:
        return Check("full_text", False, f"Words do not agree with records ({'; '.join(gaps)}).", "Run rebuild.")
    return Check("full_text", True, "Every tier has the words of its records, and no others.")


def _vectors(unit: Unit, embedding: Embedding) -> Check:
    state, waiting = unit.vectors.state(), unit.counts.rows()["unembedded"]
    refusal = embedding.refusal()
    if refusal is not None:
        return Check("vectors", False, f"{refusal.what}; search ranks by full text alone.", refusal.next_call)
    if embedding.without:
        return Check("vectors", True, "Embedding is turned off here; search ranks by full text alone.")
    if state.model not in ("", embedding.model):
        what = "The store's vectors are of another model than this process has; search ranks by full text alone."
        return Check("vectors", False, what, "Run rebuild --vectors, or set MEMSTORE_MODEL to the model they are of.")
    return Check(
        "vectors", True, f"{waiting} records wait for vectors." if waiting else "Every record has its vectors."
    )
