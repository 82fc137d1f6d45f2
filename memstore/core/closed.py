"""Contracts of closed types: JSON Schemas under which a value can carry no words of anybody's choice (T6, `typed`).

A string is a value of an `enum`, a `const`, or an identifier of a fixed form; all else is a number, a boolean, or made
of such. A schema with anything else in it is refused, not read leniently: what it leaves open, somebody fills.
"""

from __future__ import annotations

import re
from typing import Any

from memstore.core.records import Content
from memstore.core.statements import ID_PATTERN
from memstore.errors import InvalidInput

MOST_ITEMS = 1000
DEEPEST = 16
FORMS = {
    "memstore-id": re.compile(ID_PATTERN),
    "sha256": re.compile(r"^[0-9a-f]{64}$"),
    "uuid": re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"),
    "date": re.compile(r"^\d{4}-\d\d-\d\d$", re.ASCII),
    "date-time": re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$", re.ASCII),
}
_KEYWORDS = {
    "object": {"type", "properties", "required", "additionalProperties", "title"},
    "array": {"type", "items", "maxItems", "minItems"},
    "integer": {"type", "minimum", "maximum"},
    "boolean": {"type"},
    "string": {"type", "format"},
}
_BOUNDS = {"minimum", "maximum", "minItems", "maxItems"}


def refuse_open(contract: Any, depth: int = 0) -> None:
    """Raise `InvalidInput` where a contract leaves room for free text, or uses what is not understood here."""
    if not isinstance(contract, dict) or depth > DEEPEST:
        raise _open("it is no schema")
    if "enum" in contract or "const" in contract:
        values = contract.get("enum", [contract.get("const")])
        if set(contract) - {"enum", "const", "type"} or not isinstance(values, list) or not all(map(_scalar, values)):
            raise _open("an enum or const holds scalars, and stands alone")
        return
    kind = contract.get("type")
    if not isinstance(kind, str) or kind not in _KEYWORDS or set(contract) - _KEYWORDS[kind]:
        raise _open("it uses a type or keyword that is not closed")
    match kind:
        case "object":
            if contract.get("additionalProperties") is not False:
                raise _open("an object says additionalProperties: false")
            _refuse_ill_formed_object(contract)
            for inner in contract.get("properties", {}).values():
                refuse_open(inner, depth + 1)
        case "array" | "integer":
            if not all(_is_whole(contract[name]) for name in _BOUNDS & set(contract)):
                raise _open("a bound is a whole number")
            if kind == "array":
                refuse_open(contract.get("items"), depth + 1)
        case "string" if contract.get("format") not in FORMS:
            raise _open(f"a string is an enum, a const, or of a format: {', '.join(FORMS)}")


def _refuse_ill_formed_object(contract: dict[str, Any]) -> None:
    properties, required = contract.get("properties", {}), contract.get("required", [])
    if not isinstance(properties, dict) or not isinstance(contract.get("title", ""), str):
        raise _open("an object names its properties, and its title is a string")
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise _open("required is a list of names")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _scalar(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | str)


def _open(why: str) -> InvalidInput:
    return InvalidInput(f"The contract is not of closed types: {why}", code="open_contract")


def conforms(value: Any, contract: dict[str, Any]) -> bool:
    """Whether a value is of a closed contract."""
    if "enum" in contract or "const" in contract:
        return any(_same(value, one) for one in contract.get("enum", [contract.get("const")]))
    match contract["type"]:
        case "object":
            return isinstance(value, dict) and _is_object_of(value, contract)
        case "array":
            most = min(contract.get("maxItems", MOST_ITEMS), MOST_ITEMS)
            fits = isinstance(value, list) and contract.get("minItems", 0) <= len(value) <= most
            return fits and all(conforms(item, contract["items"]) for item in value)
        case "integer":
            return _is_whole(value) and contract.get("minimum", value) <= value <= contract.get("maximum", value)
        case "boolean":
            return isinstance(value, bool)
        case _:
            return isinstance(value, str) and FORMS[contract["format"]].fullmatch(value) is not None


def _same(value: Any, one: Any) -> bool:
    return type(value) is type(one) and value == one


def _is_object_of(value: dict[str, Any], contract: dict[str, Any]) -> bool:
    properties = contract.get("properties", {})
    if not set(value) <= set(properties) or not set(contract.get("required", ())) <= set(value):
        return False
    return all(conforms(item, properties[name]) for name, item in value.items())


def holds_only_data(content: Content, contract: dict[str, Any]) -> bool:
    """Whether a record is nothing but data of the contract; a title counts as words unless it is the contract's own."""
    given = set(content.said())
    ids = all(FORMS["memstore-id"].fullmatch(item) for item in (*content.evidence, *content.conditions))
    titled = content.title in ("", contract.get("title", ""))
    allowed = {"title", "data", "evidence", "conditions", "confidence"}
    return given <= allowed and titled and ids and bool(content.data) and conforms(content.data, contract)
