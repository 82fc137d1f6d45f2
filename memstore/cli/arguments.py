"""Options read off the models of `memstore.requests`, and what was given turned back into arguments.

A list repeats its option, an object is JSON text, and `--json FILE|-` takes all arguments at once, over which single
options win. Values go to the model as they are: it alone refuses, in words that name the field and not the value.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem
from pydantic.fields import FieldInfo

from memstore.cli.options import F
from memstore.cli.wording import told_of
from memstore.core.strict_json import object_in
from memstore.errors import InvalidInput
from memstore.requests import Request

MAX_JSON_BYTES = 4 * 1024 * 1024
# A field's name may be that of an option which all commands have.
PREFIX = "field_"
_WHOLE = re.compile(r"-?\d{1,15}")
_ALIASES = {("history", "of_session"): "--session"}

Shape = Literal["flag", "whole", "one_of", "object", "text"]


def options_of(model: type[Request]) -> Callable[[F], F]:
    """Gives a command one option for each field of `model`, in their order, and `--json`."""

    def with_options(command: F) -> F:
        told = "All arguments as one JSON object; - reads stdin. Other options win over it."
        command = click.option("--json", "json_from", metavar="FILE|-", help=told)(command)
        for name, field in reversed(model.model_fields.items()):
            command = _option(model, name, field)(command)
        return command

    return with_options


def _option(model: type[Request], name: str, field: FieldInfo) -> Callable[[F], F]:
    repeated, shape, choices = _shape_of(field.annotation)
    settings: dict[str, Any] = {"help": _help(model, name, field, repeated=repeated), "multiple": repeated}
    match shape:
        case "flag":
            settings = {"help": settings["help"], "is_flag": True}
        case "one_of":
            settings |= {"metavar": f"[{'|'.join(choices)}]", "shell_complete": _completing(choices)}
        case "whole":
            settings["metavar"] = "N"
        case "object":
            settings["metavar"] = "JSON"
        case "text":
            settings["metavar"] = "TEXT"
    return click.option(*_names(model, name, repeated=repeated), PREFIX + name, **settings)


def _names(model: type[Request], name: str, *, repeated: bool) -> list[str]:
    """The field's name as an option; for a list in the plural, its singular as well."""
    option = "--" + name.replace("_", "-")
    names = [option]
    if repeated and option.endswith("s"):
        names.append(option.removesuffix("s"))
    if (model.verb, name) in _ALIASES:
        names.append(_ALIASES[model.verb, name])
    return names


def _shape_of(annotation: Any) -> tuple[bool, Shape, tuple[str, ...]]:
    """(whether the option repeats, what one value is, the values it can have if they are few)."""
    if get_origin(annotation) is list:
        return True, *_shape_of(get_args(annotation)[0])[1:]
    if get_origin(annotation) is Literal:
        return False, "one_of", get_args(annotation)
    if get_origin(annotation) is dict:
        return False, "object", ()
    if annotation is bool:
        return False, "flag", ()
    return False, "whole" if annotation is int else "text", ()


def _completing(choices: tuple[str, ...]) -> Callable[..., list[CompletionItem]]:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(choice) for choice in choices if choice.startswith(incomplete)]

    return complete


def _help(model: type[Request], name: str, field: FieldInfo, *, repeated: bool) -> str:
    text = told_of(model.verb, name)
    if field.is_required():
        return f"{text} Needed; may be repeated." if repeated else f"{text} Needed."
    if repeated:
        return f"{text} May be repeated."
    shown = field.default if isinstance(field.default, str | int) and not isinstance(field.default, bool) else ""
    return text if shown in ("", -1, 0) else f"{text} [{shown}]"


def given(model: type[Request], *, besides: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the call said: the object of `--json`, then the options, then `besides`; checked against the model.

    A `task` in the object is left in for verbs that have none: the command line gives it a meaning of its own.
    """
    ctx = click.get_current_context()
    arguments: dict[str, Any] = {}
    if ctx.params.get("json_from") is not None:
        arguments = json_object(_read(ctx.params["json_from"]), "--json")
    for name, field in model.model_fields.items():
        if ctx.get_parameter_source(PREFIX + name) is ParameterSource.COMMANDLINE:
            arguments[name] = _value(ctx.params[PREFIX + name], field, name)
    arguments |= besides or {}
    # Checked here too: a name that is none of the model's must not become one of the facade's own.
    model.parse({name: value for name, value in arguments.items() if name != "task" or name in model.model_fields})
    return arguments


def _value(value: Any, field: FieldInfo, name: str) -> Any:
    repeated, shape, _ = _shape_of(field.annotation)
    if repeated:
        return list(value)
    if shape == "object":
        return json_object(value, f"`{name}`")
    # What is no whole number goes on as text, for the model to refuse.
    return int(value) if shape == "whole" and _WHOLE.fullmatch(value) else value


def json_object(text: str, where: str) -> dict[str, Any]:
    """The object that `text` is in JSON; `InvalidInput` for all else, and for names that stand twice."""
    try:
        return object_in(text)
    except ValueError:
        raise InvalidInput(
            f"{where} is not a JSON object", code="bad_json", next_call='Pass one, as in {"a": 1}.'
        ) from None


def _read(source: str) -> str:
    """The text of a file, or of stdin for `-`."""
    try:
        if source == "-":
            raw = sys.stdin.buffer.read(MAX_JSON_BYTES + 1)
        else:
            with Path(source).open("rb") as file:
                raw = file.read(MAX_JSON_BYTES + 1)
        text = raw.decode()
    except UnicodeDecodeError:
        raise InvalidInput("--json is not UTF-8", code="bad_json") from None
    except (OSError, ValueError) as error:
        raise InvalidInput("--json names no file that can be read", code="no_file") from error
    if len(raw) > MAX_JSON_BYTES:
        raise InvalidInput("--json is too long", code="too_long", next_call=f"At most {MAX_JSON_BYTES} bytes.")
    return text
