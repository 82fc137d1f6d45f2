"""What a hostile reader found in handoffs, each as the test that fails where it is undone (DESIGN 3.5, ADR 0035)."""

from __future__ import annotations

from typing import Any

import pytest
from simulator import Fleet, codes, taken

from memstore.errors import MemStoreError
from memstore.service import MemStore

NONE = ["none"]


def verified(member: MemStore, title: str = "The bug is in the lexer", **more: Any) -> str:
    told = {"verification": "verified", "evidence": ["log line 7"], **more}
    return str(member.write("finding", title, f"Body of {title}", **told)["id"])


def transfer(member: MemStore, to: str, outputs: list[str], **more: Any) -> dict[str, Any]:
    return dict(member.handoff_offer(to, "transfer", outputs=outputs, **{"questions": NONE, **more}))


def refusal(call: Any, *args: Any, **arguments: Any) -> str:
    with pytest.raises(MemStoreError) as error:
        call(*args, **arguments)
    return error.value.code


@pytest.fixture
def intent(lead: MemStore) -> str:
    lead.session_start("port", goal="Port the parser to C")
    return str(lead.session_start("port")["brief"]["intent"]["id"])


def delegated(lead: MemStore, intent: str, to: str = "ada", **more: Any) -> dict[str, Any]:
    told = {"directive": "Find the bug", "rationale": "It costs money", "constraints": NONE, **more}
    return dict(lead.handoff_offer(to, "delegate", intent=intent, **told))


def test_a_receipt_is_old_once_another_record_has_the_same_problem(lead: MemStore, ada: MemStore, ben: MemStore):
    first, second = verified(ada, "One"), verified(ada, "Two")
    handoff = transfer(ada, "ben", [first, second])["handoff"]
    lead.retract(first, "poisoned")
    got = ben.handoff_receive(handoff)
    lead.retract(second, "poisoned")
    told = {"receipt": got["receipt"], "acknowledge": codes(got)}
    assert refusal(ben.handoff_respond, handoff, "accept", **told) == "old_receipt"
