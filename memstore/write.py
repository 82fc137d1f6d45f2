"""The one way into the log: validate, sign, judge, append, project, in one transaction (DESIGN 4, "one writer").

Whatever changes knowledge or trust passes through `append`. It refuses what policy denies before anything is signed,
and either everything of an act is stored or nothing is. The time of an entry is never before that of the one before.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from memstore.core.entries import Entry, Logged, leaf_of
from memstore.core.epochs import may_act_now
from memstore.core.fold import fold, judge_entry
from memstore.core.handoffs import permitted_handoff
from memstore.core.policy import Allowed, Denied, Principal, may_author, may_be_signed
from memstore.core.records import SALT_BYTES, Content, content_digest
from memstore.core.reviews import permitted
from memstore.core.statements import (
    OPERATOR_NAME,
    PrincipalRegistered,
    Recorded,
    Statement,
    digest_of,
    id_of,
    payload_of,
    payload_type,
    pre_authentication_encoding,
)
from memstore.errors import Conflict
from memstore.errors import Denied as DeniedError
from memstore.ports import StoredContent, Unit
from memstore.quotas import refuse_beyond_quota
from memstore.relabel import carry_out
from memstore.signing import Signer, StoreKey

# The checkpoint of a head that moves on within a transaction; on disk it is a log that was tampered with.
UNSIGNED = ""


@dataclass(frozen=True, slots=True)
class Author:
    """Who acts: the key that signs, and the launch (context) that the act belongs to."""

    signer: Signer
    launch: str

    @property
    def name(self) -> str:
        return self.signer.name


@dataclass(frozen=True, slots=True)
class Written:
    """A statement as it was logged; `id` is "" for acts that nobody refers to.

    `affected` holds the positions of the records that an act about others changed.
    """

    id: str
    entry: Entry
    statement: Statement
    affected: tuple[int, ...] = ()


def append(
    unit: Unit,
    key: StoreKey,
    author: Author,
    kind: type[Statement],
    fields: dict[str, Any],
    content: Content | None = None,
) -> Written:
    """Sign a statement of `kind` with these fields and log it, with its content, inside `unit`'s transaction."""
    # 1. The author's key must stand now; the act must be the author's to make.
    head = unit.log.head()
    if head.checkpoint != UNSIGNED or not unit.is_sealed_at_commit:
        key.refuse_moved(head.frontier, head.checkpoint)
    raw, salt = (content.to_bytes(), secrets.token_bytes(SALT_BYTES)) if content else (b"", b"")
    if content:
        fields = {**fields, "content": content_digest(salt, raw)}
    n, prev = unit.registry.chain(author.name, author.launch)
    statement = kind.build(
        store=key.store, author=author.name, launch=author.launch, n=n + 1, prev=prev, asserted_at=unit.now, **fields
    )
    admit(unit, author, statement, head.size)
    _refuse_beyond_quota(unit, author, statement, len(raw))
    # 2. Signed over the DSSE pre-authentication encoding; the id is a hash of just that.
    type_name, payload = payload_type(kind), payload_of(statement)
    digest = digest_of(type_name, payload)
    signature = author.signer.sign(pre_authentication_encoding(type_name, payload))
    # 3. The store's judgement as of now, and its entry.
    context = unit.view.context(author.launch)
    entry = Entry(
        seq=head.size,
        logged_at=unit.now,
        payload_type=type_name,
        digest=digest,
        keyid=author.signer.keyid,
        signature=author.signer.state,
        verdict=judge_entry(statement, author.signer.state, unit.view),
        disclosures=context.head if context else bytes(32),
    )
    logged = Logged(entry, payload, signature, leaf_of(entry))
    # 4. Log, checkpoint, content and projection: one transaction, the caller's.
    frontier = head.frontier.append(logged.leaf)
    changes = fold(entry, statement, unit.view)
    unit.log.append_entry(logged)
    unit.log.move_head(frontier, UNSIGNED, unit.now)
    unit.seal_at_commit(lambda: _sealed(unit, key))
    if content and isinstance(statement, Recorded):
        twins = key.fingerprint(author=author.name, fields=fields, content=raw)
        unit.contents.put(entry.seq, StoredContent(salt, raw, twins))
    affected = carry_out(unit, changes, content, act=entry.seq)
    return Written(id_of(statement, digest), entry, statement, tuple(affected))


def _sealed(unit: Unit, key: StoreKey) -> None:
    """Sign the log as the transaction leaves it: nobody sees a state in between, so none is signed."""
    head = unit.log.head()
    if head.checkpoint == UNSIGNED:
        unit.log.move_head(head.frontier, key.checkpoint(head.frontier), unit.now)
        unit.when_committed(lambda: key.watch(head.frontier))


def admit(unit: Unit, author: Author, statement: Statement, seq: int) -> None:
    """Raise `Denied` where the author, or its key, may not make this statement at this position."""
    principal = unit.view.principal(author.name)
    genesis = seq == 0 and isinstance(statement, PrincipalRegistered) and statement.name == author.name
    if genesis and author.name == OPERATOR_NAME:
        return
    if principal is None:
        raise DeniedError("The author is not registered in this store", code="unknown_principal")
    if isinstance(may_act_now(statement, seq=seq, epoch=unit.log.head().epoch), Denied):
        raise restored_since()
    key = unit.registry.key(author.signer.keyid)
    if key is None or key.principal != author.name or not key.stands_at(seq) or key.retired is not None:
        raise DeniedError(
            "The author's key does not stand", code="key_revoked", next_call="Have the operator rekey this principal."
        )
    _raise_if_denied(may_be_signed(author.signer.state, principal), principal)
    _raise_if_denied(may_author(statement, principal), principal)
    _raise_if_denied(permitted(statement, unit.view, unit.now), principal)
    _raise_if_denied(permitted_handoff(statement, unit.view, unit.now), principal)


def restored_since() -> Conflict:
    return Conflict(
        "The store was restored from a backup since this context began, and may not know all that it was shown",
        code="restored",
        next_call="Start this process anew; what it wrote or read after the backup is not here.",
    )


def _refuse_beyond_quota(unit: Unit, author: Author, statement: Statement, size: int) -> None:
    principal = unit.view.principal(author.name)
    if principal is not None:
        refuse_beyond_quota(unit, principal, statement, size)


def _raise_if_denied(decision: Allowed | Denied, principal: Principal) -> None:
    if isinstance(decision, Denied):
        raise DeniedError(decision.reason.capitalize(), next_call=f"This caller's role is {principal.role}.")
