"""Reviewing and retracting from the command line: for people above all, and for the operator (DESIGN 8, T6, T7).

A person reads a record whole before it reviews it: `get`, or `open` for what is quarantined, in the same continuing
context. Without an agent it is the operator who retracts, or who looks at what waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from memstore.cli.arguments import MAX_JSON_BYTES, given, json_object, options_of
from memstore.cli.display import plain, table
from memstore.cli.options import opened_as, opened_house, scope_option, store_option
from memstore.cli.output import emit
from memstore.errors import InvalidInput, NotFound
from memstore.requests import RetractRequest, ReviewRequest

WAITING_COLUMNS = ("id", "kind", "author", "label", "status", "admitted", "needs", "raises")
AFFECTED_COLUMNS = ("id", "kind", "author", "label", "status", "effect")


def _perhaps_agent(command: Any) -> Any:
    told = "Who acts: a principal whose key is here [the operator, whose key is needed]."
    return click.option("--agent", metavar="NAME", default="", help=told)(command)


@click.command()
@click.argument("ids", nargs=-1)
@options_of(ReviewRequest)
@click.option("--queue", "queued", is_flag=True, help="List what waits for a review, and what each would raise.")
@click.option("--checker", metavar="typed", default="", help="Have the built-in checker do it, by --contract.")
@click.option("--contract", metavar="FILE", default="", help="A JSON Schema of closed types, for --checker typed.")
@_perhaps_agent
@scope_option
@store_option
def review_command(agent: str, scope: str, ids: tuple[str, ...], queued: bool, **given_too: Any) -> None:
    """Endorse or dispute the records IDS, each read whole before: with get, or open where it is quarantined.

    \b
    memstore review --agent ann --verdict endorse m-…
    memstore review --queue
    memstore review --checker typed --contract FILE m-…
    """
    checker, contract = given_too["checker"], given_too["contract"]
    if queued:
        _show_queue(agent, scope)
    elif checker or contract:
        if checker != "typed" or not contract:
            raise InvalidInput("The built-in checker is `typed`, and needs --contract", code="missing_field")
        with opened_as(checker, scope) as memory:
            emit(memory.check_typed(list(ids), _contract_in(contract)))
    else:
        if not agent:
            raise InvalidInput("--agent is missing: the operator reviews nothing", code="missing_field")
        arguments = given(ReviewRequest, besides={"ids": list(ids)} if ids else {})
        with opened_as(agent, scope) as memory:
            emit(memory.review(**arguments))


def _contract_in(file: str) -> dict[str, Any]:
    try:
        raw = Path(file).read_bytes()[:MAX_JSON_BYTES].decode()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InvalidInput("--contract names no file that can be read", code="no_file") from error
    return json_object(raw, "--contract")


def _show_queue(agent: str, scope: str) -> None:
    if agent:
        with opened_as(agent, scope) as memory:
            emit(memory.queue(), _waiting)
        return
    from memstore import queue

    with opened_house() as house:
        emit(queue.queue(house.store, scope), _waiting)


def _waiting(answer: dict[str, Any]) -> Iterator[str]:
    yield from table(answer["waiting"], WAITING_COLUMNS)
    yield from ([answer["note"]] if answer["note"] else [])


@click.command()
@click.argument("record", metavar="ID", required=False)
@options_of(RetractRequest)
@_perhaps_agent
@scope_option
@store_option
def retract_command(agent: str, scope: str, record: str | None, **_: Any) -> None:
    """Withdraw the record ID for good; lists all that it reaches. --dry-run shows that and changes nothing.

    \b
    memstore retract --agent lead --reason poisoned --dry-run m-…
    """
    arguments = given(RetractRequest, besides={"id": record} if record else {})
    if agent:
        with opened_as(agent, scope) as memory:
            emit(memory.retract(**arguments), _affected)
        return
    from memstore import reviewing
    from memstore.admin import OPERATOR_LAUNCH
    from memstore.core.statements import OPERATOR_NAME
    from memstore.serving import Caller

    request = RetractRequest.parse(arguments)
    with opened_house() as house:
        with house.store.read() as unit:
            operator, state = unit.view.principal(OPERATOR_NAME), unit.view.record(request.id)
        if operator is None or state is None:
            raise NotFound("There is no record of this id", code="unknown_id", next_call="Copy the id from an answer.")
        caller = Caller(house.author(OPERATOR_NAME, OPERATOR_LAUNCH), operator, state.scope)
        emit(reviewing.retract(house.store, house.key, caller, request), _affected)


def _affected(answer: dict[str, Any]) -> Iterator[str]:
    yield from plain({name: value for name, value in answer.items() if name != "affected"})
    yield from table(answer["affected"], AFFECTED_COLUMNS)
