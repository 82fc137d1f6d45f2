"""Epochs: what was restored from a backup goes on under another number, and so does every launch (ADR 0050).

What happened between a backup and its loss is not in the restored log: a context of that time may have read and written
what nobody knows of any more. So a launch carries the number of its epoch, and only those of the current one act.
"""

from __future__ import annotations

from memstore.core.policy import Allowed, Decision, Denied
from memstore.core.statements import Restored, Statement

_AT = "@"


def launch_at(launch: str, epoch: int) -> str:
    """The name of a launch in an epoch; before the first restoration, its own."""
    return f"{launch_without_epoch(launch)}{_AT}{epoch}" if epoch else launch


def launch_without_epoch(launch: str) -> str:
    name, at, number = launch.rpartition(_AT)
    return name if at and _is_number(number) else launch


def epoch_of(launch: str) -> int:
    """The number of the epoch that a launch is of; 0 for one of before the first restoration."""
    _, at, number = launch.rpartition(_AT)
    return int(number) if at and _is_number(number) else 0


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6 and not text.startswith("0")


def may_act_now(statement: Statement, *, seq: int, epoch: int) -> Decision:
    """Whether a statement at this position is of the epoch that the log is in; a restoration opens the next one."""
    if isinstance(statement, Restored):
        opened = statement.epoch == epoch + 1 and statement.size == seq
        if not (opened and epoch_of(statement.launch) == statement.epoch):
            return Denied("a restoration opens the next epoch, at the end of what was restored")
        return Allowed()
    if epoch_of(statement.launch) != epoch:
        return Denied("this context is of before the store was restored")
    return Allowed()
