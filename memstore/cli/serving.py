"""What a team needs: the shared HTTP server, and tokens for its agents (DESIGN 8)."""

from __future__ import annotations

from typing import Any

import click

from memstore.cli.display import table
from memstore.cli.options import named_store, opened_house, store_option
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


@click.command()
@click.option("--host", metavar="H", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", metavar="P", type=click.IntRange(0, 65535), default=8484, show_default=True, help="0: any that is free."
)
@click.option("--cert", metavar="FILE", default="", help="The certificate (PEM), for TLS.")
@click.option("--key", metavar="FILE", default="", help="Its private key (PEM).")
@click.option("--behind-proxy", is_flag=True, help="A proxy before it ends TLS: listen beyond this machine without.")
@click.option(
    "--proxy-headers", "believed", metavar="ADDR", multiple=True, help="A proxy whose X-Forwarded headers count."
)
@click.option("--allow-host", "allowed_hosts", metavar="H", multiple=True, help="A name that it is reached under.")
@click.option("--allow-origin", "allowed_origins", metavar="URL", multiple=True, help="A web page that may call it.")
@click.option("--issuer", metavar="URL", default="", help="Whose JWTs say who calls, beside store tokens.")
@click.option("--audience", metavar="A", default="", help="The audience that they are for: the address of /mcp.")
@click.option("--jwks", metavar="FILE|URL", default="", help="The issuer's public keys.")
@click.option(
    "--algorithm", type=click.Choice(["RS256", "PS256", "ES256", "EdDSA"]), default="RS256", help="Its one algorithm."
)
@click.option("--claim", metavar="NAME", default="sub", show_default=True, help="The claim that names the principal.")
@click.option(
    "--rate",
    metavar="N",
    type=click.FloatRange(0),
    default=1000.0,
    show_default=True,
    help="Requests a second that one principal may make; 0: any number.",
)
@click.option(
    "--connections", type=click.IntRange(1), default=512, show_default=True, help="How many connections at most."
)
@click.option("--dev", metavar="NAME", default="", help="Who calls without a credential; on this machine alone.")
@click.option("--require-grant", is_flag=True, help="Serve an agent only in a fresh context given to it.")
@click.option("--lockdown", is_flag=True, help="Open nothing that is quarantined.")
@click.option("--tools", type=click.Choice(["core", "review", "all"]), default="all", help="As of `memstore mcp`.")
@click.option("--read-only", is_flag=True, help="Offer only the tools that change nothing.")
@store_option
def serve_command(**given: Any) -> None:
    """Serve a team over HTTP, until SIGTERM or Ctrl-C; prints one line, {url, store_id}, once it listens.

    Agents show a token (`memstore token NAME`) or connect by `memstore mcp --url`. It answers at /mcp; /health says
    whether it is up, /metrics counts for whoever has a token.
    """
    from mcp_server.gate import Limits
    from mcp_server.http import Settings
    from mcp_server.listening import Patience
    from mcp_server.serving import Place, say_on_stdout, serve

    issuer = _issuer(**{name: given.pop(name) for name in ("issuer", "audience", "jwks", "algorithm", "claim")})
    place = {name: given.pop(name) for name in ("host", "port", "cert", "key", "behind_proxy", "believed")}
    patience, limits = Patience(connections=given.pop("connections")), Limits(rate=given.pop("rate"))
    settings = Settings(**given, issuer=issuer, limits=limits)
    status = serve(named_store(), Place(**place, patience=patience), settings, say=say_on_stdout)
    click.get_current_context().exit(status)


def _issuer(issuer: str, audience: str, jwks: str, algorithm: str, claim: str) -> Any:
    if not (issuer or audience or jwks):
        return None
    from memstore.errors import InvalidInput
    from memstore.issuers import Issuer

    if not (issuer and audience and jwks):
        raise InvalidInput("--issuer, --audience and --jwks go together", next_call="Pass all three.")
    return Issuer(issuer, audience, jwks, algorithm=algorithm, claim=claim)
