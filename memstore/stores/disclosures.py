"""What every context was shown, as tables (ports.DisclosureLog): primary, append-only, hash-chained per context.

The same body shown again at no greater extent adds nothing. The mark and the chain's head stand beside the context, so
that a label never has to walk its history.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace

from memstore.core.contexts import ContextState, Disclosure, Extent, after
from memstore.core.labels import STALE, Label, Source, Status
from memstore.core.statements import digest_of, short_id
from memstore.stores.lookups import context_from, record_from
from memstore.stores.sql import QUERIES, readable


class DisclosureTables:
    """Contexts and what they were shown, inside one transaction."""

    def __init__(self, conn: sqlite3.Connection, now: int) -> None:
        self.conn = conn
        self.now = now

    def open_context(self, launch: str, *, principal: str, scope: str) -> None:
        self.conn.execute(QUERIES["open_context"], (launch, principal, scope, bytes(32)))

    def disclose(self, launch: str, disclosures: list[Disclosure]) -> None:
        """Add what is new; the context must be open."""
        no, context = self._context(launch)
        new = self._new(no, disclosures)
        reviewed = self._reviewed(launch, [disclosure.source.id for disclosure in new])
        for disclosure in new:
            source = replace(disclosure.source, reviewed=disclosure.source.id in reviewed)
            context = self._add(no, context, replace(disclosure, source=source))
        self._move(no, context)

    def unseen(self, launch: str, disclosures: list[Disclosure]) -> list[Disclosure]:
        """Those that would add something; all of them where the context is not open yet."""
        row = self.conn.execute(QUERIES["context"], (launch,)).fetchone()
        return disclosures if row is None else self._new(row["no"], disclosures)

    def shown_to(self, launch: str) -> Iterator[Source]:
        """What this context was shown, in order, each as it stands now."""
        for (record,) in self.conn.execute(QUERIES["shown_to"], (launch,)).fetchall():
            yield self._source(record)

    def replayed(self) -> Iterator[tuple[str, Disclosure]]:
        """(launch, disclosure) of all, by position: what a replay has to apply before the entry there."""
        # Ids from the log, not from the projection, which a replay is there to mend.
        ids = {
            seq: short_id("m-", digest_of(readable(kind, ""), readable(payload, b"")))
            for seq, kind, payload in self.conn.execute(QUERIES["entries_disclosed"])
        }
        for row in self.conn.execute(QUERIES["disclosures_by_position"]).fetchall():
            status = Status.EXPIRED if row["stale"] else Status.IN_FORCE
            source = Source(ids.get(row["record"], ""), Label(row["label"]), status)
            yield row["launch"], Disclosure(row["record"], row["position"], row["at"], source, Extent(row["detail"]))

    def replay(self, launch: str, disclosure: Disclosure) -> None:
        """Apply a stored disclosure again to its context's state, with the record as the replay has it now."""
        no, context = self._context(launch)
        source = self._source(disclosure.record)
        mark = context.mark.after(replace(source, reviewed=bool(self._reviewed(launch, [source.id]))))
        self._move(no, replace(after(context, disclosure), mark=mark))

    def _context(self, launch: str) -> tuple[int, ContextState]:
        row = self.conn.execute(QUERIES["context"], (launch,)).fetchone()
        return row["no"], context_from(row)

    def _source(self, seq: int) -> Source:
        row = self.conn.execute(QUERIES["record_at"], (seq,)).fetchone()
        # T12: what the store does not have is worth nothing.
        return record_from(row, self.now).source(self.now) if row else Source("", Label.UNTRUSTED, Status.IN_FORCE)

    def _reviewed(self, launch: str, records: list[str]) -> set[str]:
        """Those of these records that this context had itself reviewed."""
        return {row["record"] for row in self.conn.execute(QUERIES["reviewed_in"], (launch, json.dumps(records)))}

    def _new(self, no: int, disclosures: list[Disclosure]) -> list[Disclosure]:
        """Those that add something to what this context was shown and to those before them."""
        asked = (no, json.dumps([disclosure.record for disclosure in disclosures]))
        seen = {row["record"]: (row["extent"], bool(row["stale"])) for row in self.conn.execute(QUERIES["seen"], asked)}
        new = []
        for disclosure in disclosures:
            extent, stale = seen.get(disclosure.record, (-1, False))
            # Seen again once it is out of date, it is another thing to have seen (`stale_inputs`).
            is_stale = disclosure.source.status in STALE
            if extent < disclosure.extent or (is_stale and not stale):
                new.append(disclosure)
                seen[disclosure.record] = (max(extent, int(disclosure.extent)), stale or is_stale)
        return new

    def _add(self, no: int, context: ContextState, disclosure: Disclosure) -> ContextState:
        values = (
            no,
            context.shown + 1,
            disclosure.record,
            disclosure.position,
            disclosure.at,
            disclosure.source.label,
            disclosure.extent,
            disclosure.source.status in STALE,
        )
        self.conn.execute(QUERIES["put_disclosure"], values)
        return after(context, disclosure)

    def _move(self, no: int, context: ContextState) -> None:
        mark = context.mark
        told = (mark.label, mark.witness, mark.fallen, mark.fell_at, mark.fooled, mark.admitted)
        self.conn.execute(QUERIES["move_context"], (context.shown, context.head, *told, context.stale, no))
