-- name: head
SELECT id, public_key, size, frontier, checkpoint, clock_floor, copied,
    (SELECT coalesce(max(epoch), 0) FROM restorations) AS epoch
FROM store WHERE one = 1;

-- name: restored_at
SELECT coalesce(max(e.logged_at), 0) FROM restorations r JOIN entries e ON e.seq = r.seq;

-- name: put_restoration
INSERT INTO restorations (seq, epoch, size, root) VALUES (?, ?, ?, ?);

-- name: put_quota
INSERT INTO quotas (principal, records_per_day, bytes_per_day, open_sessions) VALUES (?, ?, ?, ?)
ON CONFLICT (principal) DO UPDATE SET records_per_day = excluded.records_per_day,
    bytes_per_day = excluded.bytes_per_day, open_sessions = excluded.open_sessions;

-- name: quotas
SELECT principal, records_per_day, bytes_per_day, open_sessions FROM quotas
WHERE :principal = '' OR principal = :principal ORDER BY principal;

-- name: records_since
SELECT count(*) FROM records INDEXED BY records_author WHERE author = :principal AND logged_at > :since;

-- name: bytes_since
SELECT coalesce(sum(length(c.content)), 0) FROM records r INDEXED BY records_author CROSS JOIN contents c ON c.seq = r.seq
WHERE r.author = :principal AND r.logged_at > :since;

-- name: quota_sessions
SELECT count(*) FROM leases l JOIN sessions s ON s.id = l.session
WHERE l.until > :now AND s.principal = :principal AND s.ended_seq IS NULL;

-- name: lapse_leases
DELETE FROM leases;

-- name: lapse_handoff_leases
DELETE FROM handoff_leases;

-- name: dropped_by_age
-- Old enough to go: what a tool said and has expired, and what came from outside; nothing that is erased already.
SELECT r.seq, r.id, r.kind, length(c.content) AS bytes FROM records r JOIN contents c ON c.seq = r.seq
WHERE r.erased = 0 AND ((r.kind = 'tool_result' AND r.expires_at <= :before)
    OR (r.kind = 'external' AND r.logged_at <= :before))
    AND (:cited OR NOT EXISTS (SELECT 1 FROM links l JOIN records w ON w.seq = l.record
        WHERE l.target = r.id AND l.how IN ('derived_from', 'evidence', 'conditions') AND w.erased = 0
        AND w.retracted = '' AND w.revoked = 0 AND w.superseded_by IS NULL))
    AND (:cited OR NOT EXISTS (SELECT 1 FROM carried d JOIN handoffs h ON h.seq = d.handoff WHERE d.record = r.id
        AND h.stage IN ('awaiting_approval', 'offered', 'clarification_requested', 'accepted')))
    -- What its sender answered with goes with the handoff.
    AND (:cited OR r.id NOT IN (SELECT j.value FROM handoffs h JOIN answers a ON a.handoff = h.id
        JOIN json_each(a.outputs) j
        WHERE h.stage IN ('awaiting_approval', 'offered', 'clarification_requested', 'accepted')))
ORDER BY r.seq LIMIT :most;

-- name: old_enough
SELECT count(*) FROM records r WHERE r.erased = 0 AND ((r.kind = 'tool_result' AND r.expires_at <= :before)
    OR (r.kind = 'external' AND r.logged_at <= :before));

-- name: create_head
INSERT INTO store (one, id, public_key, size, frontier, checkpoint, clock_floor) VALUES (1, ?, ?, 0, x'', '', 0);

-- name: move_head
UPDATE store SET size = ?, frontier = ?, checkpoint = ?, clock_floor = max(clock_floor, ?) WHERE one = 1;

-- name: raise_clock_floor
UPDATE store SET clock_floor = max(clock_floor, ?) WHERE one = 1;

-- name: passes_an_expiry
SELECT EXISTS (SELECT 1 FROM records WHERE expires_at > :floor AND expires_at <= :now)
    OR EXISTS (SELECT 1 FROM leases WHERE until > :floor AND until <= :now)
    OR EXISTS (SELECT 1 FROM handoff_leases WHERE until > :floor AND until <= :now)
    OR EXISTS (SELECT 1 FROM handoffs WHERE deadline > :floor AND deadline <= :now);

-- name: append_entry
INSERT INTO entries (seq, logged_at, payload_type, payload, keyid, signature, signature_state, label, because, disclosures, leaf)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: entry
SELECT * FROM entries WHERE seq = ?;

-- name: entries_at
SELECT e.* FROM json_each(?) j CROSS JOIN entries e ON e.seq = j.value;

-- name: entries_from
SELECT * FROM entries WHERE seq >= ? ORDER BY seq;

-- name: leaves
SELECT leaf FROM entries WHERE seq >= ? AND seq < ? ORDER BY seq;

-- name: chain
SELECT n, prev FROM chains WHERE author = ? AND launch = ?;

-- name: extend_chain
INSERT INTO chains (author, launch, n, prev) VALUES (?, ?, ?, ?)
ON CONFLICT (author, launch) DO UPDATE SET n = excluded.n, prev = excluded.prev;

-- name: put_content
INSERT INTO contents (seq, salt, content, fingerprint) VALUES (?, ?, ?, ?);

-- name: content
SELECT salt, content, fingerprint FROM contents WHERE seq = ?;

-- name: contents_of_records
SELECT r.seq, r.label, c.content FROM records r JOIN contents c ON c.seq = r.seq WHERE r.erased = 0 ORDER BY r.seq;

-- name: erase_content
DELETE FROM contents WHERE seq = ?;

-- name: contents_at
SELECT c.* FROM json_each(?) j CROSS JOIN contents c ON c.seq = j.value;

-- name: twin
SELECT r.id FROM contents c JOIN records r ON r.seq = c.seq WHERE c.fingerprint = ? ORDER BY r.seq DESC LIMIT 1;

-- name: principal
SELECT * FROM principals WHERE name = ?;

-- name: principals
SELECT * FROM principals ORDER BY seq;

-- name: put_principal
INSERT INTO principals (name, role, under, open_world, scopes, team, version, capabilities, accepts, seq)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: key
SELECT * FROM keys WHERE keyid = ?;

-- name: keys_of
SELECT * FROM keys WHERE principal = ? ORDER BY added;

-- name: put_key
INSERT INTO keys (keyid, principal, public, added) VALUES (?, ?, ?, ?);

-- name: retire_key
UPDATE keys SET retired = coalesce(retired, ?) WHERE keyid = ?;

-- name: compromise_key
UPDATE keys SET compromised = min(coalesce(compromised, :since), :since) WHERE keyid = :keyid;

-- name: revoke_records
UPDATE records SET revoked = 1, revoked_at = :at
WHERE revoked = 0 AND seq >= :since AND seq IN (SELECT seq FROM entries WHERE keyid = :keyid AND seq >= :since);

-- name: void_reviews
UPDATE reviews SET void = 1
WHERE seq >= :since AND seq IN (SELECT seq FROM entries WHERE keyid = :keyid AND seq >= :since);

-- name: void_retractions
UPDATE retractions SET void = 1
WHERE seq >= :since AND seq IN (SELECT seq FROM entries WHERE keyid = :keyid AND seq >= :since);

-- name: void_grants
UPDATE grants SET revoked = 1
WHERE seq >= :since AND seq IN (SELECT seq FROM entries WHERE keyid = :keyid AND seq >= :since);

-- name: unretract
UPDATE records SET retracted = coalesce(
    (SELECT t.reason FROM retractions t WHERE t.record = records.id AND t.reason = 'leaked' LIMIT 1),
    (SELECT t.reason FROM retractions t WHERE t.record = records.id AND t.void = 0 ORDER BY t.seq LIMIT 1), '')
WHERE id IN (SELECT record FROM retractions WHERE void = 1);

-- name: touched_by_key
SELECT r.seq FROM records r JOIN entries e ON e.seq = r.seq WHERE e.keyid = :keyid AND r.seq >= :since
UNION SELECT r.seq FROM records r WHERE r.id IN (
    SELECT v.record FROM reviews v JOIN entries e ON e.seq = v.seq WHERE e.keyid = :keyid AND v.seq >= :since
    UNION SELECT t.record FROM retractions t JOIN entries e ON e.seq = t.seq WHERE e.keyid = :keyid AND t.seq >= :since);

-- name: put_review
INSERT INTO reviews (seq, record, author, launch, stance, carry, shown, label) VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: put_retraction
INSERT INTO retractions (seq, record, author, reason, replacement, spreads, own, label) VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: retract
UPDATE records SET retracted = CASE WHEN retracted = '' OR :reason = 'leaked' THEN :reason ELSE retracted END
WHERE id = :record;

-- name: put_grant
INSERT OR IGNORE INTO grants (id, seq, principal, giver, scopes, ceiling, expires_at, depth, under)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: revoke_grant
UPDATE grants SET revoked = 1 WHERE id = ?;

-- name: grant
SELECT * FROM grants WHERE id = ?;

-- name: grants
SELECT g.id, g.seq, g.principal, g.giver, g.scopes, g.ceiling, g.expires_at, g.depth, g.under,
    -- Whether one of before a restoration was taken up after the backup nobody knows: it counts as taken.
    (c.launch IS NOT NULL OR g.seq < (SELECT max(seq) FROM restorations)) IS TRUE AS used,
    -- A context that nobody took up goes with the handoff that it was for.
    g.revoked OR (c.launch IS NULL AND EXISTS (SELECT 1 FROM handoffs h WHERE h.gives = g.id AND h.gives <> '' AND (
        h.stage NOT IN ('offered', 'clarification_requested', 'accepted')
        OR (h.deadline > 0 AND h.deadline <= :now)))) AS revoked
FROM grants g LEFT JOIN contexts c ON c.launch = 'grant/' || g.id
    OR c.launch = 'grant/' || g.id || '@' || (SELECT max(epoch) FROM restorations)
WHERE :principal IN ('', g.principal) ORDER BY g.seq;

-- name: put_affected
INSERT OR IGNORE INTO affected (act, record) VALUES (?, ?);

-- name: signed_by
SELECT e.keyid FROM records r JOIN entries e ON e.seq = r.seq WHERE r.id = ?;

-- name: saw_whole
SELECT 1 FROM contexts c JOIN disclosures d ON d.context = c.no JOIN records r ON r.seq = d.record
WHERE c.launch = ? AND r.id = ? AND d.detail = 2 AND d.n <= c.shown LIMIT 1;

-- name: shown_of
SELECT DISTINCT r.id FROM contexts c JOIN disclosures d ON d.context = c.no JOIN records r ON r.seq = d.record
WHERE c.launch = ? AND d.n <= c.shown AND r.id IN (SELECT value FROM json_each(?));

-- name: reviewed_in
SELECT DISTINCT v.record FROM json_each(?2) j CROSS JOIN reviews v ON v.record = j.value
JOIN records r ON r.id = v.record WHERE v.launch = ?1 AND v.void = 0 AND r.author <> v.author;

-- name: standing_reviews
SELECT v.* FROM reviews v WHERE v.record = ? AND v.void = 0 AND NOT EXISTS (
    SELECT 1 FROM reviews w WHERE w.record = v.record AND w.author = v.author AND w.void = 0 AND w.seq > v.seq)
ORDER BY v.seq;

-- name: reach_declared
WITH RECURSIVE reached (seq, id) AS (
    SELECT r.seq, r.id FROM records r WHERE r.seq IN (SELECT value FROM json_each(:seqs))
    UNION
    SELECT r.seq, r.id FROM reached t
    JOIN links l ON l.target = t.id AND l.how IN ('derived_from', 'evidence')
    JOIN records r ON r.seq = l.record
)
SELECT seq FROM reached;

-- name: declared_by
SELECT DISTINCT l.record FROM records t JOIN links l ON l.target = t.id AND l.how IN ('derived_from', 'evidence')
WHERE t.seq IN (SELECT value FROM json_each(?)) ORDER BY l.record;

-- name: contexts_shown
SELECT d.context, c.launch, min(d.n) AS n, p.role FROM disclosures d JOIN contexts c ON c.no = d.context
JOIN principals p ON p.name = c.principal
WHERE d.record IN (SELECT value FROM json_each(?)) AND d.n <= c.shown AND p.role IN ('worker', 'lead', 'tool')
GROUP BY d.context;

-- name: said_after
SELECT seq FROM records WHERE launch = :launch AND shown >= :n AND shown < :before
UNION SELECT r.seq FROM reviews v JOIN records r ON r.id = v.record
WHERE v.launch = :launch AND v.shown >= :n AND v.shown < :before AND v.carry IN ('lead', 'lead_below');

-- name: subjects
SELECT r.seq, r.id, r.kind, r.shown, r.revoked_at, e.because,
    CASE WHEN p.role IN ('worker', 'lead', 'tool') THEN r.launch ELSE '' END AS launch,
    (SELECT max(t.seq) FROM retractions t WHERE t.record = r.id AND t.spreads = 1 AND t.void = 0) AS poisoned_at
FROM records r JOIN entries e ON e.seq = r.seq LEFT JOIN principals p ON p.name = r.author
WHERE r.seq IN (SELECT value FROM json_each(?)) ORDER BY r.seq;

-- name: declarations
SELECT record, how, target FROM links
WHERE record IN (SELECT value FROM json_each(?)) AND how IN ('derived_from', 'evidence') ORDER BY record, how, target;

-- name: endorsements
SELECT v.* FROM reviews v JOIN records r ON r.id = v.record
WHERE r.seq IN (SELECT value FROM json_each(?)) AND v.void = 0 AND v.stance = 'endorse' AND v.carry <> 'nothing' AND NOT EXISTS (
    SELECT 1 FROM reviews w WHERE w.record = v.record AND w.author = v.author AND w.void = 0 AND w.seq > v.seq)
ORDER BY v.seq;

-- What may yet change its worth, and what a context is judged by one at a time: affected, fallen, missing, reviewed.
-- name: sights_singly
SELECT c.launch, coalesce(r.id, '') AS id, min(d.n) AS n, min(d.position) AS position
FROM contexts c JOIN disclosures d ON d.context = c.no LEFT JOIN records r ON r.seq = d.record
WHERE c.launch IN (SELECT value FROM json_each(:launches)) AND d.n <= c.shown
    AND (r.seq IS NULL OR r.fell_at >= 0 OR r.seq IN (SELECT value FROM json_each(:seqs))
        OR (r.label = 2 AND EXISTS (
            SELECT 1 FROM reviews v WHERE v.record = r.id AND v.launch = c.launch AND v.void = 0)))
GROUP BY d.context, d.record;

-- Of what stays as it is, the first of each worth: it lowers a mark as all that come after it do. Trusted lowers nothing.
-- name: sights_in_sum
SELECT c.launch, r.id, min(d.n) AS n, d.position
FROM contexts c JOIN disclosures d ON d.context = c.no JOIN records r ON r.seq = d.record
WHERE c.launch IN (SELECT value FROM json_each(:launches)) AND d.n <= c.shown
    AND r.label < 3 AND r.fell_at < 0 AND r.seq NOT IN (SELECT value FROM json_each(:seqs))
    AND NOT (r.label = 2 AND EXISTS (
        SELECT 1 FROM reviews v WHERE v.record = r.id AND v.launch = c.launch AND v.void = 0))
GROUP BY d.context, r.label, r.admitted;

-- name: reviews_of_launches
SELECT v.launch, v.seq, v.record FROM reviews v JOIN records r ON r.id = v.record
WHERE v.launch IN (SELECT value FROM json_each(:launches)) AND v.void = 0 AND r.author <> v.author
    AND (r.label = 2 OR r.seq IN (SELECT value FROM json_each(:seqs)))
ORDER BY v.seq;

-- name: sources
SELECT id, label, fell_at, admitted FROM records WHERE id IN (SELECT value FROM json_each(?));

-- name: put_standing
UPDATE records SET admitted = ?, fell_at = ?, because = ? WHERE seq = ?;

-- name: remark
UPDATE contexts SET mark = ?, witness = ?, fallen = ?, fell_at = ?, fooled = ?, admitted = ? WHERE launch = ?;

-- name: claims
SELECT DISTINCT l.how, l.target, l.record FROM links l JOIN records o ON o.id = l.target
WHERE l.how IN ('supersedes', 'answers') AND l.target IN (
    SELECT id FROM records WHERE seq IN (SELECT value FROM json_each(:seqs))
    UNION SELECT k.target FROM links k
    WHERE k.record IN (SELECT value FROM json_each(:seqs)) AND k.how IN ('supersedes', 'answers'))
ORDER BY l.target, l.record;

-- name: settle_superseded
UPDATE records SET superseded_by = :by WHERE id = :record AND superseded_by IS NOT :by;

-- name: settle_answered
UPDATE records SET answered_by = :by WHERE id = :record AND answered_by IS NOT :by;

-- name: disputes_among
SELECT v.record, max(v.label) AS label FROM json_each(?) j CROSS JOIN reviews v ON v.record = j.value
WHERE v.void = 0 AND v.stance = 'dispute' AND NOT EXISTS (
    SELECT 1 FROM reviews w WHERE w.record = v.record AND w.author = v.author AND w.void = 0 AND w.seq > v.seq)
GROUP BY v.record;

-- name: rivals_among
SELECT o.seq, r.id AS rival FROM json_each(?1) j CROSS JOIN records o ON o.seq = j.value
CROSS JOIN links l ON l.record = o.seq AND l.how = 'supersedes' CROSS JOIN records r ON r.id = l.target
WHERE r.scope = o.scope AND r.label >= o.label AND r.erased = 0 AND r.retracted = '' AND r.revoked = 0
    AND r.suspect = 0 AND r.superseded_by IS NULL
UNION
SELECT o.seq, r.id AS rival FROM json_each(?1) j CROSS JOIN records o ON o.seq = j.value
CROSS JOIN links l ON l.target = o.id AND l.how = 'supersedes' CROSS JOIN records r ON r.seq = l.record
WHERE r.scope = o.scope AND r.label >= o.label AND r.erased = 0 AND r.retracted = '' AND r.revoked = 0
    AND r.suspect = 0 AND r.superseded_by IS NULL
ORDER BY rival;

-- name: rivals
SELECT r.id FROM records o CROSS JOIN links l ON l.record = o.seq AND l.how = 'supersedes'
CROSS JOIN records r ON r.id = l.target
WHERE o.seq = :seq AND r.scope = o.scope AND r.label >= o.label AND r.erased = 0 AND r.retracted = '' AND r.revoked = 0
    AND r.suspect = 0 AND r.superseded_by IS NULL
UNION
SELECT r.id FROM records o CROSS JOIN links l ON l.target = :id AND l.how = 'supersedes'
CROSS JOIN records r ON r.seq = l.record
WHERE o.seq = :seq AND r.scope = o.scope AND r.label >= o.label AND r.erased = 0 AND r.retracted = '' AND r.revoked = 0
    AND r.suspect = 0 AND r.superseded_by IS NULL;

-- name: disputes
SELECT max(v.label) AS label FROM reviews v WHERE v.record = ? AND v.void = 0 AND v.stance = 'dispute' AND NOT EXISTS (
    SELECT 1 FROM reviews w WHERE w.record = v.record AND w.author = v.author AND w.void = 0 AND w.seq > v.seq);

-- name: put_tool
INSERT INTO tools (pattern, open_world, max_ttl_seconds) VALUES (?, ?, ?)
ON CONFLICT (pattern) DO UPDATE SET open_world = excluded.open_world, max_ttl_seconds = excluded.max_ttl_seconds;

-- name: tool
SELECT * FROM tools WHERE pattern = ?;

-- name: tools
SELECT * FROM tools ORDER BY pattern;

-- name: epoch
SELECT epoch FROM epochs WHERE principal = ? AND scope = ?;

-- name: next_epoch
INSERT INTO epochs (principal, scope, epoch) VALUES (?, ?, 1)
ON CONFLICT (principal, scope) DO UPDATE SET epoch = epoch + 1;

-- name: put_session
INSERT INTO sessions (id, seq, principal, launch, scope, task, started_at) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: end_session
UPDATE sessions SET ended_seq = ?, ended_at = ?, outcome = ? WHERE id = ? AND ended_seq IS NULL;

-- name: session
SELECT s.*, l.until FROM sessions s LEFT JOIN leases l ON l.session = s.id WHERE s.id = ?;

-- name: sessions_in_scope
SELECT s.*, l.until FROM sessions s LEFT JOIN leases l ON l.session = s.id WHERE s.scope = :scope
ORDER BY s.seq DESC LIMIT :most;

-- name: sessions_at_work
SELECT s.*, l.until FROM sessions s JOIN leases l ON l.session = s.id
WHERE s.scope = :scope AND s.task = :task AND s.ended_seq IS NULL AND l.until > :now ORDER BY s.seq DESC LIMIT :most;

-- name: sessions_dead
SELECT s.*, l.until FROM sessions s LEFT JOIN leases l ON l.session = s.id
WHERE s.scope = :scope AND s.principal = :principal AND s.ended_seq IS NULL AND (l.until IS NULL OR l.until <= :now)
ORDER BY s.seq LIMIT :most;

-- name: session_before
SELECT s.*, l.until FROM sessions s LEFT JOIN leases l ON l.session = s.id
WHERE s.scope = :scope AND s.principal = :principal AND s.seq < (SELECT n.seq FROM sessions n WHERE n.id = :session)
ORDER BY s.seq DESC LIMIT 1;

-- name: sessions_of_launch
SELECT s.*, l.until FROM sessions s LEFT JOIN leases l ON l.session = s.id WHERE s.scope = :scope AND s.launch = :launch
ORDER BY s.seq DESC LIMIT :most;

-- name: lease
INSERT INTO leases (session, until) VALUES (?, ?) ON CONFLICT (session) DO UPDATE SET until = excluded.until;

-- name: record
SELECT r.*, s.ended_at, l.until
FROM records r
LEFT JOIN sessions s ON s.id = r.session AND r.kind = 'hypothesis'
LEFT JOIN leases l ON l.session = s.id
WHERE r.id = ?;

-- name: put_record
INSERT INTO records (seq, id, kind, author, scope, task, session, launch, label, logged_at, expires_at, shown, verification,
    origin, bytes, stale_inputs, suspect, needs_revisit, admitted, fell_at, unregistered, because)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: put_link
INSERT OR IGNORE INTO links (record, how, target) VALUES (?, ?, ?);

-- name: put_tag
INSERT OR IGNORE INTO tags (tag, record) VALUES (?, ?);

-- name: put_name
INSERT INTO names (author, scope, name, record) VALUES (?, ?, ?, ?);

-- name: named
SELECT r.id FROM names n JOIN records r ON r.seq = n.record WHERE n.author = ? AND n.scope = ? AND n.name = ?
ORDER BY n.record DESC LIMIT 1;

-- name: supersede
UPDATE records SET superseded_by = ? WHERE id = ? AND superseded_by IS NULL;

-- name: answer
UPDATE records SET answered_by = coalesce(answered_by, ?) WHERE id = ?;

-- name: needs_revisit
UPDATE records SET needs_revisit = 1 WHERE id = ?;

-- name: contingent_on
SELECT DISTINCT l.record FROM records r JOIN links l ON l.target = r.id
WHERE l.how = 'conditions' AND r.seq IN (SELECT value FROM json_each(?));

-- name: revisit
UPDATE records SET needs_revisit = 1 WHERE seq = ?;

-- name: mark_erased
UPDATE records SET erased = 1, bytes = 0 WHERE seq = ?;

-- name: forget_tags
DELETE FROM tags WHERE record = ?;

-- name: forget_names
DELETE FROM names WHERE record = ?;

-- name: relabel
UPDATE records SET label = ?, suspect = ? WHERE seq = ?;

-- name: context
SELECT * FROM contexts WHERE launch = ?;

-- name: open_context
INSERT INTO contexts (launch, principal, scope, head) VALUES (?, ?, ?, ?);

-- name: move_context
UPDATE contexts SET shown = ?, head = ?, mark = ?, witness = ?, fallen = ?, fell_at = ?, fooled = ?, admitted = ?,
    stale = ? WHERE no = ?;

-- name: seen
SELECT d.record, max(d.detail) AS extent, max(d.stale) AS stale
FROM json_each(?2) j CROSS JOIN disclosures d ON d.record = j.value AND d.context = ?1 GROUP BY d.record;

-- name: put_disclosure
INSERT INTO disclosures (context, n, record, position, at, label, detail, stale) VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: disclosures_by_position
SELECT d.*, c.launch FROM disclosures d JOIN contexts c ON c.no = d.context ORDER BY d.position, d.context, d.n;

-- name: entries_disclosed
SELECT seq, payload_type, payload FROM entries WHERE seq IN (SELECT record FROM disclosures);

-- name: record_at
SELECT r.*, s.ended_at, l.until
FROM records r
LEFT JOIN sessions s ON s.id = r.session AND r.kind = 'hypothesis'
LEFT JOIN leases l ON l.session = s.id
WHERE r.seq = ?;

-- name: records_at
SELECT r.*, s.ended_at, l.until
FROM records r
LEFT JOIN sessions s ON s.id = r.session AND r.kind = 'hypothesis'
LEFT JOIN leases l ON l.session = s.id
WHERE r.seq IN (SELECT value FROM json_each(?)) ORDER BY r.seq;

-- name: records_among
SELECT r.*, s.ended_at, l.until
FROM json_each(?) j CROSS JOIN records r ON r.id = j.value
LEFT JOIN sessions s ON s.id = r.session AND r.kind = 'hypothesis'
LEFT JOIN leases l ON l.session = s.id
ORDER BY j.key;

-- name: records_of_session
SELECT r.*, s.ended_at, l.until
FROM records r
LEFT JOIN sessions s ON s.id = r.session AND r.kind = 'hypothesis'
LEFT JOIN leases l ON l.session = s.id
WHERE r.session = ? AND r.session <> '' ORDER BY r.seq;

-- name: record_seqs_from
SELECT seq FROM records WHERE seq >= ? ORDER BY seq;

-- name: id_at
SELECT id FROM records WHERE seq = ?;

-- name: count_entries
SELECT coalesce(max(seq) + 1, 0) FROM entries;

-- name: logged_at
SELECT logged_at FROM entries WHERE seq = ?;

-- name: shown_to
SELECT d.record FROM contexts c JOIN disclosures d ON d.context = c.no WHERE c.launch = ? ORDER BY d.n;

-- name: timeline
SELECT seq FROM (
    SELECT seq FROM (
        SELECT r.seq AS seq FROM records r
        WHERE r.scope = :scope AND (:task = '' OR r.task = :task) AND (:session = '' OR r.session = :session)
            AND (:record = '' OR r.id = :record) AND r.seq > :after AND r.seq < :before
        ORDER BY r.seq LIMIT :most
    )
    UNION ALL
    SELECT seq FROM (
        SELECT s.seq AS seq FROM sessions s
        WHERE s.scope = :scope AND (:task = '' OR s.task = :task) AND (:session = '' OR s.id = :session)
            AND :record = '' AND s.seq > :after AND s.seq < :before
        ORDER BY s.seq LIMIT :most
    )
    UNION ALL
    SELECT seq FROM (
        SELECT s.ended_seq AS seq FROM sessions s
        WHERE s.scope = :scope AND (:task = '' OR s.task = :task) AND (:session = '' OR s.id = :session)
            AND :record = '' AND s.ended_seq > :after AND s.ended_seq < :before
        ORDER BY s.ended_seq LIMIT :most
    )
    UNION ALL
    SELECT seq FROM (
        SELECT v.seq AS seq FROM reviews v JOIN records r ON r.id = v.record
        WHERE r.scope = :scope AND (:task = '' OR r.task = :task) AND (:session = '' OR r.session = :session)
            AND (:record = '' OR r.id = :record) AND v.seq > :after AND v.seq < :before
        ORDER BY v.seq LIMIT :most
    )
    UNION ALL
    SELECT seq FROM (
        SELECT t.seq AS seq FROM retractions t JOIN records r ON r.id = t.record
        WHERE r.scope = :scope AND (:task = '' OR r.task = :task) AND (:session = '' OR r.session = :session)
            AND (:record = '' OR r.id = :record) AND t.seq > :after AND t.seq < :before
        ORDER BY t.seq LIMIT :most
    )
    UNION ALL
    SELECT seq FROM (
        SELECT h.seq AS seq FROM handoffs h
        WHERE h.scope = :scope AND (:task = '' OR h.task = :task) AND :session = ''
            AND (:record = '' OR EXISTS (SELECT 1 FROM carried c WHERE c.handoff = h.seq AND c.record = :record))
            AND h.seq > :after AND h.seq < :before
        ORDER BY h.seq LIMIT :most
    )
    UNION ALL
    SELECT seq FROM (
        SELECT p.seq AS seq FROM receipts p JOIN handoffs h ON h.id = p.handoff
        WHERE h.scope = :scope AND (:task = '' OR h.task = :task) AND :session = '' AND :record = ''
            AND p.seq > :after AND p.seq < :before
        ORDER BY p.seq LIMIT :most
    )
    UNION ALL
    SELECT seq FROM (
        SELECT a.seq AS seq FROM answers a JOIN handoffs h ON h.id = a.handoff
        WHERE h.scope = :scope AND (:task = '' OR h.task = :task) AND :session = '' AND :record = ''
            AND a.seq > :after AND a.seq < :before
        ORDER BY a.seq LIMIT :most
    )
)
ORDER BY seq LIMIT :most;

-- name: count_records
SELECT kind, label, status, count(*) AS records FROM (
    SELECT r.kind, r.label, CASE
        WHEN r.revoked THEN 'revoked_author'
        WHEN r.retracted <> '' THEN 'retracted'
        WHEN r.suspect THEN 'suspect'
        WHEN r.superseded_by IS NOT NULL THEN 'superseded'
        WHEN r.expires_at <= :now THEN 'expired'
        WHEN r.kind = 'hypothesis' AND (l.until IS NULL OR l.until <= :now OR s.ended_at <= :now) THEN 'expired'
        ELSE 'in_force' END AS status
    FROM records r
    LEFT JOIN sessions s ON s.id = r.session AND r.kind = 'hypothesis'
    LEFT JOIN leases l ON l.session = s.id
    WHERE r.erased = 0
)
GROUP BY kind, label, status;

-- name: count_rows
SELECT
    (SELECT count(*) FROM records WHERE erased = 1) AS erased,
    (SELECT count(*) FROM principals) AS principals,
    (SELECT count(*) FROM contexts) AS contexts,
    (SELECT count(*) FROM contexts c JOIN principals p ON p.name = c.principal
        WHERE c.mark <= :tainted AND p.role IN ('worker', 'lead', 'tool')) AS tainted_contexts,
    (SELECT count(*) FROM disclosures) AS disclosures,
    (SELECT count(*) FROM reviews) AS reviews,
    (SELECT count(*) FROM retractions) AS retractions,
    (SELECT count(*) FROM records WHERE admitted = 1 AND label > :tainted AND erased = 0) AS admitted,
    (SELECT count(*) FROM records WHERE label <= :tainted AND erased = 0) AS tainted,
    (SELECT count(*) FROM sessions s JOIN leases l ON l.session = s.id
        WHERE s.ended_seq IS NULL AND l.until > :now) AS open_sessions,
    (SELECT count(*) FROM unembedded) AS unembedded;

-- name: embedding
SELECT e.generation, m.name, m.precision, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'vectors'), 0) AS last
FROM embedding e LEFT JOIN models m ON m.no = e.model;

-- name: put_model
INSERT INTO models (name, precision) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET precision = excluded.precision;

-- name: adopt_model
UPDATE embedding SET generation = generation + (model IS NOT (SELECT no FROM models WHERE name = :name)),
    model = (SELECT no FROM models WHERE name = :name);

-- name: empty_queue
DELETE FROM unembedded;

-- name: requeue
INSERT INTO unembedded (record, label)
SELECT r.seq, r.label FROM records r WHERE r.erased = 0 AND NOT EXISTS (
    SELECT 1 FROM vectors v, embedding e WHERE v.record = r.seq AND v.vector IS NOT NULL AND v.model = e.model
);

-- name: has_vectors
SELECT 1 FROM embedding e JOIN vectors v ON v.record = ? AND v.vector IS NOT NULL AND v.model = e.model LIMIT 1;

-- name: enqueue
INSERT INTO unembedded (record, label) VALUES (?, ?);

-- name: queued
SELECT record FROM unembedded ORDER BY label DESC, record LIMIT ?;

-- name: dequeue
DELETE FROM unembedded WHERE record = ?
    AND EXISTS (SELECT 1 FROM embedding e JOIN models m ON m.no = e.model WHERE m.name = ?);

-- name: forget_queued
DELETE FROM unembedded WHERE record = ?;

-- name: requeue_as
UPDATE unembedded SET label = ? WHERE record = ?;

-- name: put_vector
INSERT INTO vectors (record, model, passage, vector) VALUES (?, (SELECT no FROM models WHERE name = ?), ?, ?);

-- name: take_vectors
SELECT model, passage, vector FROM vectors WHERE record = ? AND vector IS NOT NULL ORDER BY passage;

-- name: put_back_vector
INSERT INTO vectors (record, model, passage, vector) VALUES (?, ?, ?, ?);

-- name: forget_vectors
DELETE FROM vectors WHERE record = ? AND vector IS NOT NULL;

-- name: vectors_gone
INSERT INTO vectors (record) VALUES (?);

-- name: vectors_since
SELECT v.no, v.record, v.passage, v.vector
FROM embedding e CROSS JOIN vectors v CROSS JOIN records r ON r.seq = v.record
WHERE v.no > :no AND r.scope = :scope AND (v.vector IS NULL OR (v.model = e.model AND r.label = :label))
ORDER BY v.no;

-- name: vectors_of_tier
SELECT v.no, v.record, v.passage, v.vector
FROM embedding e CROSS JOIN records r CROSS JOIN vectors v ON v.record = r.seq AND v.vector IS NOT NULL
WHERE r.scope = :scope AND r.label = :label AND v.model = e.model ORDER BY r.seq, v.passage;

-- name: vectors_of
SELECT v.record, v.passage, v.vector
FROM embedding e CROSS JOIN json_each(?) j CROSS JOIN vectors v ON v.record = j.value AND v.vector IS NOT NULL
WHERE v.model = e.model ORDER BY v.record, v.passage;

-- name: count_vectors
SELECT r.scope, r.label, count(DISTINCT v.record) AS records, count(*) AS vectors
FROM vectors v JOIN records r ON r.seq = v.record, embedding e
WHERE v.vector IS NOT NULL AND v.model = e.model GROUP BY r.scope, r.label ORDER BY r.scope, r.label DESC;

-- name: scopes
SELECT (SELECT min(scope) FROM records) AS least, (SELECT max(scope) FROM records) AS most;

-- name: readers
SELECT d.position, d.at, r.id, c.principal, d.label, d.detail, d.stale
FROM disclosures d JOIN contexts c ON c.no = d.context JOIN records r ON r.seq = d.record
WHERE d.record = ? ORDER BY d.position, d.context, d.n;

-- name: shown_in
SELECT d.position, d.at, coalesce(r.id, '') AS id, c.principal, d.label, d.detail, d.stale
FROM contexts c JOIN disclosures d ON d.context = c.no LEFT JOIN records r ON r.seq = d.record
WHERE c.launch = ? ORDER BY d.n;

-- name: of_task
SELECT id FROM records WHERE scope = ? AND task = ? AND erased = 0 AND (label < 2 OR revoked = 1 OR suspect = 1
    OR retracted <> '' OR superseded_by IS NOT NULL OR expires_at IS NOT NULL OR kind = 'hypothesis')
ORDER BY seq LIMIT ?;

-- name: waiting
SELECT id FROM (
    SELECT r.id, r.seq, r.label, row_number() OVER (PARTITION BY r.label, r.author ORDER BY r.seq) AS turn
    FROM records r WHERE :scope IN ('', r.scope) AND r.erased = 0 AND r.retracted = '' AND r.revoked = 0
        AND r.superseded_by IS NULL AND r.kind NOT IN ('hypothesis', 'tool_result', 'external')
        AND (r.expires_at IS NULL OR r.expires_at > :now)
        AND (r.suspect = 1 OR (r.label IN (1, 2) AND NOT EXISTS (
            SELECT 1 FROM reviews v WHERE v.record = r.id AND v.void = 0 AND v.carry <> 'nothing'
                AND ((v.stance = 'dispute' AND v.label >= r.label)
                    OR (v.carry IN ('person', 'checker') AND v.seq > r.fell_at))
                AND NOT EXISTS (SELECT 1 FROM reviews w
                    WHERE w.record = v.record AND w.author = v.author AND w.void = 0 AND w.seq > v.seq))))
)
ORDER BY label DESC, (turn - 1) / 3, seq LIMIT :most;

-- name: handoff
SELECT h.*, l.until FROM handoffs h LEFT JOIN handoff_leases l ON l.handoff = h.id AND l.token = h.token WHERE h.id = ?;

-- name: put_carried
INSERT OR IGNORE INTO carried (handoff, part, record) VALUES (?, ?, ?);

-- name: orphan_handoffs
UPDATE handoffs SET orphaned = NOT EXISTS (SELECT 1 FROM keys k
    WHERE k.principal = handoffs.receiver AND k.retired IS NULL AND k.compromised IS NULL)
WHERE receiver = (SELECT principal FROM keys WHERE keyid = ?);

-- name: put_phrased
INSERT OR IGNORE INTO phrased (record, handoff, gate) VALUES (?, ?, ?);

-- name: phrased_of
SELECT p.record FROM json_each(?1) j CROSS JOIN phrased p ON p.record = j.value
UNION
SELECT r.seq FROM json_each(?1) j CROSS JOIN records r ON r.seq = j.value
WHERE r.id IN (SELECT h.reason FROM handoffs h WHERE h.reason <> '');

-- name: handoffs_by_type
SELECT type AS name, count(*) AS many FROM handoffs GROUP BY type ORDER BY type;

-- name: handoffs_by_stage
SELECT stage AS name, count(*) AS many FROM handoffs GROUP BY stage ORDER BY stage;

-- name: handoff_signals
WITH finished AS (SELECT DISTINCT scope, task FROM sessions WHERE outcome = 'completed'),
questions AS (
    SELECT r.seq, r.scope, r.answered_by, lower(json_extract(CAST(c.content AS TEXT), '$.title')) AS title
    FROM records r JOIN contents c ON c.seq = r.seq WHERE r.kind = 'question' AND r.erased = 0
)
SELECT
    (SELECT count(*) FROM handoffs) AS handoffs,
    (SELECT count(*) FROM finished) AS finished_tasks,
    (SELECT count(*) FROM handoffs h JOIN finished f ON f.scope = h.scope AND f.task = h.task) AS of_finished_tasks,
    (SELECT count(DISTINCT r.handoff) FROM receipts r, json_each(r.problems) p WHERE p.value LIKE 'dropped_%')
        AS handoffs_that_dropped,
    (SELECT coalesce(max((h.logged_at - r.logged_at) / 1000000), 0) FROM carried c JOIN handoffs h ON h.seq = c.handoff
        JOIN records r ON r.id = c.record WHERE r.kind = 'tool_result') AS oldest_tool_result_seconds,
    (SELECT coalesce(avg((h.logged_at - r.logged_at) / 1000000), 0) FROM carried c JOIN handoffs h ON h.seq = c.handoff
        JOIN records r ON r.id = c.record WHERE r.kind = 'tool_result') AS mean_tool_result_seconds,
    (SELECT count(*) FROM questions q WHERE EXISTS (SELECT 1 FROM questions o WHERE o.scope = q.scope
        AND o.title = q.title AND o.seq < q.seq AND o.answered_by < q.seq)) AS questions_asked_again,
    (SELECT count(*) FROM answers a, json_each(a.acknowledged) p WHERE a.action = 'accept'
        AND p.value = 'unverified_output') AS accepted_with_unverified_outputs,
    (SELECT coalesce(max(hop), 0) FROM handoffs) AS most_hops,
    (SELECT coalesce(avg(hop), 0) FROM handoffs) AS mean_hops,
    (SELECT coalesce(sum(max(attempts - 1, 0)), 0) FROM handoffs)
        + (SELECT count(*) FROM handoffs h LEFT JOIN handoff_leases l ON l.handoff = h.id AND l.token = h.token
            WHERE h.stage = 'accepted' AND (l.until IS NULL OR l.until <= :now)) AS lapsed_leases;

-- name: handoff_twin
SELECT h.*, l.until FROM handoffs h LEFT JOIN handoff_leases l ON l.handoff = h.id AND l.token = h.token
WHERE h.sender = ? AND h.digest = ? ORDER BY h.seq DESC LIMIT 1;

-- name: handoff_keyed
SELECT h.*, l.until FROM handoffs h LEFT JOIN handoff_leases l ON l.handoff = h.id AND l.token = h.token
WHERE h.sender = ? AND h.key = ? AND h.key <> '' ORDER BY h.seq LIMIT 1;

-- name: handoffs_in
SELECT h.*, l.until FROM handoffs h LEFT JOIN handoff_leases l ON l.handoff = h.id AND l.token = h.token
WHERE h.scope = :scope AND (h.receiver = :principal OR (h.fallback <> '' AND h.fallback = :principal)
    OR h.holder = :principal OR (h.asked LIKE 'capability:%' AND h.stage = 'accepted'))
    AND h.stage IN ('awaiting_approval', 'offered', 'clarification_requested', 'accepted')
ORDER BY h.seq;

-- name: handoffs_in_all
SELECT h.*, l.until FROM handoffs h LEFT JOIN handoff_leases l ON l.handoff = h.id AND l.token = h.token
WHERE h.scope = :scope AND (h.receiver = :principal OR (h.fallback <> '' AND h.fallback = :principal)
    OR h.holder = :principal OR (h.asked LIKE 'capability:%' AND h.stage = 'accepted'))
ORDER BY h.seq;

-- name: handoffs_out
SELECT h.*, l.until FROM handoffs h LEFT JOIN handoff_leases l ON l.handoff = h.id AND l.token = h.token
WHERE h.scope = :scope AND h.sender = :principal
    AND h.stage IN ('awaiting_approval', 'offered', 'clarification_requested', 'accepted')
ORDER BY h.seq;

-- name: handoffs_out_all
SELECT h.*, l.until FROM handoffs h LEFT JOIN handoff_leases l ON l.handoff = h.id AND l.token = h.token
WHERE h.scope = :scope AND h.sender = :principal ORDER BY h.seq;

-- name: handoffs_dead_letter
SELECT h.*, l.until FROM handoffs h LEFT JOIN handoff_leases l ON l.handoff = h.id AND l.token = h.token
WHERE h.scope = :scope AND ((h.fallback <> '' AND h.fallback = :principal) OR h.sender = :principal)
    AND h.stage IN ('awaiting_approval', 'offered', 'clarification_requested', 'accepted')
ORDER BY h.seq;

-- name: handoffs_across
-- What comes to its receiver from other scopes, by a grant that names this one.
SELECT h.*, l.until FROM grants g JOIN handoffs h ON h.gives = g.id AND h.gives <> ''
LEFT JOIN handoff_leases l ON l.handoff = h.id AND l.token = h.token
WHERE g.principal = :principal AND h.receiver = :principal AND h.scope <> :scope
    AND EXISTS (SELECT 1 FROM json_each(g.scopes) s WHERE s.value = :scope)
    AND (:done OR h.stage IN ('awaiting_approval', 'offered', 'clarification_requested', 'accepted'))
ORDER BY h.seq;

-- name: handoffs_open
SELECT h.*, l.until FROM handoffs h LEFT JOIN handoff_leases l ON l.handoff = h.id AND l.token = h.token
WHERE h.scope = :scope AND (:task = '' OR h.task = :task)
    AND h.stage IN ('awaiting_approval', 'offered', 'clarification_requested', 'accepted')
ORDER BY h.seq;

-- name: carried_before
WITH task AS (
    SELECT h.seq, h.id, h.sender, h.receiver, h.stage FROM handoffs h
    WHERE :task <> '' AND h.scope = :scope AND h.task = :task AND h.seq < :seq AND h.label >= :least
), mine AS (
    SELECT h.seq FROM task h WHERE
        (h.sender = :sender AND h.receiver = :receiver AND h.stage NOT IN ('cancelled', 'denied', 'rejected'))
        OR EXISTS (SELECT 1 FROM answers a WHERE a.handoff = h.id AND a.author = :sender AND a.action = 'accept'
            AND a.seq < :seq)
    UNION SELECT h.seq FROM handoffs h WHERE h.id = :parent
)
-- Who comes new to a task goes on from its last handoff; who has sent some in it already began a branch of its own.
SELECT DISTINCT c.part, c.record FROM carried c
WHERE c.part IN ('constraints', 'questions', 'caveats') AND (c.handoff IN (SELECT seq FROM mine)
    OR (NOT EXISTS (SELECT 1 FROM mine) AND NOT EXISTS (SELECT 1 FROM task WHERE sender = :sender)
        AND c.handoff = (SELECT max(seq) FROM task)))
ORDER BY c.part, c.record;

-- name: handoff_held
SELECT h.*, l.until FROM handoffs h LEFT JOIN handoff_leases l ON l.handoff = h.id AND l.token = h.token
-- What crossed into this scope is worked under in the context that took it.
WHERE h.holder = :principal AND h.holder <> '' AND (
        (h.scope = :scope AND (h.task = :task OR h.holder_launch = :launch))
        OR (h.holder_launch = :launch
            AND h.id IN (SELECT handoff FROM answers WHERE launch = :launch AND action IN ('accept', 'resume'))))
    AND (h.type <> 'report' OR :principal NOT IN (WITH RECURSIVE up(name) AS (
        SELECT under FROM principals WHERE name = h.sender
        UNION SELECT p.under FROM principals p JOIN up ON p.name = up.name) SELECT name FROM up))
ORDER BY (SELECT max(a.seq) FROM answers a WHERE a.handoff = h.id AND a.action IN ('accept', 'resume')) DESC LIMIT 1;

-- name: handoffs_leased
SELECT h.*, l.until FROM handoffs h JOIN handoff_leases l ON l.handoff = h.id AND l.token = h.token
WHERE h.stage = 'accepted' AND h.holder = :principal AND h.holder_launch = :launch AND l.until > :now
    AND h.id IN (SELECT handoff FROM answers WHERE launch = :launch AND action IN ('accept', 'resume'))
ORDER BY h.seq;

-- name: lease_handoff
INSERT INTO handoff_leases (handoff, token, until) VALUES (?, ?, ?)
ON CONFLICT (handoff) DO UPDATE SET token = excluded.token, until = excluded.until;

-- name: put_handoff
INSERT INTO handoffs (seq, id, logged_at, scope, task, type, sender, launch, asked, receiver, fallback, contract, deadline,
    parent, correlation, hop, label, digest, key, stage, moved, gated, gives)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: move_handoff
UPDATE handoffs SET stage = ?, moved = ?, token = ?, attempts = ?, holder = ?, holder_launch = ?, question = ?, reason = ?,
    decided = ? WHERE id = ?;

-- name: put_receipt
INSERT INTO receipts (seq, id, handoff, author, launch, token, verified, problems, found)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: receipt
SELECT * FROM receipts WHERE id = ?;

-- name: receipts
SELECT * FROM receipts WHERE handoff = ? ORDER BY seq;

-- name: put_answer
INSERT INTO answers (seq, handoff, author, action, lease, digest, receipt, outputs, acknowledged, launch)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: answers
SELECT * FROM answers WHERE handoff = ? ORDER BY seq;

-- name: answered
SELECT * FROM answers WHERE handoff = ? AND digest = ? ORDER BY seq LIMIT 1;

-- name: put_contract
INSERT OR IGNORE INTO contracts (name, seq, owner, form) VALUES (?, ?, ?, ?);

-- name: deprecate_contract
UPDATE contracts SET deprecated = coalesce(deprecated, ?), successor = ? WHERE name = ?;

-- name: contract
SELECT * FROM contracts WHERE name = ?;

-- name: contracts
SELECT * FROM contracts ORDER BY name;

-- name: worked_under
-- What its context had taken up before, and neither ended nor lost to another.
SELECT a.handoff FROM answers a
WHERE a.launch = :launch AND a.action IN ('accept', 'resume') AND a.seq < :seq AND NOT EXISTS (
    SELECT 1 FROM answers o WHERE o.handoff = a.handoff AND o.seq > a.seq AND o.seq < :seq
        AND o.action IN ('accept', 'resume', 'complete', 'fail', 'cancel'))
ORDER BY a.seq DESC LIMIT 1;

-- name: told_before
-- The intents and constraints of its scope that its context had been shown before, and those of the handoff.
SELECT r.kind, r.id FROM records r
WHERE r.scope = :scope AND r.task IN ('', :task) AND r.kind IN ('intent', 'constraint') AND r.seq < :seq
    AND EXISTS (SELECT 1 FROM contexts c JOIN disclosures d ON d.record = r.seq AND d.context = c.no
        WHERE c.launch = :launch AND d.n <= :shown)
UNION
SELECT r.kind, r.id FROM handoffs h JOIN carried c ON c.handoff = h.seq AND c.part = 'constraints'
JOIN records r ON r.id = c.record WHERE h.id = :handoff AND r.scope = :scope
ORDER BY 1, 2 LIMIT 64;

-- name: newest_checkpoint
-- Of each context that took this handoff: written while it held it, and before it took up another of the same task.
SELECT r.id FROM answers t JOIN records r ON r.launch = t.launch
WHERE t.handoff = :handoff AND t.action IN ('accept', 'resume') AND t.launch <> '' AND r.seq > t.seq
    AND r.kind = 'checkpoint' AND r.scope = :scope AND (:task = '' OR r.task IN ('', :task))
    AND r.erased = 0 AND r.retracted = '' AND r.superseded_by IS NULL
    AND NOT EXISTS (SELECT 1 FROM answers o WHERE o.handoff = :handoff AND o.action IN ('accept', 'resume')
        AND o.seq > t.seq AND o.seq < r.seq)
    AND NOT EXISTS (SELECT 1 FROM answers o JOIN handoffs h ON h.id = o.handoff WHERE o.launch = t.launch
        AND o.action IN ('accept', 'resume') AND o.seq > t.seq AND o.seq < r.seq AND h.task IN ('', r.task))
ORDER BY r.seq DESC LIMIT 1;

-- name: keep
INSERT OR IGNORE INTO former SELECT r.seq, :act, r.label, r.superseded_by, r.answered_by, r.revoked, r.suspect, r.retracted,
    r.needs_revisit, r.admitted, r.fell_at, r.because
FROM records r WHERE r.seq = :seq;

-- name: keep_named
INSERT OR IGNORE INTO former SELECT r.seq, :act, r.label, r.superseded_by, r.answered_by, r.revoked, r.suspect, r.retracted,
    r.needs_revisit, r.admitted, r.fell_at, r.because
FROM records r WHERE r.id = :record;

-- name: keep_unflagged
INSERT OR IGNORE INTO former SELECT r.seq, :act, r.label, r.superseded_by, r.answered_by, r.revoked, r.suspect, r.retracted,
    r.needs_revisit, r.admitted, r.fell_at, r.because
FROM records r WHERE r.seq = :seq AND r.needs_revisit = 0;

-- name: keep_superseded
INSERT OR IGNORE INTO former SELECT r.seq, :act, r.label, r.superseded_by, r.answered_by, r.revoked, r.suspect, r.retracted,
    r.needs_revisit, r.admitted, r.fell_at, r.because
FROM records r WHERE r.id = :record AND r.superseded_by IS NULL;

-- name: keep_supersedes
INSERT OR IGNORE INTO former SELECT r.seq, :act, r.label, r.superseded_by, r.answered_by, r.revoked, r.suspect, r.retracted,
    r.needs_revisit, r.admitted, r.fell_at, r.because
FROM records r WHERE r.id = :record AND r.superseded_by IS NOT :by;

-- name: keep_answers
INSERT OR IGNORE INTO former SELECT r.seq, :act, r.label, r.superseded_by, r.answered_by, r.revoked, r.suspect, r.retracted,
    r.needs_revisit, r.admitted, r.fell_at, r.because
FROM records r WHERE r.id = :record AND r.answered_by IS NOT :by;

-- name: keep_of_a_stolen_key
INSERT OR IGNORE INTO former SELECT r.seq, :act, r.label, r.superseded_by, r.answered_by, r.revoked, r.suspect, r.retracted,
    r.needs_revisit, r.admitted, r.fell_at, r.because
FROM records r WHERE (r.revoked = 0 AND r.seq IN (SELECT seq FROM entries WHERE keyid = :keyid AND seq >= :since))
    OR (r.retracted <> '' AND r.id IN (SELECT record FROM retractions));

-- name: stood
SELECT * FROM former WHERE record = ? AND act >= ? ORDER BY act LIMIT 1;

-- name: story
SELECT * FROM former WHERE record = ? ORDER BY act;

-- name: ended_after
SELECT 1 FROM sessions s JOIN leases l ON l.session = s.id WHERE s.id = ? AND s.ended_seq >= ? AND l.until > s.ended_at;

-- name: ids_like
SELECT id FROM records WHERE id >= ? AND id < ? AND scope = ? ORDER BY id LIMIT ?;

-- name: changed
SELECT seq FROM (
    SELECT r.seq, r.label FROM records r WHERE r.scope = :scope AND r.seq > :after AND r.seq < :before
    UNION SELECT r.seq, r.label FROM former f JOIN records r ON r.seq = f.record
        WHERE f.act > :after AND f.act < :before AND r.scope = :scope AND r.seq < :before
    UNION SELECT r.seq, r.label FROM records r
        WHERE r.expires_at > :since AND r.expires_at <= :until AND r.scope = :scope AND r.seq < :before
    UNION SELECT r.seq, r.label FROM sessions s JOIN records r ON r.session = s.id AND r.session <> ''
        AND r.kind = 'hypothesis'
        WHERE s.ended_seq > :after AND s.ended_seq < :before AND r.scope = :scope
)
ORDER BY label DESC, seq LIMIT :most;

-- name: lapsed
SELECT * FROM (
    SELECT l.until AS at, s.id AS id, s.principal AS whose FROM sessions s JOIN leases l ON l.session = s.id
    WHERE s.scope = :scope AND (:task = '' OR s.task = :task) AND (:session = '' OR s.id = :session)
        AND l.until > :since AND l.until <= :until AND (s.ended_at IS NULL OR s.ended_at > l.until)
    UNION ALL
    SELECT l.until, h.id, h.holder FROM handoffs h JOIN handoff_leases l ON l.handoff = h.id AND l.token = h.token
    WHERE h.scope = :scope AND (:task = '' OR h.task = :task) AND :session = '' AND h.stage = 'accepted'
        AND l.until > :since AND l.until <= :until
)
ORDER BY at, id LIMIT :most;

-- name: facts
SELECT r.seq, r.id, r.kind, r.author, coalesce(f.label, r.label), coalesce(f.fell_at, r.fell_at),
    CASE WHEN p.role IN ('worker', 'lead', 'tool') THEN r.launch ELSE '' END, r.task, r.shown
FROM json_each(:seqs) j CROSS JOIN records r ON r.seq = j.value LEFT JOIN principals p ON p.name = r.author
LEFT JOIN former f ON f.record = r.seq
    AND f.act = (SELECT min(g.act) FROM former g WHERE g.record = r.seq AND g.act >= :before);

-- name: named_in
SELECT end, found, label FROM (
    SELECT l.record AS end, r.seq AS found, r.label AS label,
        row_number() OVER (PARTITION BY r.label ORDER BY r.seq) AS place
    FROM json_each(:seqs) j
    CROSS JOIN links l ON l.record = j.value AND l.how IN ('derived_from', 'evidence', 'conditions')
    CROSS JOIN records r ON r.id = l.target
    WHERE r.scope = :scope AND r.seq < :before
)
WHERE place <= :most ORDER BY label, place;

-- name: named_by
SELECT end, found, label FROM (
    SELECT t.seq AS end, r.seq AS found, r.label AS label,
        row_number() OVER (PARTITION BY r.label ORDER BY r.seq) AS place
    FROM json_each(:seqs) j CROSS JOIN records t ON t.seq = j.value
    CROSS JOIN links l ON l.target = t.id AND l.how IN ('derived_from', 'evidence', 'conditions')
    CROSS JOIN records r ON r.seq = l.record
    WHERE r.scope = :scope AND r.seq < :before
)
WHERE place <= :most ORDER BY label, place;

-- name: shown_in_spans
SELECT end, found, label FROM (
    SELECT j.value ->> 3 AS end, d.record AS found, r.label AS label,
        row_number() OVER (PARTITION BY r.label ORDER BY d.n DESC) AS place
    FROM json_each(:spans) j CROSS JOIN contexts c ON c.launch = j.value ->> 0
    CROSS JOIN disclosures d ON d.context = c.no AND d.n > j.value ->> 1 AND d.n <= j.value ->> 2
    CROSS JOIN records r ON r.seq = d.record
    WHERE r.scope = :scope AND r.seq < :before
)
WHERE place <= :most ORDER BY label, place;

-- name: first_shown
SELECT c.launch, min(d.n) AS n, d.record FROM json_each(:seqs) j CROSS JOIN disclosures d ON d.record = j.value
CROSS JOIN contexts c ON c.no = d.context JOIN principals p ON p.name = c.principal
WHERE d.position <= :before AND p.role IN ('worker', 'lead', 'tool') GROUP BY d.context;

-- name: written_in_spans
SELECT end, found, label FROM (
    SELECT j.value ->> 3 AS end, r.seq AS found, r.label AS label,
        row_number() OVER (PARTITION BY r.label ORDER BY r.seq) AS place
    FROM json_each(:spans) j
    CROSS JOIN records r ON r.launch = j.value ->> 0 AND r.shown >= j.value ->> 1 AND r.shown < j.value ->> 2
    WHERE +r.scope = :scope AND r.seq < :before
)
WHERE place <= :most ORDER BY label, place;

-- name: said_before
SELECT end, found, label FROM (
    SELECT j.value ->> 3 AS end, r.seq AS found, r.label AS label,
        row_number() OVER (PARTITION BY r.label ORDER BY r.seq DESC) AS place
    FROM json_each(:spans) j CROSS JOIN records e ON e.seq = j.value ->> 3
    CROSS JOIN records r ON r.launch = e.launch AND +r.task = e.task
    WHERE r.seq >= j.value ->> 1 AND r.seq < j.value ->> 2 AND +r.scope = :scope AND r.seq < :before
)
WHERE place <= :most ORDER BY label, place;

-- name: said_later
SELECT end, found, label FROM (
    SELECT j.value ->> 3 AS end, r.seq AS found, r.label AS label,
        row_number() OVER (PARTITION BY r.label ORDER BY r.seq) AS place
    FROM json_each(:spans) j CROSS JOIN records e ON e.seq = j.value ->> 3
    CROSS JOIN records r ON r.launch = e.launch AND +r.task = e.task
    WHERE r.seq > j.value ->> 1 AND r.seq < j.value ->> 2 AND +r.scope = :scope AND r.seq < :before
)
WHERE place <= :most ORDER BY label, place;

-- name: seen_by
SELECT c.principal, count(*) AS times, min(d.at) AS first, max(d.at) AS last, max(d.detail) AS detail
FROM disclosures d JOIN contexts c ON c.no = d.context WHERE d.record = ? AND d.position <= ? AND d.at <= ?
GROUP BY c.principal ORDER BY min(d.position), c.principal LIMIT ?;

-- name: contexts
SELECT launch, principal, scope FROM contexts ORDER BY no;

-- name: shown_from
SELECT d.*, c.launch FROM disclosures d JOIN contexts c ON c.no = d.context WHERE d.position >= ?
ORDER BY d.position, d.context, d.n;

-- name: last_shown
SELECT coalesce(max(n), 0) FROM disclosures WHERE context = ?;

-- name: shown_as
SELECT n, record, position, at, label, detail, stale FROM disclosures WHERE context = ? AND n = ?;

-- name: mark_copied
UPDATE store SET copied = 1 WHERE one = 1;

-- name: leaked
SELECT seq FROM records WHERE retracted = 'leaked';

-- name: forget_leaked
DELETE FROM contents WHERE seq IN (SELECT seq FROM records WHERE retracted = 'leaked');

-- name: put_token
INSERT INTO tokens (id, digest, principal, position, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?);

-- name: token
SELECT * FROM tokens WHERE digest = ?;

-- name: tokens
SELECT * FROM tokens ORDER BY created_at, id;

-- name: revoke_token
UPDATE tokens SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?;
