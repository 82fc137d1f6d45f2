"""Where agents come from: the stdio server beside one agent, and the demo."""

from __future__ import annotations

from typing import Any

import click

from memstore.cli.options import agent_option, named_store, scope_option, store_option


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
