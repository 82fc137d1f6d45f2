"""The options that commands share, and what they open: the store's folder, a house, an agent's facade.

`--store` counts before a command as well as after it; the later one wins, and MEMSTORE_STORE stands in for both.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from memstore.errors import StoreUnavailable

if TYPE_CHECKING:
    from memstore.admin import House
    from memstore.service import MemStore

F = TypeVar("F", bound=Callable[..., Any])
_STORE = "memstore.store"


def _remember(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value:
        ctx.meta[_STORE] = value


def store_option(command: F) -> F:
    """`--store DIR`, kept for `named_store`."""
    told = "The store's folder [MEMSTORE_STORE, else ./.memstore]."
    return click.option("--store", metavar="DIR", expose_value=False, callback=_remember, help=told)(command)


def agent_option(command: F) -> F:
    """`--agent NAME`, the principal that acts."""
    return click.option("--agent", metavar="NAME", required=True, help="Who acts: a principal whose key is here.")(
        command
    )


def scope_option(command: F) -> F:
    """`--scope S`, the namespace of the call."""
    return click.option("--scope", metavar="S", default="", help="The scope to act in [the agent's first].")(command)


def unprotected_option(command: F) -> F:
    """`--unprotected-key`, which leaves a person's or the operator's key without a passphrase."""
    told = "Leave a person's or the operator's key without a passphrase: for tests, where nobody can type one."
    return click.option("--unprotected-key", is_flag=True, help=told)(command)


def named_store() -> str | None:
    """What `--store` said, before or after the command."""
    found = click.get_current_context().meta.get(_STORE)
    return str(found) if found else None


def store_folder() -> Path:
    """The store's folder as an absolute path."""
    from memstore.config import folder_of

    return folder_of(named_store()).absolute()


def passphrase_for(*, unprotected: bool) -> Callable[[], str | None]:
    """Asks for a new passphrase, or says None; refuses where there is nobody to type one (T3)."""

    def ask() -> str | None:
        if unprotected:
            return None
        if sys.stdin is None or not sys.stdin.isatty():
            raise StoreUnavailable(
                "A new passphrase is needed, and there is no terminal to type it on",
                code="no_terminal",
                next_call="Run the command in a terminal; --unprotected-key, for tests, does without a passphrase.",
            )
        from memstore.config import new_passphrase

        return new_passphrase()

    return ask


@contextmanager
def opened_house(*, check: bool = True) -> Iterator[House]:
    """The store with its keys, for an operator's act; `check` False opens one that was changed, to audit it."""
    from memstore.config import open_house

    house = open_house(named_store(), check=check)
    try:
        yield house
    finally:
        house.store.close()


@contextmanager
def opened_as(agent: str, scope: str = "") -> Iterator[MemStore]:
    """The facade for `agent`, in its continuing context: all its calls from the command line are one (T3)."""
    from memstore.config import open_store

    with open_store(named_store(), agent=agent, scope=scope, continuing=True, embeds_behind=False) as memory:
        yield memory
