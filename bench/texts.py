"""Words to store and to ask for: made up from a seed with the frequencies of real text, and real ones where they are.

The same seed gives the same text on every machine. Nothing of the published data is copied into this repository.
"""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The commonest words first: Zipf gives the n-th a frequency of 1/n.
_COMMON_TEXT = """
the to of a and in is for that it on we with as by not be are this from or an at which was when has can one if no all
cache query server client retry timeout index write read lock table token queue worker thread process signature record
key value error result request response session context task agent tool log page memory disk network database schema
migration version release branch commit test build deploy config option default limit budget batch cursor latency
throughput failure decision finding because before after only every same other new old first last more less than
handler parser buffer stream socket packet header payload encoding canonical digest hash tree leaf root proof chain
replica leader follower quorum lease heartbeat snapshot rollback transaction isolation durability checkpoint journal
compaction segment shard partition replication consistency availability backoff jitter deadline cancellation semaphore
mutex allocator garbage collector profile regression coverage fixture assertion invariant property fuzz sanitizer
credential secret rotation policy scope grant role principal audit quarantine label integrity provenance review
"""
_SYLLABLE_TEXT = """
ab ac ad al an ar as at co de di el en er es ex fi ga ho im in is ka li lo ma me mi na ne no or pa pe qu ra re ri ro sa
se si so ta te ti to tra un ur va ve vi
"""
_COMMON = _COMMON_TEXT.split()
_SYLLABLES = _SYLLABLE_TEXT.split()
_VOCABULARY = 20_000
_RECORD_BYTES = 1024


@dataclass(frozen=True)
class Text:
    """What one record says."""

    title: str
    body: str


class Words:
    """Sentences drawn from a vocabulary of 20,000 words by Zipf's law."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._words = _COMMON + _rare(_VOCABULARY - len(_COMMON))
        self._weights = list(itertools.accumulate(1 / rank for rank in range(1, len(self._words) + 1)))

    def texts(self) -> Iterator[Text]:
        """Records of one kilobyte, for ever."""
        while True:
            words = self._drawn(190)
            title = " ".join(words[:8])
            body = " ".join(words[8:])
            yield Text(title.capitalize(), body[: _RECORD_BYTES - len(title)])

    def query(self, text: Text, terms: int = 6) -> str:
        """What somebody would ask who looks for this text: some of its words, those that say nothing left out."""
        said = dict.fromkeys(f"{text.title} {text.body}".lower().split())
        telling = [word for word in said if word.isalpha() and word not in _COMMON]
        return " ".join(self._random.sample(telling, min(terms, len(telling))))

    def _drawn(self, count: int) -> list[str]:
        return self._random.choices(self._words, cum_weights=self._weights, k=count)


def _rare(count: int) -> list[str]:
    """Made-up words of two to four syllables, the shortest first."""
    found: dict[str, None] = {}
    for length in (2, 3, 4):
        for parts in itertools.product(_SYLLABLES, repeat=length):
            found["".join(parts)] = None
            if len(found) == count:
                return list(found)
    return list(found)


def real_texts() -> list[Text]:
    """Rejected ideas of published proposals, cut to a kilobyte; none where the data is not beside the repository."""
    ideas = published("decisions", "peps_rejected_ideas.jsonl")
    return [Text(idea["heading"][:200], idea["text"][:_RECORD_BYTES]) for idea in ideas]


def published(*parts: str) -> list[dict[str, Any]]:
    """The lines of a file of the published data, which MEMSTORE_SHARED or its place names; none where it is not."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    path = Path(os.environ.get("MEMSTORE_SHARED") or beside).joinpath("data", *parts)
    if not path.is_file():
        return []
    # What the lines hold may be any character, so they are split at "\n" alone.
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
