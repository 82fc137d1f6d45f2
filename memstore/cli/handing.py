"""Handoffs and contracts on the command line: the verbs, and what only a person or the operator does (DESIGN 8)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from memstore.cli.arguments import MAX_JSON_BYTES, given, json_object, options_of
from memstore.cli.display import lines_of, plain, table
from memstore.cli.options import agent_option, opened_as, opened_house, scope_option, store_option
from memstore.cli.output import emit
from memstore.errors import InvalidInput
from memstore.requests import (
    HandoffInboxRequest,
    HandoffOfferRequest,
    HandoffReceiveRequest,
    HandoffRespondRequest,
    Request,
)

INBOX_COLUMNS = ("handoff", "type", "from", "to", "state", "hop", "attempts", "deadline", "why")
CONTRACT_COLUMNS = ("contract", "owner", "deprecated", "successor")


@click.group()
def handoff_command() -> None:
    """Handoffs: work that one agent gives to another, checked before it is acted on."""


@handoff_command.command("offer")
@options_of(HandoffOfferRequest)
@agent_option
@scope_option
@store_option
def offer(agent: str, scope: str, **_: Any) -> None:
    """Offer work to a principal, or to whoever has a capability.

    \b
    memstore handoff offer --agent ada --to lead --type report --output m-… \\
        --question none --caveat "seen twice only" --rejected none
    """
    _ask(HandoffOfferRequest, agent, scope, {})


@handoff_command.command("inbox")
@options_of(HandoffInboxRequest)
@agent_option
@scope_option
@store_option
def show_inbox(agent: str, scope: str, **_: Any) -> None:
    """List handoffs: what the agent is to take, what it sent, what nobody finished."""
    with opened_as(agent, scope) as memory:
        emit(memory.handoff_inbox(**given(HandoffInboxRequest)), _listed)


def _listed(answer: dict[str, Any]) -> Iterator[str]:
    yield from table(answer["items"], INBOX_COLUMNS)
    if answer["next_cursor"]:
        yield f"more: --cursor {answer['next_cursor']}"


@handoff_command.command("receive")
@click.argument("handoff", metavar="ID", required=False)
@options_of(HandoffReceiveRequest)
@agent_option
@scope_option
@store_option
def receive(agent: str, scope: str, handoff: str | None, **_: Any) -> None:
    """Check the handoff ID before anything is done for it; prints its problems, its records, and a receipt."""
    besides = {"handoff": handoff} if handoff else {}
    with opened_as(agent, scope) as memory:
        emit(memory.handoff_receive(**given(HandoffReceiveRequest, besides=besides)), _received)


@handoff_command.command("respond")
@click.argument("handoff", metavar="ID", required=False)
@options_of(HandoffRespondRequest)
@agent_option
@scope_option
@store_option
def respond(agent: str, scope: str, handoff: str | None, **_: Any) -> None:
    """Accept the handoff ID, ask back, reject, complete, fail or cancel it, or keep its lease.

    \b
    memstore handoff respond --agent ada --action accept --receipt h-… --acknowledge unverified_output h-…
    """
    _ask(HandoffRespondRequest, agent, scope, {"handoff": handoff} if handoff else {})


def _ask(model: type[Request], agent: str, scope: str, besides: dict[str, Any]) -> None:
    arguments = given(model, besides=besides)
    with opened_as(agent, scope) as memory:
        emit(getattr(memory, model.verb)(**arguments))


@handoff_command.command("show")
@click.argument("handoff", metavar="ID")
@click.option("--bundle", is_flag=True, help="Print what both sides signed, with proofs, to be verified offline.")
@click.option("--max-tokens", metavar="N", type=click.IntRange(100, 100_000), default=8000, help="How long it may be.")
@agent_option
@scope_option
@store_option
def show(agent: str, scope: str, handoff: str, bundle: bool, max_tokens: int) -> None:
    """Show the handoff ID to a person or to who has to do with it: what is proposed, what each answer leads to."""
    with opened_as(agent, scope) as memory:
        if bundle:
            emit(memory.handoff_bundle(handoff), lambda answer: [json.dumps(answer, indent=2)])
        else:
            emit(memory.handoff_show(handoff, max_tokens), _shown)


@handoff_command.command("approve")
@click.argument("handoff", metavar="ID")
@agent_option
@scope_option
@store_option
def approve(agent: str, scope: str, handoff: str) -> None:
    """Let the handoff ID go on, as a person: its receiver may take it."""
    with opened_as(agent, scope) as memory:
        emit(memory.handoff_decide(handoff, approved=True))


@handoff_command.command("deny")
@click.argument("handoff", metavar="ID")
@agent_option
@scope_option
@store_option
def deny(agent: str, scope: str, handoff: str) -> None:
    """End the handoff ID at its gate, as a person: nothing is done."""
    with opened_as(agent, scope) as memory:
        emit(memory.handoff_decide(handoff, approved=False))


@handoff_command.command("verify")
@click.argument("file", metavar="FILE")
@click.option("--store-id", metavar="ID", required=True, help="The id of the store that the bundle has to be from.")
def verify(file: str, store_id: str) -> None:
    """Verify the bundle in FILE offline, as `memstore verify-bundle` does: signatures, proofs and checkpoint."""
    from memstore.cli.exporting import verified_in

    emit(verified_in(file, store_id))


def _received(answer: dict[str, Any]) -> Iterator[str]:
    """The verdict first, then what is handed over."""
    outputs = answer["outputs"]
    yield from plain({name: value for name, value in answer.items() if name not in ("outputs", "mark", "note")})
    yield ""
    yield from lines_of({**outputs, "mark": answer.get("mark", ""), "note": answer.get("note", "")})


def _shown(answer: dict[str, Any]) -> Iterator[str]:
    yield from answer["summary"]
    yield ""
    if "title" in answer["decide"]:
        yield from lines_of({"records": [answer["decide"]], "quarantined": [], "missing": []})
    elif answer["decide"]:
        yield from plain({"decide": answer["decide"]})
    apart = ("summary", "decide", "payload", "mark")
    yield from plain({name: value for name, value in answer.items() if name not in apart})
    yield ""
    yield from _received({**answer["payload"], "mark": answer["mark"]})


@click.group()
def contract_command() -> None:
    """Contracts: the forms that outputs of a handoff have to have, as name@major.minor."""


@contract_command.command("add")
@click.argument("contract")
@click.argument("file")
@click.option("--owner", metavar="NAME", default="", help="Who answers for it [the operator].")
@store_option
def add(contract: str, file: str, owner: str) -> None:
    """Put CONTRACT (name@major.minor) on record: the JSON Schema in FILE. A version never changes."""
    from memstore import contracts

    form = _object_in(file, "FILE")
    with opened_house() as house:
        emit(contracts.add(house.store, house.key, house.operator(), contract, form, owner=owner))


@contract_command.command("list")
@store_option
def list_contracts() -> None:
    """List all contracts with their owners."""
    from memstore import contracts

    with opened_house() as house:
        emit({"contracts": contracts.listed(house.store)}, lambda answer: table(answer["contracts"], CONTRACT_COLUMNS))


@contract_command.command("deprecate")
@click.argument("contract")
@click.option("--successor", metavar="CONTRACT", default="", help="What to use instead.")
@store_option
def deprecate(contract: str, successor: str) -> None:
    """Take no new handoffs under CONTRACT; those that are open go on."""
    from memstore import contracts

    with opened_house() as house:
        emit(contracts.deprecate(house.store, house.key, house.operator(), contract, successor=successor))


def _object_in(file: str, where: str) -> dict[str, Any]:
    try:
        with Path(file).open("rb") as source:
            raw = source.read(MAX_JSON_BYTES).decode()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InvalidInput(f"{where} cannot be read", code="no_file") from error
    return json_object(raw, where)
