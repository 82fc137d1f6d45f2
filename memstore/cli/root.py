"""The command `memstore`: which commands there are, each imported when it is called, and how each of them may end.

Every end has one status: that of the refusal's family, 2 for a call that cannot be read, 70 for a defect of ours, 130
after Ctrl-C. No traceback is shown, and no message repeats what was stored.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from traceback import walk_tb
from typing import Any

import click

from memstore.cli.options import store_option
from memstore.errors import InternalError, MemStoreError, StoreUnavailable

INTERRUPTED = 130
ENDED = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A command that is not imported yet: where it is, under which heading it stands, and what it does in one line."""

    module: str
    section: str
    summary: str


_SET_UP, _AGENTS, _BACK, _CARE = "Set up", "As an agent", "Look back", "Look after a store"
COMMANDS = {
    "init": Entry("setting_up", _SET_UP, "Make a store: database, keys, operator."),
    "agent": Entry("setting_up", _SET_UP, "Register principals, change and withdraw their keys."),
    "key": Entry("keys", _SET_UP, "Make the key of an agent that is elsewhere."),
    "tool": Entry("setting_up", _SET_UP, "Register tools whose results agents observe."),
    "serve": Entry("serving", _SET_UP, "Serve a team over HTTP, as an MCP server."),
    "token": Entry("serving", _SET_UP, "Tokens that agents show to the HTTP server."),
    "config": Entry("configuring", _SET_UP, "Print the configuration that an MCP client wants."),
    "mcp": Entry("clients", _SET_UP, "Serve one agent over stdio, as an MCP server."),
    "demo": Entry("clients", _SET_UP, "Watch three agents share a memory."),
    "write": Entry("verbs", _AGENTS, "Store a record in the agent's own words."),
    "observe": Entry("verbs", _AGENTS, "Store what a tool or the outside said."),
    "search": Entry("verbs", _AGENTS, "Find what stands, and what must not be relied on."),
    "get": Entry("verbs", _AGENTS, "Show records by id or key."),
    "open": Entry("verbs", _AGENTS, "Open quarantined bodies by ref."),
    "review": Entry("judging", _AGENTS, "Endorse or dispute records; list what waits."),
    "retract": Entry("judging", _AGENTS, "Withdraw a record; see all that it reaches."),
    "history": Entry("looking", _BACK, "Show what happened, in order; what changed between two moments."),
    "why": Entry("looking", _BACK, "Say why a record stands as it does."),
    "blame": Entry("looking", _BACK, "Walk back to where it came in."),
    "impact": Entry("looking", _BACK, "Show what rests on a record."),
    "session": Entry("verbs", _AGENTS, "Start, end and list sessions; give a fresh context."),
    "handoff": Entry("handing", _AGENTS, "Hand work on, take it, approve it."),
    "contract": Entry("handing", _SET_UP, "Forms that handed-over work has to have."),
    "import": Entry("bring", _CARE, "Store many records at once."),
    "export": Entry("exporting", _CARE, "Take out what other tools read."),
    "verify-bundle": Entry("exporting", _CARE, "Verify evidence offline."),
    "backup": Entry("keeping", _CARE, "Copy the store, while it is in use."),
    "restore": Entry("keeping", _CARE, "Make a store of a backup."),
    "quota": Entry("keeping", _CARE, "Bound how much a principal stores."),
    "retention": Entry("keeping", _CARE, "Erase what tools said long ago."),
    "log": Entry("upkeep", _CARE, "Verify the log, sign it off, prove a record."),
    "rebuild": Entry("upkeep", _CARE, "Make the projection anew from the log."),
    "doctor": Entry("upkeep", _CARE, "Say what is wrong, and what to do."),
    "stats": Entry("upkeep", _CARE, "Count what is in the store."),
    "erase": Entry("upkeep", _CARE, "Destroy a record's content for good."),
}


class Root(click.Group):
    """A group that imports a command when it is called, and turns every error into a line and a status."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        found = getattr(import_module(f"memstore.cli.{entry.module}"), f"{cmd_name.replace('-', '_')}_command")
        return found if isinstance(found, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section in (_SET_UP, _AGENTS, _BACK, _CARE):
            with formatter.section(section):
                listed = [(name, entry.summary) for name, entry in COMMANDS.items() if entry.section == section]
                formatter.write_dl(listed, col_max=14)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            ended = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except Exception as error:  # noqa: BLE001 the outermost place: whatever it is becomes a line and a status
            sys.exit(_told(error))
        sys.exit(ended if isinstance(ended, int) else 0)


def _told(error: Exception) -> int:
    """Say on stderr what an error is; its exit status."""
    match error:
        case click.ClickException():
            _tell_misuse(error)
            return error.exit_code
        case click.Abort():
            return INTERRUPTED if isinstance(error.__cause__, KeyboardInterrupt) else ENDED
        case MemStoreError():
            refusal = error
        case OSError():
            refusal = StoreUnavailable(
                f"The system refused: {error.strerror or 'input or output failed'}",
                code="read_only" if isinstance(error, PermissionError) else "io",
                next_call="Check owner, permissions and room of the store's folder.",
            )
        case _:
            refusal = InternalError(f"A defect of memstore itself: {_whence(error)}", next_call="Please report it.")
    tell(str(refusal))
    return refusal.exit_status


def tell(line: str) -> None:
    """One line on stderr, with nothing in it that a terminal would obey."""
    from memstore.render import escaped

    code, colon, rest = escaped(line).partition(":")
    click.echo(click.style(code, fg="red", bold=True) + colon + rest, err=True)


def _tell_misuse(error: click.ClickException) -> None:
    """What click says of a call, its quotations of the call escaped; help text goes out as it is."""
    from memstore.render import escaped

    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(f"{error.ctx.get_usage()}\nTry '{error.ctx.command_path} --help'.\n", err=True)
    click.echo("Error: " + escaped(error.format_message()), err=True)


def _whence(error: Exception) -> str:
    """The kind of an error and the place of ours that it came through last; never its message, which may quote."""
    name = type(error).__name__
    ours = [
        f"{module}:{line}"
        for frame, line in walk_tb(error.__traceback__)
        if (module := str(frame.f_globals.get("__name__", ""))).startswith(("memstore", "mcp_server"))
    ]
    return f"{name} at {ours[-1]}" if ours else name


def _print_version(ctx: click.Context, param: click.Parameter, asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            click.echo(f"memstore {version('memstore')}")
        except PackageNotFoundError:
            click.echo("memstore, not installed as a package")
        ctx.exit()


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
)
@store_option
def root() -> None:
    """A shared memory for agents: what comes back says who wrote it, what it rests on, and how far to rely on it.

    Answers are JSON unless they go to a terminal. MEMSTORE_STORE names the store; without it, it is ./.memstore.
    """
