"""What the verbs of handoffs ask of a store, beside `memstore.ports`, whose `Unit` holds both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from memstore.core.offers import HandoffAction
from memstore.core.state import ContractState, HandoffState, ReceiptState


@dataclass(frozen=True, slots=True)
class Answered:
    """One act on a handoff: by whom, at which position, under which lease."""

    seq: int
    author: str
    action: HandoffAction
    lease: int
    receipt: str
    outputs: tuple[str, ...]
    acknowledged: tuple[str, ...]


class Handoffs(Protocol):
    """Handoffs by who sent them, who is to have them, and what they belong to; and the leases on them."""

    def twin(self, sender: str, *, digest: str, key: str) -> HandoffState | None: ...
    def signals(self) -> dict[str, Any]: ...
    def of_box(self, scope: str, principal: str, box: str, *, done: bool) -> list[HandoffState]: ...
    def open_in(self, scope: str, *, task: str = "") -> list[HandoffState]: ...
    def carried_before(self, handoff: HandoffState) -> list[tuple[str, str]]: ...
    def held(self, scope: str, task: str, principal: str, launch: str) -> HandoffState | None: ...
    def lease(self, handoff: str, *, token: int, until: int) -> None: ...


class Receipts(Protocol):
    """What was received, answered and agreed on: receipts, answers, contracts, checkpoints."""

    def receipt(self, receipt: str) -> ReceiptState | None: ...
    def receipts(self, handoff: str) -> list[ReceiptState]: ...
    def answers(self, handoff: str) -> list[Answered]: ...
    def answered(self, handoff: str, digest: str) -> Answered | None: ...
    def shown(self, launch: str, records: Sequence[str]) -> set[str]: ...
    def contracts(self) -> list[ContractState]: ...
    def checkpoint(self, handoff: HandoffState) -> str: ...
