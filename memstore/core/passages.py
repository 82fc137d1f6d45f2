"""The passages of a record: the pieces that are embedded one by one, and the excerpt that an answer shows of a body.

A passage is the title and a piece of the text, so that each says what it is about; pieces end where a paragraph, a
sentence or a word does. The same content gives the same passages, so that a passage is named by its number alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from memstore.core.records import Content

# The model reads 256 tokens, of four characters and more in English. Shorter pieces say more clearly what they say.
PASSAGE = 450
MOST_PASSAGES = 160
# Raised whenever the passages of the same content change: vectors of other passages are other vectors.
RECIPE = "passages-1"

# Where a piece may end, the best place first, and how much of it has to be there by then.
_ENDS = (
    (re.compile(r"\n\s*\n"), PASSAGE // 4),
    (re.compile(r"(?<=[.!?;:])\s+|\n"), PASSAGE // 2),
    (re.compile(r"\s+"), PASSAGE // 2),
)
_WORD = re.compile(r"\w+")


def passages(content: Content) -> list[str]:
    """What is embedded of a record, at least one text: the pieces of its body, then those of what else it says."""
    found, rest = pieces(content.body), "\n".join(content.besides_body())
    if found and rest and len(found[-1]) + len(rest) < PASSAGE:
        found[-1], rest = f"{found[-1]}\n{rest}", ""
    # A body too long for its passages leaves half of them to the reasons that are given for it.
    besides = pieces(rest)[: MOST_PASSAGES // 2]
    told = [*found[: MOST_PASSAGES - len(besides)], *besides]
    return [f"{content.title}\n{piece}".strip() for piece in told or [""]]


def pieces(text: str) -> list[str]:
    """A text cut into pieces of at most `PASSAGE` characters; nothing of it is left out but white space."""
    found, start = [], 0
    while len(text) - start > PASSAGE:
        end = _end(text, start)
        found.append(text[start:end].strip())
        start = end
    found.append(text[start:].strip())
    return [piece for piece in found if piece]


def _end(text: str, start: int) -> int:
    """Where a piece that begins at `start` ends: at the last place of the best sort, or as far as it may go."""
    window = text[start : start + PASSAGE]
    for ends, least in _ENDS:
        places = [match.end() for match in ends.finditer(window, least)]
        if places:
            return start + places[-1]
    return start + PASSAGE


def excerpt(body: str, *, passage: int, words: Iterable[str], most: int) -> str:
    """At most `most` characters of a body: around what was asked for, in the passage that answers best.

    `passage` is the number of the nearest one, -1 where none is known: then it is that with most of the words in it.
    """
    if len(body) <= most:
        return body
    wanted = {word.lower() for word in words}
    found = pieces(body)
    if not 0 <= passage < len(found):
        passage = max(range(len(found)), key=lambda number: len(wanted & _words(found[number])), default=0)
    piece = found[passage] if found else body
    start = _first(piece, wanted, most)
    cut = piece[start : start + most - 2].strip()
    before = "…" if start or passage else ""
    after = "…" if passage + 1 < len(found) or start + most - 2 < len(piece) else ""
    return f"{before}{cut}{after}"


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}


def _first(piece: str, wanted: set[str], most: int) -> int:
    """Where the excerpt begins: so that most of the words that were asked for stand in it."""
    places = [(match.start(), match[0].lower()) for match in _WORD.finditer(piece) if match[0].lower() in wanted]

    def held(start: int) -> int:
        return len({word for place, word in places if start <= place < start + most - most // 8})

    best = max([0, *(place for place, _ in places)], key=held)
    return piece.rfind(" ", 0, max(0, best - most // 8)) + 1
