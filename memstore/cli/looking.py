"""Looking back: `history`, `why`, `blame`, `impact`. Without an agent it is the operator who looks, with its key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from memstore.cli.arguments import given, options_of
from memstore.cli.options import F, opened_as, opened_house, store_option
from memstore.cli.output import Lines, emit
from memstore.errors import InvalidInput, NotFound
from memstore.requests import HistoryRequest


def _looker(command: F) -> F:
    """The options that say who looks, and where."""
    told = "The scope to look at [the agent's first; the operator's: main]."
    command = click.option("--scope", metavar="S", default="", help=told)(command)
    return click.option("--agent", metavar="NAME", default="", help="Who looks [the operator, whose key is needed].")(
        command
    )


@click.command()
@options_of(HistoryRequest)
@click.option("--delta", metavar="A..B", default="", help="What changed from A to B: positions, times or handoffs.")
@_looker
@store_option
def history_command(agent: str, scope: str, delta: str, **_: Any) -> None:
    """Show what happened, oldest first: records, reviews, handoffs, sessions, and the gaps between.

    \b
    memstore history --task retry --agent coder
    memstore history --delta 120..h-6ivnwaxwfaxmqvlhocsm23k7jm
    """
    arguments = given(HistoryRequest)
    if delta:
        start, dots, end = delta.partition("..")
        if not dots or not start or not end:
            raise InvalidInput("--delta is not of the form A..B", next_call="Give two positions, times or handoffs.")
        if arguments.keys() - {"max_tokens"}:
            raise InvalidInput("--delta is of all records of a scope", next_call="Leave the other options out.")
        _answered(agent, scope, lambda one: one.delta(start, end, **arguments))
        return
    lines = _lines_of(arguments.get("view", "timeline"))
    _answered(agent, scope, lambda one: one.history(**arguments), lines)


def _view(name: str, told: str) -> click.Command:
    """A command for one view of one record."""

    @click.command(name, help=told)
    @click.argument("record", metavar="ID")
    @click.option("--as-of", metavar="TIME|SEQ", default="", help="As things stood at this time or log position.")
    @click.option("--limit", metavar="N", type=click.IntRange(1, 500), default=20, show_default=True, help="How many.")
    @click.option("--cursor", metavar="TEXT", default="", help="Go on from an answer's next_cursor.")
    @click.option(
        "--max-tokens", type=click.IntRange(100, 100_000), default=20_000, show_default=True, help="How long at most."
    )
    @_looker
    @store_option
    def command(record: str, agent: str, scope: str, **asked: Any) -> None:
        _answered(agent, scope, lambda one: one.history(id=record, view=name, **asked), _lines_of(name))

    return command


why_command = _view(
    "why", "Say why a record is labelled and shown as it is, and what would change that. ID may be its beginning."
)
blame_command = _view("blame", "Walk back from a record to where it came in. ID may be its beginning.")
impact_command = _view("impact", "Show what rests on a record, and what was written after it was seen.")


def _lines_of(view: str) -> Lines | None:
    from memstore.cli.tracing import explained, traced

    return {"why": explained, "blame": traced, "impact": traced}.get(view)


class _Operator:
    """The operator as it looks at one scope."""

    def __init__(self, house: Any, caller: Any) -> None:
        self._store = house.store
        self._caller = caller

    def history(self, **arguments: Any) -> dict[str, Any]:
        from memstore.history import history

        return history(self._store, self._caller, HistoryRequest.parse(arguments))

    def delta(self, start: str, end: str, **most: int) -> dict[str, Any]:
        from memstore.delta import delta

        return delta(self._store, self._caller, start, end, **most)


def _answered(agent: str, scope: str, ask: Callable[[Any], dict[str, Any]], lines: Lines | None = None) -> None:
    if agent:
        with opened_as(agent, scope) as memory:
            emit(ask(memory), lines)
        return
    from memstore.admin import DEFAULT_SCOPE, OPERATOR_LAUNCH
    from memstore.core.statements import OPERATOR_NAME
    from memstore.serving import Caller

    with opened_house() as house:
        with house.store.read() as unit:
            operator, copied = unit.view.principal(OPERATOR_NAME), unit.log.head().copied
        if copied:
            raise InvalidInput(
                "A copy has no operator's key", code="missing_field", next_call="Pass --agent and a person's name."
            )
        if operator is None:
            raise NotFound("This store has no operator", code="unknown_principal", next_call="Run log verify.")
        scope = scope or DEFAULT_SCOPE
        # A launch has one scope; the operator's may look at each.
        author = house.author(OPERATOR_NAME, f"{OPERATOR_LAUNCH}/{scope}")
        emit(ask(_Operator(house, Caller(author, operator, scope))), lines)
