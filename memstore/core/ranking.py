"""Ranking inside one tier: what full text says and what the vectors say, made one (DESIGN 5).

A record is worth its BM25 as a part of the best one, plus `NEARNESS` times its cosine. Both are functions of the tier
alone; ties fall by id, and what is shown is a function of the rank. The numbers were chosen by measurement, as was the
sum over reciprocal ranks, which put the wanted record first less often (ADR 0017).
"""

from __future__ import annotations

from collections.abc import Mapping

NEARNESS = 0.75


def ranked(words: Mapping[int, float], cosines: Mapping[int, float], ids: Mapping[int, str]) -> list[int]:
    """The records of both, best first.

    `words` has the BM25 of what full text found (greater is better), `cosines` the nearness of whatever has a vector;
    what has none yet is taken for as near as the others are on average. `ids` decides ties.
    """
    best = max(words.values(), default=0.0)
    usual = sum(cosines.values()) / len(cosines) if cosines else 0.0

    def worth(record: int) -> float:
        said = words.get(record, 0.0) / best if best > 0 else 0.0
        return said + NEARNESS * cosines.get(record, usual)

    return sorted(words.keys() | cosines.keys(), key=lambda record: (-worth(record), ids[record]))
