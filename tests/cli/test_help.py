"""Nothing on the command line is without its help, and every argument of a verb is there."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from memstore.cli.root import COMMANDS, root
from memstore.requests import Request
from memstore.service import VERBS


def every_command(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None, name
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from every_command(command, (*path, name))


ALL = dict(every_command(root))
each_command = pytest.mark.parametrize("path", ALL, ids=" ".join)


@each_command
def test_every_command_has_help(path: tuple[str, ...]) -> None:
    assert ALL[path].help
    shown = CliRunner().invoke(root, [*path, "--help"])
    assert shown.exit_code == 0
    assert shown.stdout.startswith("Usage: ")


@each_command
def test_every_option_has_help(path: tuple[str, ...]) -> None:
    silent = [o.name for o in ALL[path].params if isinstance(o, click.Option) and not o.help]
    assert silent == []


@each_command
def test_every_command_takes_the_store_save_those_that_need_none(path: tuple[str, ...]) -> None:
    if isinstance(ALL[path], click.Group) or path in (("demo",), ("handoff", "verify"), ("verify-bundle",)):
        return
    assert "--store" in {name for option in ALL[path].params for name in option.opts}


def test_the_commands_that_are_promised_are_there() -> None:
    told = (
        "init agent tool mcp config write observe search get open review retract session history import log rebuild"
        " doctor stats erase demo handoff contract export verify-bundle backup restore quota retention token serve"
        " why blame impact"
    )
    assert sorted(COMMANDS) == sorted(told.split())


def test_the_first_help_names_each_command_with_what_it_does() -> None:
    shown = CliRunner().invoke(root, ["--help"]).stdout
    for name, entry in COMMANDS.items():
        assert f"  {name} " in shown
        assert entry.summary in shown


@pytest.mark.parametrize("verb", VERBS)
def test_every_argument_of_a_verb_is_an_option(verb: str) -> None:
    path = tuple(verb.split("_")) if verb.startswith(("session", "handoff")) else (verb,)
    model: type[Request] = VERBS[verb]
    options = {name for option in ALL[path].params for name in option.opts}
    assert {"--" + name.replace("_", "-") for name in model.model_fields} <= options


def test_no_command_is_no_error_of_ours() -> None:
    shown = CliRunner().invoke(root, [])
    assert shown.exit_code == 2
    assert "Look after a store" in shown.stderr


def test_the_version_is_told() -> None:
    shown = CliRunner().invoke(root, ["--version"])
    assert shown.exit_code == 0
    assert shown.stdout.startswith("memstore")
