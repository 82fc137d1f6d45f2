"""What rests on what, as tables (ports.Trust): how far a change reaches, and the web that is judged anew for it.

Everything is loaded in bulk, a level or a context at a time, because one act may reach ten thousand records. During a
replay a context has had only `shown` of its disclosures; what comes later reaches nothing yet.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable

from memstore.core.labels import NEVER_FELL, RESTING, Cause, Label, Source, Status, as_text
from memstore.core.policy import BY_MARK, Carry
from memstore.core.state import GrantState
from memstore.core.statements import OBSERVED, Stance
from memstore.core.trust import END_OF_LOG, Endorsement, Past, Sight, Standing, Subject, Web, mark_of_past
from memstore.ports import Claim, Disclosed, Review
from memstore.stores.acting import Acting
from memstore.stores.lookups import grant_from
from memstore.stores.memo import Memo
from memstore.stores.sql import QUERIES, causes_from, member


def _source_from(row: sqlite3.Row) -> Source:
    label = member(Label, row["label"], Label.UNTRUSTED)
    return Source(row["id"], label, Status.IN_FORCE, fell_at=row["fell_at"], admitted=bool(row["admitted"]))


def _shown_from(row: sqlite3.Row) -> Disclosed:
    told = (row["position"], row["at"], row["id"], row["principal"], row["label"], row["detail"])
    return Disclosed(*told, stale=bool(row["stale"]))


class TrustTables:
    """The web of what rests on what, inside one transaction."""

    def __init__(self, conn: sqlite3.Connection, acting: Acting) -> None:
        self.conn = conn
        self._acting = acting

    def reach(self, seqs: Iterable[int]) -> list[int]:
        """These records, and all whose label or standing may hang on theirs: declared, shown, or reviewed after."""
        reached: set[int] = set()
        expanded: dict[int, int] = {}
        frontier = set(seqs)
        while frontier:
            found = {row[0] for row in self.conn.execute(QUERIES["reach_declared"], {"seqs": _json(frontier)})}
            fresh = found - reached
            reached |= fresh
            frontier = self._said_after(fresh, expanded) - reached
        return sorted(reached)

    def _said_after(self, seqs: set[int], expanded: dict[int, int]) -> set[int]:
        """What was written and reviewed in contexts that were shown one of these; each context is gone through once."""
        found: set[int] = set()
        for row in self.conn.execute(QUERIES["contexts_shown"], (_json(seqs),)).fetchall():
            before = expanded.get(row["context"], END_OF_LOG)
            if row["n"] < before:
                expanded[row["context"]] = row["n"]
                span = {"launch": row["launch"], "n": row["n"], "before": before}
                found |= {seq for (seq,) in self.conn.execute(QUERIES["said_after"], span)}
        return found

    def declared_by(self, seqs: Iterable[int]) -> list[int]:
        """What declares one of these records as what it rests on."""
        return [row[0] for row in self.conn.execute(QUERIES["declared_by"], (_json(seqs),))]

    def web(self, seqs: list[int]) -> Web:
        """All that judging these records anew takes."""
        subjects = self._subjects(seqs)
        endorsements = tuple(
            Endorsement(row["seq"], row["record"], Carry(row["carry"]), row["launch"], row["shown"])
            for row in self.conn.execute(QUERIES["endorsements"], (_json(seqs),))
        )
        launches = {subject.launch for subject in subjects if subject.launch}
        launches |= {endorsement.launch for endorsement in endorsements if endorsement.carry in BY_MARK}
        pasts = self.pasts(launches, seqs)
        own = {subject.id for subject in subjects}
        named = {record for subject in subjects for record in subject.declared}
        named |= {sight.record for past in pasts.values() for sight in past.sights}
        return Web(subjects, endorsements, pasts, self.sources(named - own))

    def _subjects(self, seqs: list[int]) -> tuple[Subject, ...]:
        declared: defaultdict[int, dict[str, None]] = defaultdict(dict)
        for row in self.conn.execute(QUERIES["declarations"], (_json(seqs),)):
            declared[row["record"]][row["target"]] = None
        return tuple(
            Subject(
                id=row["id"],
                seq=row["seq"],
                bounds=tuple(cause for cause in causes_from(row["because"]) if cause.code not in RESTING),
                declared=_as_told(declared.get(row["seq"], {}), causes_from(row["because"])),
                launch=row["launch"],
                shown=row["shown"],
                own_words=row["kind"] not in OBSERVED,
                fell_at=max(row["revoked_at"], NEVER_FELL if row["poisoned_at"] is None else row["poisoned_at"]),
            )
            for row in self.conn.execute(QUERIES["subjects"], (_json(seqs),))
        )

    def pasts(self, launches: Iterable[str], seqs: Iterable[int] = ()) -> dict[str, Past]:
        """What each of these contexts was shown and has reviewed, as far as it can make a difference.

        Of what is not among `seqs`, and so stays as it is, the first of each worth stands for all.
        """
        asked = {"launches": _json(launches), "seqs": _json(seqs)}
        sights: defaultdict[str, list[Sight]] = defaultdict(list)
        for query in ("sights_singly", "sights_in_sum"):
            for row in self.conn.execute(QUERIES[query], asked):
                sights[row["launch"]].append(Sight(row["id"], row["n"], row["position"]))
        reviewed: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        for row in self.conn.execute(QUERIES["reviews_of_launches"], asked):
            reviewed[row["launch"]].append((row["seq"], row["record"]))
        return {
            launch: Past(tuple(sorted(sights[launch], key=lambda sight: sight.n)), tuple(reviewed[launch]))
            for launch in launches
        }

    def sources(self, records: Iterable[str]) -> dict[str, Source]:
        rows = self.conn.execute(QUERIES["sources"], (_json(records),))
        return {row["id"]: _source_from(row) for row in rows}

    def put_standing(self, seq: int, standing: Standing) -> None:
        """Store what of a standing is neither label nor status; those move words between tiers (`Records.relabel`)."""
        because = as_text(standing.verdict.because)
        self._acting.keep(self.conn, "keep", {"seq": seq})
        self.conn.execute(QUERIES["put_standing"], (standing.admitted, standing.fell_at, because, seq))

    def remark(self, seqs: Iterable[int], launches: Iterable[str] = ()) -> None:
        """Compute again the marks of these contexts, and of all that were shown one of these records."""
        shown = self.conn.execute(QUERIES["contexts_shown"], (_json(seqs),)).fetchall()
        pasts = self.pasts({row["launch"] for row in shown} | set(launches))
        known = self.sources({sight.record for past in pasts.values() for sight in past.sights})
        for launch, past in sorted(pasts.items()):
            mark = mark_of_past(past, known)
            told = (mark.label, mark.witness, mark.fallen, mark.fell_at, mark.fooled, mark.admitted)
            self.conn.execute(QUERIES["remark"], (*told, launch))

    def flag_revisit(self, seqs: Iterable[int]) -> None:
        # Row by row: an UPDATE of many opens a savepoint, at which the full-text tables write out what they gathered.
        for seq in seqs:
            self._acting.keep(self.conn, "keep_unflagged", {"seq": seq})
            self.conn.execute(QUERIES["revisit"], (seq,))

    def flag_contingent(self, seqs: Iterable[int]) -> set[int]:
        """Flag what was decided on condition of one of these records."""
        found = {row[0] for row in self.conn.execute(QUERIES["contingent_on"], (_json(seqs),))}
        self.flag_revisit(sorted(found))
        return found

    def claims(self, seqs: Iterable[int]) -> list[Claim]:
        """Who would replace or answer what, as far as one of these records is on either side."""
        rows = self.conn.execute(QUERIES["claims"], {"seqs": _json(seqs)})
        return [Claim(row["how"], row["target"], row["record"]) for row in rows]

    def settle_claim(self, how: str, record: str, by: int | None) -> bool:
        """Say what replaces or answers a record now; whether that is news."""
        self._acting.keep(self.conn, f"keep_{how}", {"record": record, "by": by})
        query = "settle_superseded" if how == "supersedes" else "settle_answered"
        return self.conn.execute(QUERIES[query], {"record": record, "by": by}).rowcount > 0


class ReviewTables:
    """Reviews, retractions and grants inside one transaction."""

    def __init__(self, conn: sqlite3.Connection, now: int, memo: Memo) -> None:
        self.conn = conn
        self.now = now
        self._memo = memo

    def touched_by_key(self, keyid: str, since: int) -> list[int]:
        """The records that this key signed, reviewed or retracted from a position on."""
        return [row[0] for row in self.conn.execute(QUERIES["touched_by_key"], {"keyid": keyid, "since": since})]

    def standing(self, record: str) -> list[Review]:
        """The reviews of a record that stand: the newest by each principal whose key was sound."""
        rows = self.conn.execute(QUERIES["standing_reviews"], (record,))
        return [
            Review(row["seq"], row["author"], row["launch"], Stance(row["stance"]), Carry(row["carry"])) for row in rows
        ]

    def disputed_up_to(self, record: str) -> int:
        """The highest label that a standing dispute of this record has; -1 where there is none."""
        return self._memo.get(("disputed", record), lambda: self._disputed_up_to(record))

    def _disputed_up_to(self, record: str) -> int:
        found = self.conn.execute(QUERIES["disputes"], (record,)).fetchone()[0]
        return -1 if found is None else int(found)

    def rivals(self, seq: int, record: str) -> list[str]:
        """The records that this one would replace, or that would replace it."""
        return self._memo.get(("rivals", seq, record), lambda: self._rivals(seq, record))

    def _rivals(self, seq: int, record: str) -> list[str]:
        return [row["id"] for row in self.conn.execute(QUERIES["rivals"], {"seq": seq, "id": record})]

    def readers(self, seq: int) -> list[Disclosed]:
        """All disclosures of a record, in the order of the log."""
        return [_shown_from(row) for row in self.conn.execute(QUERIES["readers"], (seq,))]

    def shown_in(self, launch: str) -> list[Disclosed]:
        """All that a context was shown, in order."""
        return [_shown_from(row) for row in self.conn.execute(QUERIES["shown_in"], (launch,))]

    def of_task(self, scope: str, task: str, most: int) -> list[str]:
        """The newest records of a task."""
        return [row["id"] for row in self.conn.execute(QUERIES["of_task"], (scope, task, most))]

    def waiting(self, scope: str, most: int) -> list[str]:
        """Records that nobody who could raise them has judged yet, or that are suspect; newest first."""
        values = {"scope": scope, "now": self.now, "most": most}
        return [row["id"] for row in self.conn.execute(QUERIES["waiting"], values)]

    def record_affected(self, act: int, seqs: Iterable[int]) -> None:
        self.conn.executemany(QUERIES["put_affected"], [(act, seq) for seq in seqs])

    def grants(self, principal: str = "") -> list[tuple[GrantState, bool]]:
        """Grants in the order they were given, and whether the context of each was taken up."""
        rows = self.conn.execute(QUERIES["grants"], {"principal": principal, "now": self.now})
        return [(grant_from(row), bool(row["used"])) for row in rows]


def _as_told(declared: Iterable[str], causes: Iterable[Cause]) -> tuple[str, ...]:
    """What a record declares, in the order in which its entry gives its reasons, then by id."""
    places = {cause.id: place for place, cause in enumerate(causes)}
    return tuple(sorted(declared, key=lambda record: (places.get(record, len(places)), record)))


def _json(values: Iterable[object]) -> str:
    return json.dumps(list(values))
