"""Making a store, registering principals and tools, and changing and withdrawing keys (DESIGN 8, T9).

Each command is one act of the operator, or two lines of one; the acts themselves stand in `memstore.admin`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from memstore.cli.display import table
from memstore.cli.options import (
    named_store,
    opened_as,
    opened_house,
    passphrase_for,
    store_folder,
    store_option,
    unprotected_option,
)
from memstore.cli.output import emit

AGENT_COLUMNS = ("name", "role", "under", "scopes", "open_world", "key", "keyid")
GRANT_COLUMNS = ("grant", "principal", "giver", "scopes", "ceiling", "expires_at", "state")
TOOL_COLUMNS = ("tool", "open_world", "max_ttl_seconds")


@click.command()
@unprotected_option
@store_option
def init_command(unprotected_key: bool) -> None:
    """Make a store: its database, its keys, a .gitignore, and the operator; prints {store_id, folder}.

    Asks for the passphrase of the operator's key.
    """
    from memstore.config import init_store, refuse_existing

    refuse_existing(store_folder())
    store_id = init_store(named_store(), passphrase=passphrase_for(unprotected=unprotected_key)())
    emit({"store_id": store_id, "folder": str(store_folder())})


@click.group()
def agent_command() -> None:
    """Register principals (agents, people, tools that sign), change their keys, withdraw them."""


def elsewhere_options(command: Callable[..., None]) -> Callable[..., None]:
    """The public half of a key that is beside its agent."""
    proof = click.option("--proof", metavar="P", help="With --public-key: the proof that was printed with it.")
    key = click.option("--public-key", metavar="K", help="Its key is elsewhere: what memstore key new printed.")
    return key(proof(command))


@agent_command.command("add")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(["worker", "lead", "human", "tool", "checker"]),
    default="worker",
    show_default=True,
    help="What the principal is; how far its words go follows from it.",
)
@click.option("--under", metavar="NAME", default="", help="The lead above it.")
@click.option("--open-world", is_flag=True, help="It reads the outside all the time: its words are tainted.")
@click.option("--scope", "scopes", metavar="S", multiple=True, help="A scope it works in [main]. May be repeated.")
@click.option("--team", metavar="T", default="", help="Its team.")
@click.option("--version", metavar="V", default="", help="The version of agent and model.")
@click.option("--capability", "capabilities", metavar="TAG", multiple=True, help="What it can do. May be repeated.")
@click.option("--accepts", metavar="CONTRACT", multiple=True, help="A contract it takes. May be repeated.")
@elsewhere_options
@unprotected_option
@store_option
def add(name: str, role: str, unprotected_key: bool, **about: Any) -> None:
    """Register NAME with a fresh key, which is written to the store's folder keys/.

    The key of a person is encrypted with a passphrase, asked for here. An agent that is elsewhere makes its own key
    (memstore key new), and only its public half is registered here.
    """
    from memstore import admin
    from memstore.core.statements import Role

    ask = passphrase_for(unprotected=unprotected_key)
    with opened_house() as house:
        emit(admin.add_agent(house, name, role=Role(role), new_passphrase=ask, **about))


@agent_command.command("list")
@store_option
def list_agents() -> None:
    """List all principals with the state of their keys."""
    from memstore import admin

    with opened_house() as house:
        emit({"agents": admin.list_agents(house)}, lambda answer: table(answer["agents"], AGENT_COLUMNS))


@agent_command.command("rotate")
@click.argument("name")
@unprotected_option
@store_option
def rotate(name: str, unprotected_key: bool) -> None:
    """Give NAME a new key, signed for by the old one."""
    _replace_key(name, "rotated", unprotected_key=unprotected_key)


@agent_command.command("rekey")
@click.argument("name")
@elsewhere_options
@unprotected_option
@store_option
def rekey(name: str, unprotected_key: bool, **elsewhere: str | None) -> None:
    """Give NAME a new key where the old one is lost, signed for by the operator.

    An agent that is elsewhere makes it there (memstore key new), as it did the first one.
    """
    _replace_key(name, "rekeyed", unprotected_key=unprotected_key, **elsewhere)


def _replace_key(name: str, action: str, *, unprotected_key: bool, **elsewhere: str | None) -> None:
    from memstore import admin
    from memstore.core.statements import KeyAction

    ask = passphrase_for(unprotected=unprotected_key)
    with opened_house() as house:
        emit(admin.replace_key(house, name, KeyAction(action), new_passphrase=ask, **elsewhere))


@agent_command.command("retire")
@click.argument("name")
@store_option
def retire(name: str) -> None:
    """Take NAME's key out of use; what it signed stands."""
    from memstore import admin

    with opened_house() as house:
        emit(admin.retire(house, name))


@agent_command.command("compromise")
@click.argument("name")
@click.option(
    "--since", metavar="SEQ", type=int, required=True, help="The log position from which on its acts are void."
)
@store_option
def compromise(name: str, since: int) -> None:
    """Void all that NAME signed from a log position on; lists what fell and what rests on it."""
    from memstore import admin

    with opened_house() as house:
        emit(admin.compromise(house, name, since))


@agent_command.command("grant")
@click.argument("name")
@click.option("--agent", metavar="NAME", default="", help="Who gives it: a person, or a lead above it [the operator].")
@click.option("--scope", "scopes", metavar="S", multiple=True, help="A scope it is for [all of NAME's].")
@click.option(
    "--ceiling", type=click.Choice(["tainted", "attributed", "trusted"]), default=None, help="How far its words go."
)
@click.option("--ttl", metavar="SECONDS", type=int, default=86_400, show_default=True, help="How long it stands.")
@click.option("--depth", metavar="N", type=int, default=0, show_default=True, help="How often it is passed on.")
@store_option
def grant(name: str, agent: str, scopes: tuple[str, ...], ceiling: str | None, ttl: int, depth: int) -> None:
    """Give NAME one fresh context, for one launch of `memstore mcp --require-grant`."""
    bounds: dict[str, Any] = {"scopes": scopes, "ceiling": ceiling or "", "ttl_seconds": ttl, "depth": depth}
    if agent:
        with opened_as(agent) as memory:
            emit(memory.grant(name, **bounds))
        return
    from memstore import grants

    with opened_house() as house:
        emit(grants.give(house.store, house.key, house.operator(), name, **bounds))


@agent_command.command("revoke")
@click.argument("grant")
@click.option("--agent", metavar="NAME", default="", help="Who revokes it [the operator].")
@store_option
def revoke(grant: str, agent: str) -> None:
    """Revoke GRANT and all that were given under it; what was written under them stands."""
    if agent:
        with opened_as(agent) as memory:
            emit(memory.revoke(grant))
        return
    from memstore import grants

    with opened_house() as house:
        emit(grants.revoke(house.store, house.key, house.operator(), grant))


@agent_command.command("grants")
@click.argument("name", required=False, default="")
@store_option
def list_grants(name: str) -> None:
    """List grants, those of NAME or all, with what became of each."""
    from memstore import grants

    with opened_house() as house:
        emit({"grants": grants.listed(house.store, name)}, lambda answer: table(answer["grants"], GRANT_COLUMNS))


@click.group()
def tool_command() -> None:
    """Register tools: the result of one that is not registered is tainted."""


@tool_command.command("add")
@click.argument("name")
@click.option("--open-world", is_flag=True, help="Its results may hold anything: they are untrusted.")
@click.option("--max-ttl", metavar="S", type=int, default=0, help="How many seconds its results may live at most.")
@store_option
def add_tool(name: str, open_world: bool, max_ttl: int) -> None:
    """Register the tool NAME; one that ends in * stands for all whose names begin so."""
    from memstore import admin

    with opened_house() as house:
        emit(admin.add_tool(house, name, open_world=open_world, max_ttl=max_ttl))


@tool_command.command("list")
@store_option
def list_tools() -> None:
    """List all registered tools."""
    with opened_house() as house, house.store.read() as unit:
        tools = unit.registry.tools()
    found = [{"tool": t.pattern, "open_world": t.open_world, "max_ttl_seconds": t.max_ttl_seconds} for t in tools]
    emit({"tools": found}, lambda answer: table(answer["tools"], TOOL_COLUMNS))
