"""Contracts: the forms that outputs of a handoff have to have, kept in the log under a name and version (DESIGN 3.5).

A contract is JSON Schema (2020-12) that stands by itself: no reference leads out of it, and it holds no regular
expression, which data of somebody's choice could make run for ever. A version never changes; it may be deprecated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from memstore.core.canonical import canonical_bytes
from memstore.core.forms import CONTRACT_PATTERN
from memstore.core.handoffs import accepts_contract
from memstore.core.offers import ContractAdded, ContractDeprecated
from memstore.core.state import ContractState
from memstore.errors import Conflict, InvalidInput, NotFound
from memstore.ports import Store, Unit
from memstore.signing import StoreKey
from memstore.write import Author, append

MOST_BYTES = 32 * 1024
DEEPEST = 32
# How many subschemas a schema comes to with its references followed: each of them is applied to the same data.
MOST_EXPANDED = 2000
# How many are applied, by following references, to one output: more than that nobody has to wait for.
MOST_APPLIED = 50_000
_REF = re.compile(r"#(/\$defs/[A-Za-z0-9_.-]+)?")
_WITHOUT = ("pattern", "patternProperties", "$dynamicRef", "$recursiveRef")


_PLAIN = ("enum", "const", "default", "examples")


def add(store: Store, key: StoreKey, author: Author, contract: str, form: dict[str, Any], *, owner: str = "") -> Any:
    """Put a new version of a contract on record; the operator or a person does this."""
    _check_name(contract)
    _check_form(form)
    with store.write() as unit:
        if unit.view.contract(contract) is not None:
            raise Conflict(
                "That version is there already, and a version never changes",
                code="contract_exists",
                next_call="Add it under the next version.",
            )
        owner = owner or author.name
        if unit.view.principal(owner) is None:
            raise NotFound("`owner` names no principal", code="unknown_principal", next_call="See `agent list`.")
        append(unit, key, author, ContractAdded, {"contract": contract, "owner": owner, "form": form})
    return {"contract": contract, "owner": owner, "status": "added"}


def deprecate(store: Store, key: StoreKey, author: Author, contract: str, *, successor: str = "") -> dict[str, Any]:
    """Take no new handoffs under this version; those that are open go on, with a problem that says so."""
    with store.write() as unit:
        for named in filter(None, (contract, successor)):
            if unit.view.contract(named) is None:
                raise _unknown()
        found = unit.view.contract(contract)
        if found is not None and found.deprecated is not None:
            instead = f"Its successor is {found.successor}." if found.successor else "It has no successor."
            raise Conflict("The contract was deprecated before", code="contract_deprecated", next_call=instead)
        append(unit, key, author, ContractDeprecated, {"contract": contract, "successor": successor})
    return {"contract": contract, "successor": successor, "status": "deprecated"}


def listed(store: Store) -> list[dict[str, Any]]:
    with store.read() as unit:
        return [told(one) for one in unit.receipts.contracts()]


def told(contract: ContractState) -> dict[str, Any]:
    """A contract as answers give it."""
    return {
        "contract": contract.name,
        "owner": contract.owner,
        "deprecated": contract.deprecated is not None,
        "successor": contract.successor,
        "schema": json.loads(contract.form),
    }


def takers(store: Store, scope: str) -> list[dict[str, Any]]:
    """Who works in a scope and takes what; `contracts` has the schema of each one in use that a principal accepts."""
    with store.read() as unit:
        found = [one for one in unit.registry.principals() if scope in one.scopes]
        schemas = {one.name: json.loads(one.form) for one in unit.receipts.contracts() if one.deprecated is None}
    return [
        {
            "name": one.name,
            "role": str(one.role),
            "under": one.under,
            "team": one.team,
            "capabilities": list(one.capabilities),
            "accepts": list(one.accepts),
            "contracts": {name: schema for name, schema in schemas.items() if accepts_contract(one, name)},
        }
        for one in found
    ]


def in_use(unit: Unit, contract: str) -> ContractState:
    """The contract that a new handoff names; refuses one that is not here or is deprecated."""
    _check_name(contract)
    found = unit.view.contract(contract)
    if found is None:
        raise _unknown()
    if found.deprecated is not None:
        instead = f"Use {found.successor}." if found.successor else "`contract list` shows those in use."
        raise InvalidInput("The contract is deprecated", code="contract_deprecated", next_call=instead)
    return found


def violates(form: str, data: dict[str, Any]) -> bool:
    """Whether data is not an instance of a contract's schema; what cannot be decided counts as a violation (T12)."""
    from referencing import Registry  # with jsonschema a tenth of a second, which only handoffs under a contract need
    from referencing.exceptions import Unresolvable

    schema = json.loads(form)
    costs = {f"#/$defs/{name}": _nodes(node) for name, node in schema.get("$defs", {}).items()}
    _work.set(_Work(MOST_APPLIED, {"#": _nodes(schema), **costs}))
    # An empty registry: what a reference names outside the schema is looked up nowhere, least of all on a network.
    validator = _validator()(schema, registry=Registry())
    try:
        return not validator.is_valid(data)
    except (Unresolvable, RecursionError, _TooMuch):
        return True


class _TooMuch(Exception):
    """References were followed so often that nothing is decided."""


@dataclass
class _Work:
    """How many more subschemas may be applied by following references, and to how many each reference leads."""

    left: int
    costs: dict[str, int]


_work: ContextVar[_Work] = ContextVar("work")


@lru_cache(maxsize=1)
def _validator() -> Any:
    """JSON Schema whose references are counted: what refers to itself twice doubles with each level of the data."""
    import jsonschema  # type: ignore[import-untyped]

    plain = jsonschema.Draft202012Validator.VALIDATORS["$ref"]

    def follow(validator: Any, ref: str, instance: Any, schema: Any) -> Iterator[Any]:
        work = _work.get()
        work.left -= work.costs.get(ref, 1)
        if work.left < 0:
            raise _TooMuch
        yield from plain(validator, ref, instance, schema)

    return jsonschema.validators.extend(jsonschema.Draft202012Validator, {"$ref": follow})


def _nodes(form: Any) -> int:
    """How many objects a schema holds, no reference followed."""
    if isinstance(form, list):
        return sum(map(_nodes, form))
    return 1 + sum(map(_nodes, form.values())) if isinstance(form, dict) else 0


def _check_name(contract: str) -> None:
    if not re.match(CONTRACT_PATTERN, contract):
        raise InvalidInput(
            "The contract is not named as name@major.minor", code="bad_contract", next_call="As in review@1.0."
        )


def _check_form(form: dict[str, Any]) -> None:
    import jsonschema

    if len(canonical_bytes(form, nfc=False)) > MOST_BYTES:
        raise InvalidInput("The contract is longer than 32 KiB", code="too_long")
    try:
        jsonschema.Draft202012Validator.check_schema(form)
    except jsonschema.SchemaError:
        raise _bad("it is no JSON Schema") from None
    _refuse_within(form, 0)
    _refuse_wide(form)


def _refuse_wide(form: dict[str, Any]) -> None:
    """Refuse references that multiply: a few lines of them come to more subschemas than can be applied."""
    defined = form.get("$defs", {})
    sizes: dict[str, int] = {}

    def size(node: Any, open_: tuple[str, ...]) -> int:
        if isinstance(node, list):
            return sum(size(item, open_) for item in node)
        if not isinstance(node, dict):
            return 0
        # Those of the top are counted where they are used; values are counted too, which errs on the safe side.
        total = 1 + sum(size(item, open_) for name, item in node.items() if node is not form or name != "$defs")
        named = str(node.get("$ref", "")).removeprefix("#/$defs/")
        # What refers to itself goes on only as deep as the data does.
        if named in defined and named not in open_:
            if named not in sizes:
                sizes[named] = size(defined[named], (*open_, named))
            total += sizes[named]
        return min(total, MOST_EXPANDED + 1)

    try:
        most = max([size(form, ()), *(size({"$ref": f"#/$defs/{name}"}, ()) for name in defined)])
    except RecursionError:
        most = MOST_EXPANDED + 1
    if most > MOST_EXPANDED:
        raise _bad("its references come to too much")


def _refuse_within(form: Any, depth: int, *, names: bool = False) -> None:
    """Refuse what a schema may not use; `names` says that the keys here are names of properties and not keywords."""
    if depth > DEEPEST:
        raise _bad("it is nested too deep")
    if isinstance(form, list):
        for item in form:
            _refuse_within(item, depth + 1)
    for name, item in form.items() if isinstance(form, dict) else ():
        if not names and name in _WITHOUT:
            raise _bad("it uses a regular expression or a dynamic reference")
        # Anywhere else it could lead into what is not looked through here: a value, or a keyword nobody knows.
        if not names and name == "$ref" and not _REF.fullmatch(str(item)):
            raise _bad("it refers to something else than itself or its $defs")
        if not names and (name in ("$id", "$anchor", "$dynamicAnchor") or (name == "$defs" and depth)):
            raise _bad("its references could lead elsewhere")
        if names or name not in _PLAIN:
            _refuse_within(item, depth + 1, names=not names and name in ("properties", "$defs", "dependentSchemas"))


def _bad(why: str) -> InvalidInput:
    return InvalidInput(f"The contract cannot be used: {why}", code="bad_contract", next_call="See docs/adr/0031.")


def _unknown() -> NotFound:
    return NotFound("There is no such contract", code="unknown_contract", next_call="`contract list` shows them.")
