"""`python -m mcp_server --agent NAME [--store DIR] [--url URL] …`: the stdio server beside one agent.

It ends with status 0 when stdin closes, 130 when interrupted; a store that cannot be opened is said on stderr, with the
exit status of the error's family.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_server.caller import of_bridge, of_stdio
from memstore.errors import InvalidInput, MemStoreError

if TYPE_CHECKING:
    from mcp_server.tools import Serving

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
    url: str = "",
    **link: Any,
) -> int:
    """Serve one client on stdin and stdout until it is gone; the exit status. Takes both streams of the process.

    With `url` the store is behind that server, and `link` says how it is reached (`caller.of_bridge`).
    """
    about: dict[str, Any] = {"agent": agent, "store": store, "scope": scope}
    about |= {"require_grant": require_grant, "lockdown": lockdown}
    try:
        if any(link.values()) and not url:
            raise InvalidInput("These options go with a server's address", next_call="Pass --url as well.")
        opened: AbstractContextManager[Serving] = of_bridge(url, **about, **link) if url else of_stdio(**about)
    except MemStoreError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    # Half a second of imports, after what may fail and after what may ask for a passphrase.
    from mcp_server import stdio

    with opened as store_here:
        try:
            stdio.run(store_here, tools=tools, read_only=read_only)
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
    parser.add_argument("--url", default="", metavar="URL", help="be a bridge to the memstore serve at URL")
    parser.add_argument("--key", default="", metavar="FILE", help="with --url: the agent's key (default: in the store)")
    parser.add_argument("--store-id", default="", metavar="ID", help="with --url: the store that is signed for")
    parser.add_argument("--ca", default="", metavar="FILE", help="with --url: certificates that vouch for the server")
    parser.add_argument("--insecure-http", action="store_true", help="with --url: unencrypted to another machine")
    given = parser.parse_args(arguments)
    return serve_stdio(**vars(given))


if __name__ == "__main__":
    sys.exit(main())
