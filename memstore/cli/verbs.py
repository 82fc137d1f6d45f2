"""The verbs of the facade as commands: the arguments of `memstore.requests` as options, the same answers (DESIGN 8).

All calls of an agent from here are one continuing context, so its mark goes on from call to call (T3).
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import click

from memstore.cli.arguments import given, options_of
from memstore.cli.display import table
from memstore.cli.options import agent_option, opened_as, opened_house, scope_option, store_option
from memstore.cli.orienting import brief
from memstore.cli.output import emit
from memstore.errors import InvalidInput, MemStoreError
from memstore.requests import (
    GetRequest,
    ObserveRequest,
    OpenRequest,
    Request,
    SearchRequest,
    SessionEndRequest,
    SessionStartRequest,
    WriteRequest,
)

SESSION_COLUMNS = ("session", "state", "principal", "task", "started_at", "expires_at")
MOST_SESSIONS = 10_000
CATCHES_UP = 1.0  # seconds


def _task_option(command: Any) -> Any:
    told = "The task it belongs to, where no session says it."
    return click.option("--task", metavar="T", default="", help=told)(command)


@click.command()
@options_of(WriteRequest)
@_task_option
@agent_option
@scope_option
@store_option
def write_command(agent: str, scope: str, task: str, **_: Any) -> None:
    """Store a record in the agent's own words: a decision, a finding, a constraint, and so on.

    \b
    memstore write --agent planner --kind decision --title "Use SQLite" \\
        --rationale "one file, many processes" --alternative "PostgreSQL: a server to run"
    """
    _store(WriteRequest, agent, scope, task)


@click.command()
@options_of(ObserveRequest)
@_task_option
@agent_option
@scope_option
@store_option
def observe_command(agent: str, scope: str, task: str, **_: Any) -> None:
    """Store what a tool or the outside said, word for word; content of the outside lowers the agent's mark.

    \b
    memstore observe --agent researcher --source tool:weather --content "12 °C" --ttl-seconds 600
    """
    _store(ObserveRequest, agent, scope, task)


def _store(model: type[Request], agent: str, scope: str, task: str) -> None:
    arguments = given(model)
    named = arguments.pop("task", "")
    if not isinstance(named, str):
        raise InvalidInput("`task` is not of its type", next_call="Expected: string.")
    with opened_as(agent, scope) as memory:
        call = memory.write_for if model is WriteRequest else memory.observe_for
        emit(call(task or named, **arguments))


@click.command()
@click.argument("words", nargs=-1)
@options_of(SearchRequest)
@agent_option
@scope_option
@store_option
def search_command(agent: str, scope: str, words: tuple[str, ...], **_: Any) -> None:
    """Find records by WORDS: what is trusted, what is attributed, and what is in quarantine, each by itself."""
    arguments = given(SearchRequest, besides={"query": " ".join(words)} if words else {})
    with opened_as(agent, scope) as memory:
        # No server may be running that embeds behind its clients: a few texts are caught up with here.
        late = time.monotonic() + CATCHES_UP
        with suppress(MemStoreError):  # whatever is wrong says so where it matters
            memory.embedding.drain(until=lambda: time.monotonic() >= late)
        emit(memory.search(**arguments))


@click.command()
@click.argument("ids", nargs=-1)
@options_of(GetRequest)
@agent_option
@scope_option
@store_option
def get_command(agent: str, scope: str, ids: tuple[str, ...], **_: Any) -> None:
    """Show the records IDS: ids, or key:NAME for the agent's own."""
    _ask(GetRequest, agent, scope, {"ids": list(ids)} if ids else {})


@click.command()
@click.argument("refs", nargs=-1)
@options_of(OpenRequest)
@agent_option
@scope_option
@store_option
def open_command(agent: str, scope: str, refs: tuple[str, ...], **_: Any) -> None:
    """Open the quarantined bodies behind REFS, escaped and datamarked; reading them lowers the agent's mark."""
    _ask(OpenRequest, agent, scope, {"refs": list(refs)} if refs else {})


def _ask(model: type[Request], agent: str, scope: str, besides: dict[str, Any]) -> None:
    arguments = given(model, besides=besides)
    with opened_as(agent, scope) as memory:
        emit(getattr(memory, model.verb)(**arguments))


@click.group()
def session_command() -> None:
    """Sessions: an agent's context at work on a task."""


session_command.add_command(brief)


@session_command.command("start")
@options_of(SessionStartRequest)
@agent_option
@store_option
def start(agent: str, **_: Any) -> None:
    """Start a session on a task; prints the brief of it."""
    _ask(SessionStartRequest, agent, "", {})


@session_command.command("end")
@options_of(SessionEndRequest)
@agent_option
@scope_option
@store_option
def end(agent: str, scope: str, **_: Any) -> None:
    """End a session: its hypotheses expire, those kept go on as questions, the summary becomes a finding."""
    _ask(SessionEndRequest, agent, scope, {})


@session_command.command("list")
@click.option("--scope", metavar="S", default="main", show_default=True, help="The scope whose sessions to list.")
@store_option
def list_sessions(scope: str) -> None:
    """List the sessions of a scope, newest first, with their state."""
    from memstore.render import timestamp

    with opened_house() as house, house.store.read() as unit:
        sessions = unit.records.sessions(scope, most=MOST_SESSIONS)
    found = [
        {
            "session": one.id,
            "state": "ended" if one.closed else "lapsed" if one.ended else "open",
            "principal": one.principal,
            "scope": one.scope,
            "task": one.task,
            "started_at": timestamp(one.started_at),
            "expires_at": timestamp(one.expires_at),
        }
        for one in sessions
    ]
    emit({"sessions": found}, lambda answer: table(answer["sessions"], SESSION_COLUMNS))


@session_command.command("reset")
@click.argument("name")
@click.option("--scope", metavar="S", default="", help="The scope to begin anew in [the principal's first].")
@click.option("--agent", metavar="NAME", default="", help="Who gives it: a person, or a lead above it [the operator].")
@store_option
def reset(name: str, scope: str, agent: str) -> None:
    """Give NAME a fresh context for its calls from the command line: its mark begins anew."""
    from memstore import admin

    with opened_house() as house:
        if not scope:
            with house.store.read() as unit:
                principal = unit.view.principal(name)
            scope = next(iter(principal.scopes), "") if principal else ""
        giver = None
        if agent:
            with house.store.read() as unit:
                epoch = unit.registry.epoch(agent, scope)
            giver = house.author(agent, f"cli/{agent}/{scope}/{epoch}")
        emit(admin.reset_context(house, name, scope, giver=giver))
