"""Where agents come from: the configuration of MCP clients, the stdio server beside one agent, and the demo.

A configuration names absolute paths only and holds no secret; the key stays in the store's folder.
"""

from __future__ import annotations

import json
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from memstore.cli.options import agent_option, named_store, opened_house, scope_option, store_folder, store_option
from memstore.cli.output import as_json, is_terminal
from memstore.errors import NotFound

SERVER = "memstore"


def _servers(name: str, settings: dict[str, Any]) -> str:
    return as_json({name: {SERVER: settings}})


def _json_of(key: str, *, typed: bool) -> Callable[[str, list[str]], str]:
    """The servers under `key`, in JSON; `typed` names the transport, which some clients insist on."""

    def written(command: str, arguments: list[str]) -> str:
        head = {"type": "stdio"} if typed else {}
        return _servers(key, {**head, "command": command, "args": arguments})

    return written


def _toml(command: str, arguments: list[str]) -> str:
    """A TOML table; its basic strings are written as JSON writes them."""
    told = ", ".join(json.dumps(argument) for argument in arguments)
    return f"[mcp_servers.{SERVER}]\ncommand = {json.dumps(command)}\nargs = [{told}]"


CLIENTS: dict[str, tuple[Callable[[str, list[str]], str], str]] = {
    "claude-code": (_json_of("mcpServers", typed=True), ".mcp.json at the root of the project"),
    "claude-desktop": (
        _json_of("mcpServers", typed=False),
        "claude_desktop_config.json (Settings, Developer, Edit Config); then restart it",
    ),
    "cursor": (_json_of("mcpServers", typed=True), ".cursor/mcp.json in the project, or ~/.cursor/mcp.json"),
    "vscode": (_json_of("servers", typed=True), ".vscode/mcp.json in the workspace"),
    "codex": (_toml, "~/.codex/config.toml, or .codex/config.toml in a project that Codex trusts"),
}


@click.command()
@click.argument("client", type=click.Choice(list(CLIENTS)))
@agent_option
@scope_option
@store_option
def config_command(client: str, agent: str, scope: str) -> None:
    """Print what CLIENT wants in its configuration, to have memstore beside it as this agent.

    The configuration alone goes to stdout; on a terminal, where to put it goes to stderr.
    """
    with opened_house() as house, house.store.read() as unit:
        if unit.view.principal(agent) is None:
            raise NotFound("There is no such principal", code="unknown_principal", next_call="Run agent add first.")
    written, place = CLIENTS[client]
    command, *arguments = _launched()
    arguments += ["mcp", "--agent", agent, "--store", str(store_folder())]
    arguments += ["--scope", scope] if scope else []
    click.echo(written(command, arguments))
    if is_terminal(sys.stderr):
        click.echo(f"This belongs into {place}.", err=True)


def _launched() -> list[str]:
    """How a client starts memstore: the script of this installation, by its whole path."""
    script = Path(sysconfig.get_path("scripts")) / "memstore"
    if script.is_file():
        return [str(script)]
    # -P: the client's folder, where anybody's files lie, is not searched for modules.
    return [sys.executable, "-P", "-m", "memstore"]


@click.command()
@agent_option
@scope_option
@click.option("--require-grant", is_flag=True, help="Serve only in a fresh context given to this agent, once each.")
@click.option("--lockdown", is_flag=True, help="Open nothing that is quarantined.")
@click.option(
    "--tools",
    type=click.Choice(["core", "review", "all"]),
    default="all",
    help="core: sessions, writing, finding; review: and judging, history; all: and handoffs.",
)
@click.option("--read-only", is_flag=True, help="Offer only the tools that change nothing.")
@click.option("--url", metavar="URL", default="", help="Be a bridge to the memstore serve at URL, with the key here.")
@click.option("--key", metavar="FILE", default="", help="With --url: the agent's key [keys/NAME.key of the store].")
@click.option("--store-id", metavar="ID", default="", help="With --url: the store [as the key was made for].")
@click.option("--ca", metavar="FILE", default="", help="With --url: certificates (PEM) that vouch for the server.")
@click.option("--insecure-http", is_flag=True, help="With --url: talk to another machine unencrypted.")
@store_option
def mcp_command(**given: Any) -> None:
    """Serve one agent over stdio, until stdin closes. MCP clients start this; see `memstore config`.

    With --url the store is behind a server: each statement is checked and signed here, and the key never leaves.
    """
    from mcp_server.__main__ import serve_stdio

    status = serve_stdio(store=named_store(), **given)
    click.get_current_context().exit(status)


@click.command()
def demo_command() -> None:
    """Watch three agents share a memory, in a store of its own that is gone afterwards."""
    from memstore.demo import run

    run()
