"""What a team needs: tokens for its agents (DESIGN 8)."""

from __future__ import annotations

import click

from memstore.cli.display import table
from memstore.cli.options import opened_house, store_option
from memstore.cli.output import emit

TOKEN_COLUMNS = ("id", "principal", "state", "created_at", "expires_at")


class Tokens(click.Group):
    """A group whose first word may as well be a principal: `token NAME` is `token for NAME`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None:
            args = ["for", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=Tokens, subcommand_metavar="NAME | COMMAND [ARGS]...")
def token_command() -> None:
    """Make a token for the agent NAME, list tokens, revoke one: what plain HTTP clients show to `memstore serve`.

    `memstore token NAME [--ttl 30d]` prints {token, id, expires_at}; the token is never shown again.
    """


@token_command.command("for")
@click.argument("name")
@click.option("--ttl", metavar="TIME", default="30d", show_default=True, help="How long it stands: 30d, 12h, 90m.")
@store_option
def make_token(name: str, ttl: str) -> None:
    """Make a token for NAME; the same as `token NAME`. Asks for the operator's passphrase."""
    from memstore import tokens

    with opened_house() as house:
        emit(tokens.make(house, name, ttl=ttl))


@token_command.command("list")
@store_option
def list_tokens() -> None:
    """List all tokens with what became of them; nothing shows a token itself."""
    from memstore import tokens

    with opened_house() as house:
        emit({"tokens": tokens.listed(house.store)}, lambda answer: table(answer["tokens"], TOKEN_COLUMNS))


@token_command.command("revoke")
@click.argument("id")
@store_option
def revoke_token(id: str) -> None:
    """Revoke the token of this ID. Asks for the operator's passphrase."""
    from memstore import tokens

    with opened_house() as house:
        emit(tokens.revoke(house, id))
