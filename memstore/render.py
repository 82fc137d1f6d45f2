"""From records to what a model sees: hits, quarantined entries, opened bodies, answers that keep their token budget.

A hit is served as it was written; a quarantined entry holds values of closed types only, so that no byte of untrusted
content stands in it. Opened bodies are escaped and datamarked here and nowhere else. Four characters count as a token.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from memstore.core.labels import Label
from memstore.core.passages import excerpt
from memstore.core.statements import OBSERVED
from memstore.serving import Served

CHARACTERS_PER_TOKEN = 4
SNIPPET = 280
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Answer(dict[str, Any]):
    """A result of a verb: a JSON object, and the lowest label of any body in it."""

    def __init__(self, values: dict[str, Any], lowest: Label = Label.TRUSTED) -> None:
        super().__init__(values)
        self.lowest = lowest


def timestamp(micros: int | None) -> str:
    """RFC 3339 in UTC with microseconds; "" for none."""
    if micros is None:
        return ""
    try:
        when = EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return "9999-12-31T23:59:59.999999Z"
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def tokens(value: object) -> int:
    return -(-len(json.dumps(value, ensure_ascii=False, separators=(",", ":"))) // CHARACTERS_PER_TOKEN)


def _posture(served: Served) -> str:
    if served.reasons:
        return "quarantine"
    if served.label is Label.ATTRIBUTED:
        return "evaluate"
    return "verify" if served.flags and served.flags != ("relayed",) else "accept"


def listing(served: Served, now: int, rank: int = 0) -> dict[str, Any]:
    """What stands about a record without a word that its author chose (detail `ids`): no text, and no task (T11)."""
    since = {"fell_since": True} if served.fell_since and not served.reasons else {}
    return since | {
        "id": served.id,
        "kind": str(served.state.kind),
        "label": str(served.label),
        "posture": _posture(served),
        "author": served.state.author,
        "role": served.role,
        "session": served.state.session,
        "verification": served.state.verification,
        "logged_at": timestamp(served.state.logged_at),
        "age_seconds": max(0, (now - served.state.logged_at) // 1_000_000),
        "flags": list(served.flags),
        "signature": str(served.signature),
        "score": score(rank),
    }


def score(rank: int) -> int:
    """A function of the rank alone (T10): a BM25 value would tell of the other records in its tier."""
    return 1000 * 61 // (60 + rank) if rank > 0 else 0


@dataclass(frozen=True, slots=True)
class Found:
    """How a search came by a record: its rank (0 where there is none), the words asked for, the nearest passage."""

    rank: int = 0
    words: tuple[str, ...] = ()
    passage: int = -1


LISTED = Found()


def hit(served: Served, detail: str, now: int, found: Found = LISTED) -> dict[str, Any]:
    """A record with its words: `full` has every key, `concise` drops what is empty and shortens body and rationale.

    What a concise hit shows of a long body is what was found in it.
    """
    if detail == "ids":
        return listing(served, now, found.rank)
    content, raised = served.content, served.is_raised
    words: dict[str, Any] = {
        "rationale": content.rationale,
        "caveats": content.caveats,
        "confidence": content.confidence,
        "evidence": content.evidence,
        "conditions": content.conditions,
        "alternatives": content.alternatives,
        "derived_from": list(served.statement.derived_from) if served.statement else [],
        "data": content.data,
        "key": "" if raised else content.key,
    }
    body = content.body
    if detail == "concise":
        words["rationale"] = snippet(content.rationale)
        body = excerpt(content.body, passage=found.passage, words=found.words, most=SNIPPET)
        words = {name: value for name, value in words.items() if value not in ("", [], {}, -1)}
    if served.revisit:
        words["revisit"] = revisited(served)
    if served.state.kind in OBSERVED:
        called = {"source": "", "args": {}} if raised else {"source": content.source, "args": content.args}
        words |= called | {"expires_at": timestamp(served.state.expires_at)}
    head = listing(served, now, found.rank)
    named = {"id": head.pop("id"), "kind": head.pop("kind"), "title": served.title, "body": body}
    return {**named, **words, **head, "task": served.task}


def revisited(served: Served) -> list[dict[str, str]]:
    """Why it needs to be revisited: which condition holds no longer, and what became of it."""
    return [{"id": record, "cause": cause} for record, cause in served.revisit]


def cut(served: Served, kept: int = 0) -> dict[str, Any]:
    """What of a record is left out: characters of its body beyond `kept`, and whether it has data."""
    return {"body": max(0, len(served.content.body) - kept), "data": bool(served.content.data)}


def snippet(text: str) -> str:
    return text if len(text) <= SNIPPET else text[: SNIPPET - 1].rstrip() + "…"


def quarantined_entry(served: Served, ref: str) -> dict[str, Any]:
    """Closed types only (3.4): nothing that an author of outside content chose."""
    return {
        "ref": ref,
        "reasons": [str(reason) for reason in served.reasons],
        "origin": str(served.state.origin),
        "kind": str(served.state.kind),
        "author": served.state.author,
        "logged_at": timestamp(served.state.logged_at),
        "expires_at": timestamp(served.state.expires_at),
        "bytes": len(served.content.words()),
        "sha256": served.digest,
    }


@dataclass(slots=True)
class Budget:
    """Tokens left for an answer; each section gets what those before it left."""

    left: int

    def take(self, value: object) -> bool:
        cost = tokens(value) + 3  # the comma, and what a cursor needs to name it
        if cost > self.left:
            return False
        self.left -= cost
        return True


# Characters that a reader does not see, or that change what is seen around them: control, bidi, zero-width, tags.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# Of other categories and as invisible: variation selectors, which can carry bytes, joiners and fillers.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
# What chat templates and transcripts use to change who is speaking.
_ROLE_TOKEN = re.compile(
    r"<\||\|>|\[/?INST\]|<</?SYS>>"
    r"|</?(?:s|system|user|assistant|human|model|antml|invoke|parameter|(?:tool|function|start_of|end_of)\w*)\b[^>]{0,256}>"
    # Possessive, and within a line: a page of line ends would else be read over and over.
    r"|^[^\S\n]*+(?:system|user|assistant|human|developer|tool)[^\S\n]*+:|\\u\{",
    re.IGNORECASE | re.MULTILINE,
)


_TEMPLATE_SIGNS = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>[]|"}


def escaped(text: str) -> str:
    """Hidden characters and role tokens made visible as `\\u{hex}`; line ends and tabs stay."""
    text = _ROLE_TOKEN.sub(lambda match: "".join(_visible(c) if not c.isalnum() else c for c in match[0]), text)
    text = _INVISIBLE.sub(lambda match: _visible(match[0]), text)
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in _HIDDEN else _visible(c) for c in text)


def _visible(character: str) -> str:
    return character if character in " \n\t" else f"\\u{{{ord(character):X}}}"


def new_marker(text: str) -> str:
    """A word that does not occur in `text` and could not be guessed by who wrote it."""
    while True:
        marker = f"^{secrets.token_hex(3)}^"
        if marker not in text:
            return marker


def datamarked(text: str, marker: str) -> str:
    """Every line begins with the marker and every gap between words is one (spotlighting by datamarking)."""
    return "\n".join(marker + re.sub(r"\s+", marker, line) for line in text.split("\n"))


def opened_text(served: Served) -> str:
    """The words of a record as one text: an observation's body as it came, an agent's record with its parts named."""
    content = served.content
    if served.state.kind in OBSERVED:
        return content.body if content.body or not content.data else json.dumps(content.data, ensure_ascii=False)
    parts = [content.title, content.body]
    parts += [f"{name}: {value}" for name, value in (("rationale", content.rationale),) if value]
    for name, values in (
        ("caveats", content.caveats),
        ("alternatives", content.alternatives),
        ("conditions", content.conditions),
        ("evidence", content.evidence),
        ("tags", content.tags),
    ):
        if values:
            parts.append(f"{name}:\n" + "\n".join(f"- {value}" for value in values))
    if content.data:
        parts.append("data: " + json.dumps(content.data, ensure_ascii=False))
    return "\n\n".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Opened:
    """A piece of a quarantined body as it may be shown, and the character to go on from (0 at the end)."""

    marker: str
    body: str
    next_offset: int


def opened(text: str, *, render: str, offset: int, budget: int) -> Opened:
    """As much of `text` from `offset` on as fits `budget` tokens in this rendering, at least one character."""
    marker = new_marker(text) if render == "datamarked" else ""
    size = max(1, budget * CHARACTERS_PER_TOKEN)
    while True:
        piece = text[offset : offset + size]
        body = _rendered(piece, render, marker)
        if len(json.dumps(body, ensure_ascii=False)) <= budget * CHARACTERS_PER_TOKEN or size <= 1:
            break
        size = max(1, size * 3 // 4)
    end = offset + len(piece)
    return Opened(marker, body, end if end < len(text) else 0)


def _rendered(piece: str, render: str, marker: str) -> str:
    match render:
        case "base64":
            return base64.b64encode(piece.encode()).decode()
        case "json":
            # Escaped where templates begin and end, and still the same text to whoever parses it.
            return json.dumps(piece).translate(_TEMPLATE_SIGNS)
        case _:
            return datamarked(escaped(piece), marker)
