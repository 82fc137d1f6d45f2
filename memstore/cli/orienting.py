"""`memstore session brief`: what a client's hook runs, so that an agent begins from what stands (DESIGN 3.6, ADR 0053).

It reads and never writes, needs no key of an agent, and as a hook it never fails: where there is no store it says
nothing and ends well, for a memory that is out of reach is no reason to stop a client.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from memstore.cli.options import agent_option, opened_house, scope_option, store_option
from memstore.cli.output import emit
from memstore.errors import MemStoreError, NotFound

EVENTS = ("session-start", "pre-compact")


def _for_the_model(event: str, text: str) -> dict[str, Any]:
    return {"hookSpecificOutput": {"hookEventName": event, "additionalContext": text}}


def _claude(event: str, text: str) -> dict[str, Any]:
    """Claude Code's form, which Codex and VS Code share: before a compaction only the person can be told."""
    return _for_the_model("SessionStart", text) if event == "session-start" else {"systemMessage": text}


def _cursor(event: str, text: str) -> dict[str, Any]:
    return {"additional_context" if event == "session-start" else "user_message": text}


# What each client reads from a hook's stdout.
ANSWERS: dict[str, Callable[[str, str], dict[str, Any]]] = {
    "claude-code": _claude,
    "codex": _claude,
    "vscode": _claude,
    "cursor": _cursor,
}


@click.command()
@click.option("--task", metavar="T", default="", help="The task to look at [all of the scope].")
@click.option("--client", type=click.Choice(list(ANSWERS)), help="Answer a hook of this client, in its form.")
@click.option("--event", type=click.Choice(EVENTS), default=EVENTS[0], show_default=True, help="The hook's event.")
@agent_option
@scope_option
@store_option
def brief(agent: str, scope: str, task: str, client: str | None, event: str) -> None:
    """Outline what stands: counts and ids, no stored words; session_start gives those.

    With --client it answers a hook: `memstore config CLIENT --hooks` prints the hooks that call it.
    """
    try:
        found = _outlined(agent, scope, task)
    except (MemStoreError, OSError) as error:
        if client is None:
            raise
        click.echo(str(error) if isinstance(error, MemStoreError) else "The store cannot be read.", err=True)
        return
    if client is None:
        emit(found)
        return
    text = _to_begin(found) if event == "session-start" else _to_compact(found)
    if text:
        click.echo(json.dumps(ANSWERS[client](event, text)))


def _outlined(agent: str, scope: str, task: str) -> dict[str, Any]:
    from memstore.outline import outline

    with opened_house() as house, house.store.read() as unit:
        principal = unit.view.principal(agent)
        if principal is None:
            raise NotFound("There is no such principal", code="unknown_principal", next_call="Run agent add first.")
        scope = scope or next(iter(principal.scopes), "")
        if scope not in principal.scopes:
            raise NotFound("There is no such scope for this principal", code="unknown_scope")
        told = outline(unit, principal, scope=scope, task=task)
    return {"agent": agent, "scope": scope, "task": task, **told}


def _to_begin(found: dict[str, Any]) -> str:
    """For the model at the start of a conversation, or after its context was compacted."""
    from memstore.outline import TOLD

    task = f"task={json.dumps(found['task'], ensure_ascii=False)}" if found["task"] else "the name of your task"
    there = ", ".join(f"{found[name]['count']} {name}" for name in TOLD)
    lines = [
        f"memstore, the memory that agents share, is connected; you are {found['agent']} in scope {found['scope']}.",
        f"Before anything else call session_start with {task} and read the brief that it gives.",
        f"In force here: {there}. Intent and constraints bind you; decisions stand until superseded.",
    ]
    if found["handoffs"]["count"]:
        lines.append(f"{found['handoffs']['count']} handoffs wait for you: call handoff_inbox.")
    return "\n".join(lines)


def _to_compact(found: dict[str, Any]) -> str:
    """For the person, before a conversation is cut down: whether what it knows is anywhere else."""
    session = found["session"]
    if not session:
        return f"memstore: {found['agent']} has no session open; what only this conversation knows is stored nowhere."
    saved = f"last checkpoint {session['checkpoint_at']}" if session["checkpoint_at"] else "no checkpoint yet"
    return f"memstore: {found['agent']} stored {session['records']} records in its open session, {saved}."
