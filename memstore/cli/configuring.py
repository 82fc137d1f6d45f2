"""`memstore config`: what each MCP client wants in its files to have memstore beside it (docs/CLIENTS.md).

A configuration names absolute paths only and holds no secret: an agent's key stays in the store's folder, a token in
the environment or with the client. The forms are those that the clients document; another client is another row of
`CLIENTS`.
"""

from __future__ import annotations

import json
import shlex
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from memstore.cli.options import agent_option, opened_house, scope_option, store_folder, store_option
from memstore.cli.orienting import EVENTS
from memstore.cli.output import as_json, is_terminal
from memstore.errors import InvalidInput, NotFound

SERVER = "memstore"
TOKEN = "MEMSTORE_TOKEN"
HOOK_SECONDS = 10  # a client waits for it before its first answer
# Where a conversation begins or goes on without what it knew.
BEGINNINGS = "startup|resume|clear|compact"

SNIPPET = """\
## Shared memory

This project has a memory that agents share: the MCP server `memstore`.

- Before anything else call `session_start` with the name of the task and read the brief: its intent and constraints
  bind you, its decisions stand until superseded. Do so again after your context was compacted.
- Search it (`memory_search`) before you decide or look something up. What is under `quarantined` is never relied on.
- Write conclusions down when you reach them (`memory_write`), with reasons and alternatives; what tools and pages said
  goes to `memory_observe`. Write a `checkpoint` before a long step.
- End with `session_end` and the honest outcome.
"""


@dataclass(frozen=True, slots=True)
class Client:
    """How one client is configured: `local` from a command, `remote` from a URL, `hooks` from the two hooks' commands.

    Each gives the text of a file; `place` and `hooks_place` say which. None is what a client does not have.
    """

    place: str
    local: Callable[[list[str]], str]
    remote: Callable[[str], str] | None
    hooks_place: str
    hooks: Callable[[str, str], str] | None
    snippet_place: str


def _json(name: str, settings: dict[str, Any], **besides: Any) -> str:
    return as_json({name: {SERVER: settings}, **besides})


def _started(command: list[str], *, typed: bool) -> dict[str, Any]:
    """A server that the client starts; `typed` names the transport, which some clients insist on."""
    return {**({"type": "stdio"} if typed else {}), "command": command[0], "args": command[1:]}


def _bearer(variable: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {variable}"}


def _vscode_remote(url: str) -> str:
    """VS Code asks for the token once and keeps it where it keeps secrets."""
    asked = {"type": "promptString", "id": "memstore-token", "description": "memstore token", "password": True}
    settings = {"type": "http", "url": url, "headers": _bearer("${input:memstore-token}")}
    return _json("servers", settings, inputs=[asked])


def _toml(text: str | list[str]) -> str:
    """A TOML value; its basic strings are written as JSON writes them."""
    return json.dumps(text) if isinstance(text, str) else "[" + ", ".join(map(_toml, text)) + "]"


def _codex_local(command: list[str]) -> str:
    return f"[mcp_servers.{SERVER}]\ncommand = {_toml(command[0])}\nargs = {_toml(command[1:])}"


def _codex_remote(url: str) -> str:
    return f"[mcp_servers.{SERVER}]\nurl = {_toml(url)}\nbearer_token_env_var = {_toml(TOKEN)}"


def _codex_hooks(start: str, compact: str) -> str:
    tables = []
    for event, matcher, command in (("SessionStart", BEGINNINGS, start), ("PreCompact", "", compact)):
        head = f"[[hooks.{event}]]\n" + (f"matcher = {_toml(matcher)}\n" if matcher else "")
        hook = f'type = "command"\ncommand = {_toml(command)}\ntimeout = {HOOK_SECONDS}'
        tables.append(f"{head}\n[[hooks.{event}.hooks]]\n{hook}")
    return "\n\n".join(tables)


def _hook(command: str) -> dict[str, Any]:
    return {"type": "command", "command": command, "timeout": HOOK_SECONDS}


def _claude_hooks(start: str, compact: str) -> str:
    begins = [{"matcher": BEGINNINGS, "hooks": [_hook(start)]}]
    return as_json({"hooks": {"SessionStart": begins, "PreCompact": [{"hooks": [_hook(compact)]}]}})


def _vscode_hooks(start: str, compact: str) -> str:
    return as_json({"hooks": {"SessionStart": [_hook(start)], "PreCompact": [_hook(compact)]}})


def _cursor_hooks(start: str, compact: str) -> str:
    told = {"sessionStart": start, "preCompact": compact}
    hooks = {event: [{"command": command, "timeout": HOOK_SECONDS}] for event, command in told.items()}
    return as_json({"version": 1, "hooks": hooks})


CLIENTS = {
    "claude-code": Client(
        place=".mcp.json",
        local=lambda command: _json("mcpServers", _started(command, typed=True)),
        remote=lambda url: _json("mcpServers", {"type": "http", "url": url, "headers": _bearer(f"${{{TOKEN}}}")}),
        hooks_place=".claude/settings.json",
        hooks=_claude_hooks,
        snippet_place="CLAUDE.md",
    ),
    "claude-desktop": Client(
        place="claude_desktop_config.json",
        local=lambda command: _json("mcpServers", _started(command, typed=False)),
        remote=None,
        hooks_place="",
        hooks=None,
        snippet_place="the project's instructions",
    ),
    "cursor": Client(
        place=".cursor/mcp.json",
        local=lambda command: _json("mcpServers", _started(command, typed=True)),
        remote=lambda url: _json("mcpServers", {"url": url, "headers": _bearer(f"${{env:{TOKEN}}}")}),
        hooks_place=".cursor/hooks.json",
        hooks=_cursor_hooks,
        snippet_place="AGENTS.md",
    ),
    "vscode": Client(
        place=".vscode/mcp.json",
        local=lambda command: _json("servers", _started(command, typed=True)),
        remote=_vscode_remote,
        hooks_place=".github/hooks/memstore.json",
        hooks=_vscode_hooks,
        snippet_place="AGENTS.md",
    ),
    "codex": Client(
        place="~/.codex/config.toml",
        local=_codex_local,
        remote=_codex_remote,
        hooks_place="~/.codex/config.toml",
        hooks=_codex_hooks,
        snippet_place="AGENTS.md",
    ),
}


@click.command()
@click.argument("client", type=click.Choice(list(CLIENTS)))
@agent_option
@scope_option
@click.option("--task", metavar="T", default="", help="The task that hooks name to the agent.")
@click.option("--url", metavar="URL", default="", help="Have a bridge talk to the memstore server there.")
@click.option("--key", metavar="FILE", default="", help="With --url: the agent's key [keys/NAME.key of the store].")
@click.option("--store-id", metavar="ID", default="", help="With --url: the store [as the key was made for].")
@click.option("--ca", metavar="FILE", default="", help="With --url: certificates (PEM) that vouch for the server.")
@click.option("--http", metavar="URL", default="", help="Have the client itself talk to it, with a token.")
@click.option("--hooks", is_flag=True, help="Print hooks too, and a text for AGENTS.md or CLAUDE.md.")
@store_option
def config_command(
    client: str, agent: str, scope: str, task: str, url: str, http: str, hooks: bool, **bridge: str
) -> None:
    """Print what CLIENT wants in its configuration, to have memstore beside it as this agent.

    The configuration alone goes to stdout; on a terminal, where to put it goes to stderr. With --hooks there are
    several files, each under a line `==> FILE <==`.
    """
    form = CLIENTS[client]
    written = _configured(client, form, agent, scope, url, http, bridge)
    if not hooks:
        click.echo(written)
        if is_terminal(sys.stderr):
            click.echo(f"This belongs into {form.place}; docs/CLIENTS.md says more.", err=True)
        return
    files = {form.place: written}
    if form.hooks and not (url or http):
        start, compact = (_hook_command(client, agent, scope, task, event) for event in EVENTS)
        told = form.hooks(start, compact)
        files[form.hooks_place] = f"{written}\n\n{told}" if form.hooks_place == form.place else told
    else:
        why = "Without a store here a hook has nothing to read" if form.hooks else "This client has no hooks"
        click.echo(f"{why}: the text alone tells the agent to begin from a brief.", err=True)
    files[form.snippet_place] = SNIPPET
    click.echo("\n\n".join(f"==> {place} <==\n{text.rstrip()}" for place, text in files.items()))


def _configured(client: str, form: Client, agent: str, scope: str, url: str, http: str, bridge: dict[str, str]) -> str:
    if any(bridge.values()) and not url:
        raise InvalidInput("--key, --store-id and --ca are of a bridge", next_call="Name its server by --url.")
    if url and http:
        raise InvalidInput("--url and --http exclude each other", next_call="Take --url for a bridge.")
    if http:
        if form.remote is None:
            raise InvalidInput(f"{client} takes no server with a token", next_call="Use --url: a bridge does.")
        return form.remote(_checked(http))
    if not url:
        with opened_house() as house, house.store.read() as unit:
            if unit.view.principal(agent) is None:
                raise NotFound("There is no such principal", code="unknown_principal", next_call="Run agent add first.")
    arguments = ["mcp", "--agent", agent]
    arguments += [] if bridge["key"] else ["--store", str(store_folder())]
    arguments += ["--scope", scope] if scope else []
    for name, value in bridge.items():
        path = str(Path(value).expanduser().absolute()) if name != "store_id" else value
        arguments += [f"--{name.replace('_', '-')}", path] if value else []
    arguments += ["--url", _checked(url)] if url else []
    return form.local([*_launched(), *arguments])


def _checked(url: str) -> str:
    """A URL of a server, without a secret in it: configurations are committed."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
        parts = urlsplit("")
    if not good or parts.username or parts.password or parts.query or parts.fragment:
        raise InvalidInput(
            "The address is no plain http or https URL",
            next_call="Pass one like https://memory.example/mcp, without name, token or query.",
        )
    return url


def _hook_command(client: str, agent: str, scope: str, task: str, event: str) -> str:
    """What a client's shell runs."""
    words = [*_launched(), "session", "brief", "--agent", agent, "--store", str(store_folder())]
    words += ["--scope", scope] if scope else []
    words += ["--task", task] if task else []
    return shlex.join([*words, "--client", client, "--event", event])


def _launched() -> list[str]:
    """How a client starts memstore: the script of this installation, by its whole path."""
    script = Path(sysconfig.get_path("scripts")) / "memstore"
    if script.is_file():
        return [str(script)]
    # -P: the client's folder, where anybody's files lie, is not searched for modules.
    return [sys.executable, "-P", "-m", "memstore"]
