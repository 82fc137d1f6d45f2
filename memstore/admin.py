"""What an operator does: make a store, register and withdraw principals and tools, erase, give fresh contexts (T3, T9).

Each act is a statement signed by the operator's key (a rotation by the principal's own), checked like any other. Key
files are written in the transaction that registers them, so that no principal is ever without its key.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from memstore.core.epochs import launch_at
from memstore.core.keys import decode_key, thumbprint, verify_signature, vet_public_key
from memstore.core.policy import Principal
from memstore.core.statements import (
    OPERATOR_NAME,
    ContextReset,
    Erased,
    KeyAction,
    KeyChanged,
    PrincipalRegistered,
    QuotaSet,
    Role,
    ToolRegistered,
    possession_message,
)
from memstore.errors import Conflict, Denied, IntegrityError, InvalidInput, NotFound, read_only_copy
from memstore.ports import Store, Unit
from memstore.quotas import DAY, EVERY_AGENT
from memstore.signing import AskPassphrase, Keyring, Signer, StoreKey, encode
from memstore.write import Author, append

OPERATOR_LAUNCH = "operator"
DEFAULT_SCOPE = "main"


@dataclass(frozen=True, slots=True)
class House:
    """A store with its keys: what the operator's acts need."""

    store: Store
    key: StoreKey
    keyring: Keyring
    ask: AskPassphrase | None = None

    def operator(self) -> Author:
        return self.author(OPERATOR_NAME, OPERATOR_LAUNCH)

    def author(self, name: str, launch: str) -> Author:
        """Somebody whose key is here, in this launch of the epoch that the store is in."""
        signer = self.signer(name)
        with self.store.read() as unit:
            return Author(signer, launch_at(launch, unit.log.head().epoch))

    def signer(self, name: str) -> Signer:
        """The key of `name` that the log names; one that a crash left beside it is put in its place first."""
        with self.store.read() as unit:
            if unit.log.head().copied:
                raise read_only_copy()
            keys = unit.registry.keys_of(name)
        if keys:
            self.keyring.settle(name, keys[-1].keyid)
        return self.keyring.load(name, self.ask)


def register_operator(unit: Unit, key: StoreKey, signer: Signer) -> None:
    """The first statement of a log: the operator, by its own word."""
    fields = _registration(key, signer, role=Role.OPERATOR, scopes=[])
    append(unit, key, Author(signer, OPERATOR_LAUNCH), PrincipalRegistered, fields)


def _registration(key: StoreKey, signer: Signer, **about: Any) -> dict[str, Any]:
    """The fields of a registration with a key that is here."""
    return _registration_of(key, signer.name, signer.public, signer.prove_possession(key.store), **about)


def _registration_of(
    key: StoreKey, name: str, public: bytes, proof: bytes, *, role: Role, scopes: list[str], **more: Any
) -> dict[str, Any]:
    """The fields of a registration."""
    _refuse_unproven(key, name, public, proof)
    return {"name": name, "role": role, "scopes": scopes, "public_key": encode(public), "proof": encode(proof), **more}


def _refuse_unproven(key: StoreKey, name: str, public: bytes, proof: bytes) -> None:
    """The key vetted, and the proof of possession verified (T9)."""
    vet_public_key(public)
    try:
        verify_signature(public, proof, possession_message(store=key.store, name=name, public_key=encode(public)))
    except IntegrityError:
        raise InvalidInput(
            "The proof is not of this key, name and store",
            code="bad_proof",
            next_call="Make it beside the agent: memstore key new NAME --store-id ID.",
        ) from None


def add_agent(
    house: House,
    name: str,
    *,
    role: Role = Role.WORKER,
    under: str = "",
    open_world: bool = False,
    scopes: tuple[str, ...] = (),
    team: str = "",
    version: str = "",
    capabilities: tuple[str, ...] = (),
    accepts: tuple[str, ...] = (),
    public_key: str | None = None,
    proof: str | None = None,
    new_passphrase: Callable[[], str | None] = lambda: None,
) -> dict[str, Any]:
    """Register a principal with a fresh key; a person's key is encrypted with what `new_passphrase` gives.

    With `public_key` and `proof` (base64url, as `keyfiles.make_key` gives them) its key is elsewhere, and stays there.
    """
    if role is Role.OPERATOR:
        raise InvalidInput("A store has one operator", next_call="Register a human instead.")
    operator = house.operator()
    with house.store.read() as unit:
        _check_new(unit, name, under)
    signer, public, proven = _key_of(house, name, public_key, proof)
    fields = _registration_of(
        house.key,
        name,
        public,
        proven,
        role=role,
        scopes=list(dict.fromkeys(scopes)) or [DEFAULT_SCOPE],
        under=under,
        open_world=open_world,
        team=team,
        version=version,
        capabilities=list(capabilities),
        accepts=list(accepts),
    )
    PrincipalRegistered.check(house.key.store, fields)
    passphrase = new_passphrase() if role is Role.HUMAN and signer else None
    with house.store.write() as unit:
        _check_new(unit, name, under)
        append(unit, house.key, operator, PrincipalRegistered, fields)
        if signer:
            # Inside the transaction: a principal is registered only with its key on disk.
            house.keyring.stage(signer, passphrase)
        principal = _principal(unit, name)
    if signer:
        house.keyring.settle(name, signer.keyid)
    key_file = house.keyring.path(name).name if signer else ""
    return {**_as_dict(principal), "keyid": thumbprint(public), "key_file": key_file}


def _key_of(house: House, name: str, public_key: str | None, proof: str | None) -> tuple[Signer | None, bytes, bytes]:
    """A fresh key, or none where it is elsewhere; its public half, and the proof that somebody has the other one."""
    if public_key is not None or proof is not None:
        return None, decode_key(public_key or ""), _decoded_proof(proof or "")
    signer = Signer.generate(name)
    return signer, signer.public, signer.prove_possession(house.key.store)


def _decoded_proof(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text + "==")
    except ValueError:
        raise InvalidInput("`proof` is not base64url", code="bad_proof") from None


def _check_new(unit: Unit, name: str, under: str) -> None:
    if unit.registry.name_taken(name):
        raise Conflict("That name is taken", code="name_taken", next_call="Choose another; `agent list` shows them.")
    if under and unit.view.principal(under) is None:
        raise NotFound("`under` names no principal", code="unknown_principal", next_call="Register the lead first.")


def _as_dict(principal: Principal) -> dict[str, Any]:
    return {
        "name": principal.name,
        "role": str(principal.role),
        "under": principal.under,
        "open_world": principal.open_world,
        "scopes": list(principal.scopes),
        "team": principal.team,
        "version": principal.version,
        "capabilities": list(principal.capabilities),
        "accepts": list(principal.accepts),
    }


def list_agents(house: House) -> list[dict[str, Any]]:
    """All principals with the state of their newest key."""
    with house.store.read() as unit:
        found = []
        for principal in unit.registry.principals():
            key = unit.registry.keys_of(principal.name)[-1]
            state = "compromised" if key.compromised is not None else "retired" if key.retired is not None else "stands"
            here = house.keyring.has(principal.name)
            found.append({**_as_dict(principal), "keyid": key.keyid, "key": state, "key_file": here})
        return found


def _principal(unit: Unit, name: str) -> Principal:
    found = unit.view.principal(name)
    if found is None:
        raise NotFound("There is no such principal", code="unknown_principal", next_call="`agent list` shows them.")
    return found


def _standing_key(unit: Unit, name: str) -> str:
    _principal(unit, name)
    standing = [key for key in unit.registry.keys_of(name) if key.retired is None]
    return standing[-1].keyid if standing else unit.registry.keys_of(name)[-1].keyid


def replace_key(
    house: House,
    name: str,
    action: KeyAction,
    *,
    public_key: str | None = None,
    proof: str | None = None,
    new_passphrase: Callable[[], str | None] = lambda: None,
) -> dict[str, Any]:
    """Rotate (old and new key sign) or, for a lost key, have the operator replace it (T9).

    With `public_key` and `proof` the new key is elsewhere, as of `add_agent`.
    """
    if action is KeyAction.REKEYED and name == OPERATOR_NAME:
        raise Denied("The operator's key is rotated, not replaced", next_call="Run `agent rotate operator`.")
    author = house.operator()
    if action is KeyAction.ROTATED:
        author = house.author(name, OPERATOR_LAUNCH)
    fresh, public, proven = _key_of(house, name, public_key, proof)
    with house.store.read() as unit:
        protected = _principal(unit, name).role in (Role.HUMAN, Role.OPERATOR)
    _refuse_unproven(house.key, name, public, proven)
    passphrase = new_passphrase() if protected and fresh else None
    with house.store.write() as unit:
        fields = {"principal": name, "action": action, "keyid": _standing_key(unit, name)}
        fields |= {"public_key": encode(public), "proof": encode(proven)}
        append(unit, house.key, author, KeyChanged, fields)
        if fresh:
            # Staged inside the transaction: whether it commits or not, the key that the log then names is on disk.
            house.keyring.stage(fresh, passphrase)
    if fresh:
        house.keyring.settle(name, fresh.keyid)
    return {"name": name, "keyid": thumbprint(public), "action": str(action)}


def retire(house: House, name: str) -> dict[str, Any]:
    """Take a principal's key out of use; what it signed stands."""
    _not_the_operator(name)
    operator = house.operator()
    with house.store.write() as unit:
        keyid = _standing_key(unit, name)
        fields = {"principal": name, "action": KeyAction.RETIRED, "keyid": keyid}
        append(unit, house.key, operator, KeyChanged, fields)
    return {"name": name, "keyid": keyid, "action": "retired"}


def compromise(house: House, name: str, since: int) -> dict[str, Any]:
    """Void all acts under the principal's keys from log position `since` on, and judge anew what rests on them (T5)."""
    _not_the_operator(name)
    operator = house.operator()
    with house.store.write() as unit:
        _principal(unit, name)
        if not 0 <= since < unit.log.head().size:
            raise InvalidInput("`since` is no position in the log", next_call="`history` shows positions as seq.")
        hit = [key for key in unit.registry.keys_of(name) if key.retired is None or key.retired >= since]
        touched: set[int] = set()
        for key in hit:
            fields = {"principal": name, "action": KeyAction.COMPROMISED, "keyid": key.keyid, "since": since}
            touched |= set(append(unit, house.key, operator, KeyChanged, fields).affected)
        ids = [{"id": state.id, "status": str(state.status(unit.now))} for state in unit.records.at(touched)]
    return {"name": name, "since": since, "keys": [key.keyid for key in hit], "affected": ids}


def _not_the_operator(name: str) -> None:
    if name == OPERATOR_NAME:
        raise Denied("The operator's key is the root of this store", next_call="Restore a backup into a new store.")


def add_tool(house: House, pattern: str, *, open_world: bool = False, max_ttl: int = 0) -> dict[str, Any]:
    """Register a tool, or with a trailing `*` all tools whose names begin so."""
    fields = {"tool": pattern, "open_world": open_world, "max_ttl_seconds": max_ttl}
    ToolRegistered.check(house.key.store, fields)
    operator = house.operator()
    with house.store.write() as unit:
        append(unit, house.key, operator, ToolRegistered, fields)
    return fields


def set_quota(
    house: House, name: str, *, records_per_day: int = 0, bytes_per_day: int = 0, open_sessions: int = 0
) -> dict[str, Any]:
    """Bound how much a principal, or with `*` every agent without a quota of its own, may store; 0 is no bound."""
    bounds = {"records_per_day": records_per_day, "bytes_per_day": bytes_per_day, "open_sessions": open_sessions}
    fields: dict[str, Any] = {"principal": name, **bounds}
    QuotaSet.check(house.key.store, fields)
    operator = house.operator()
    with house.store.write() as unit:
        if name != EVERY_AGENT:
            fields["principal"] = _principal(unit, name).name
        append(unit, house.key, operator, QuotaSet, fields)
    return fields


def list_quotas(house: House) -> list[dict[str, Any]]:
    """All quotas, with what each principal has stored in the last 24 hours."""
    with house.store.read() as unit:
        since = unit.now - DAY
        found = []
        for quota in unit.quotas.quotas():
            used: dict[str, int] = {}
            if quota.principal != EVERY_AGENT:
                used = {
                    "records": unit.quotas.records_since(quota.principal, since),
                    "bytes": unit.quotas.bytes_since(quota.principal, since),
                    "sessions": unit.quotas.sessions_running(quota.principal),
                }
            found.append({**asdict(quota), "used": used})
        return found


def reset_context(house: House, name: str, scope: str, *, giver: Author | None = None) -> dict[str, Any]:
    """Give a principal a fresh continuing context in a scope: its mark starts anew (T3).

    `giver` is a person or a lead above it, in its own context; without one it is the operator.
    """
    operator = giver or house.operator()
    with house.store.write() as unit:
        if scope not in _principal(unit, name).scopes:
            raise NotFound("The principal has no such scope", code="unknown_scope", next_call="See `agent list`.")
        append(unit, house.key, operator, ContextReset, {"principal": name, "scope": scope})
        return {"principal": name, "scope": scope, "epoch": unit.registry.epoch(name, scope)}


def erase_content(house: House, record: str) -> dict[str, Any]:
    """Destroy a record's content everywhere in the store; its statement stays and the log still verifies."""
    operator = house.operator()
    with house.store.write() as unit:
        state = unit.view.record(record)
        if state is None:
            raise NotFound("There is no record of this id", code="unknown_id", next_call="Copy the id from an answer.")
        # What was leaked is hidden and not destroyed yet.
        if not state.erased or unit.contents.get(state.seq) is not None:
            append(unit, house.key, operator, Erased, {"record": record})
    house.store.forget_copies()
    gone = house.store.empty_write_ahead_log()
    note = "" if gone else "Another process still reads an older state; run erase again to clear the write-ahead log."
    return {"id": record, "status": "erased", "cleared": gone, "note": note}


def ignore_file(folder: Path) -> None:
    """Keep everything in the store's folder, the keys above all, out of git."""
    (folder / ".gitignore").write_text("# keys and data of a memstore: never in a repository\n*\n", "utf-8")
