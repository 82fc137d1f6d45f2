"""`python -m mcp_server --agent NAME [--store DIR] [--scope S] …`: the stdio server beside one agent.

It ends with status 0 when stdin closes, 130 when interrupted; a store that cannot be opened is said on stderr, with the
exit status of the error's family.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mcp_server.caller import of_stdio
from memstore.errors import MemStoreError

INTERRUPTED = 130


def serve_stdio(
    *,
    agent: str,
    store: str | Path | None = None,
    scope: str = "",
    require_grant: bool = False,
    lockdown: bool = False,
    tools: str = "all",
    read_only: bool = False,
) -> int:
    """Serve one client on stdin and stdout until it is gone; the exit status. Takes both streams of the process."""
    try:
        opened = of_stdio(agent=agent, store=store, scope=scope, require_grant=require_grant, lockdown=lockdown)
    except MemStoreError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    # Half a second of imports, after what may fail and after what may ask for a passphrase.
    from mcp_server import stdio

    with opened:
        try:
            stdio.run(opened, tools=tools, read_only=read_only)
        except KeyboardInterrupt:
            return INTERRUPTED
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="mcp_server", description="memstore over MCP on stdin and stdout.")
    parser.add_argument("--agent", required=True, metavar="NAME", help="the principal that calls; its key must be here")
    parser.add_argument("--store", metavar="DIR", help="the store's folder (default: MEMSTORE_STORE, else ./.memstore)")
    parser.add_argument("--scope", default="", metavar="S", help="the scope to work in (default: the agent's first)")
    parser.add_argument("--require-grant", action="store_true", help="serve only in a context given to this agent")
    parser.add_argument("--lockdown", action="store_true", help="open nothing that is quarantined")
    parser.add_argument("--tools", choices=("core", "review", "all"), default="all", help="which tools to offer")
    parser.add_argument("--read-only", action="store_true", help="offer only tools that change nothing")
    given = parser.parse_args(arguments)
    return serve_stdio(**vars(given))


if __name__ == "__main__":
    sys.exit(main())
