-- A database of version 9 of the schema. `.dump` of sqlite3 can't write its index: it is made here. It never changes.
BEGIN TRANSACTION;
CREATE TABLE asset (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            type TEXT NOT NULL,
            status TEXT NOT NULL,
            description TEXT NOT NULL,
            config TEXT NOT NULL,
            secret_ref TEXT,
            managed_by TEXT NOT NULL,
            external_ref TEXT UNIQUE,
            version INTEGER NOT NULL,
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL
        , search TEXT NOT NULL DEFAULT '', effective_status TEXT NOT NULL DEFAULT '', namespace TEXT GENERATED ALWAYS AS (
            substr(external_ref, instr(external_ref, '/') + 1,
                instr(substr(external_ref, instr(external_ref, '/') + 1), '/') - 1)
        ) VIRTUAL);
INSERT INTO asset VALUES(1,'0a000000000040008000000000000001','GRÖSSE','DatabaseConnection','Active','Orders','{"engine":"postgres","host":"db","database":"orders"}','{"name":"db","key":"password"}','user',NULL,1,'2026-01-01T00:00:00.000000Z','2026-01-02T00:00:00.000000Z','grösse' || char(31) || 'orders','Active');
INSERT INTO asset VALUES(2,'0a000000000040008000000000000002','matcher','Other','Active','','{}',NULL,'user',NULL,2,'2026-01-02T00:00:00.000000Z','2026-01-03T00:00:00.000000Z','matcher' || char(31) || '','Active');
INSERT INTO asset VALUES(3,'0a000000000040008000000000000003','feed','Other','Draft','','{"n":1.5}',NULL,'crd','crd/default/market.feed',1,'2026-01-03T00:00:00.000000Z','2026-01-04T00:00:00.000000Z','feed' || char(31) || '','Draft');
CREATE TABLE asset_tag (
            asset INTEGER NOT NULL REFERENCES asset (seq) ON DELETE CASCADE,
            tag INTEGER NOT NULL REFERENCES tag (id) ON DELETE RESTRICT,
            PRIMARY KEY (asset, tag)
        );
INSERT INTO asset_tag VALUES(1,1);
INSERT INTO asset_tag VALUES(2,1);
INSERT INTO asset_tag VALUES(2,2);
CREATE TABLE change (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            asset_id TEXT NOT NULL,
            name TEXT NOT NULL,
            external_ref TEXT,
            version INTEGER NOT NULL,
            action TEXT NOT NULL,
            actor TEXT NOT NULL,
            request_id TEXT,
            at TEXT NOT NULL,
            before TEXT,
            after TEXT
        );
INSERT INTO change VALUES(1,'0a000000000040008000000000000001','GRÖSSE',NULL,1,'created','anonymous','r1','2026-01-01T00:00:00.000000Z',NULL,'{"name":"GR\u00d6SSE"}');
INSERT INTO change VALUES(2,'0a000000000040008000000000000002','matcher',NULL,1,'created','anonymous','r1','2026-01-02T00:00:00.000000Z',NULL,'{"name":"matching"}');
INSERT INTO change VALUES(3,'0a000000000040008000000000000002','matcher',NULL,2,'updated','anonymous','r1','2026-01-03T00:00:00.000000Z','{"name":"matching"}','{"name":"matcher"}');
INSERT INTO change VALUES(4,'0a000000000040008000000000000009','gone',NULL,1,'deleted','anonymous','r1','2026-01-03T00:00:00.000000Z','{"name":"gone"}',NULL);
CREATE TABLE dependency (
            src INTEGER NOT NULL REFERENCES asset (seq) ON DELETE CASCADE,
            dst INTEGER NOT NULL REFERENCES asset (seq) ON DELETE RESTRICT,
            PRIMARY KEY (src, dst)
        );
INSERT INTO dependency VALUES(2,1);
CREATE TABLE pending_dependency (
            src INTEGER NOT NULL REFERENCES asset (seq) ON DELETE CASCADE,
            ref TEXT NOT NULL, target_id TEXT,
            PRIMARY KEY (src, ref)
        );
INSERT INTO pending_dependency VALUES(3,'crd/default/market.gone','0a000000-0000-4000-8000-000000000009');
CREATE TABLE receipt (
            actor TEXT NOT NULL,
            key TEXT NOT NULL,
            digest TEXT NOT NULL,
            at TEXT NOT NULL,
            answer TEXT NOT NULL,
            PRIMARY KEY (actor, key)
        );
INSERT INTO receipt VALUES('anonymous','key-1','d1g357','2026-01-03T00:00:00.000000Z','{"status": 201}');
CREATE TABLE schema_version (version INTEGER NOT NULL);
INSERT INTO schema_version VALUES(9);
CREATE TABLE tag (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, number INTEGER NOT NULL DEFAULT 0);
INSERT INTO tag VALUES(1,'env:prod',2);
INSERT INTO tag VALUES(2,'team-a',1);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('asset',3);
INSERT INTO sqlite_sequence VALUES('change',4);
CREATE INDEX dependency_dst ON dependency (dst, src);
CREATE INDEX pending_dependency_ref ON pending_dependency (ref);
CREATE INDEX change_asset ON change (asset_id, seq);
CREATE INDEX receipt_at ON receipt (at);
CREATE INDEX asset_status ON asset (status, seq);
CREATE INDEX asset_effective_status ON asset (effective_status, seq);
CREATE INDEX asset_type ON asset (type, seq);
CREATE INDEX asset_managed_by ON asset (managed_by, seq);
CREATE INDEX asset_namespace ON asset (namespace, seq);
CREATE INDEX asset_tag_tag ON asset_tag (tag, asset);
CREATE TABLE report (
            asset INTEGER PRIMARY KEY REFERENCES asset (seq) ON DELETE CASCADE,
            day_pnl TEXT NOT NULL,
            at TEXT NOT NULL
        );
INSERT INTO report VALUES(3,'-12.5','2026-01-05T00:00:00.000000Z');
CREATE TABLE asset_tally (
        type TEXT NOT NULL,
        status TEXT NOT NULL,
        effective_status TEXT NOT NULL,
        managed_by TEXT NOT NULL,
        number INTEGER NOT NULL,
        PRIMARY KEY (type, status, effective_status, managed_by)
    );
INSERT INTO asset_tally VALUES('DatabaseConnection','Active','Active','user',1);
INSERT INTO asset_tally VALUES('Other','Active','Active','user',1);
INSERT INTO asset_tally VALUES('Other','Draft','Draft','crd',1);
CREATE INDEX asset_name ON asset (name, seq, type, status, effective_status, managed_by);
CREATE INDEX asset_updated_at ON asset (updated_at, seq, type, status, effective_status, managed_by);
CREATE VIRTUAL TABLE asset_search USING fts5 (search, content = 'asset', content_rowid = 'seq', tokenize = 'trigram case_sensitive 1', columnsize = 0);
CREATE VIRTUAL TABLE asset_search_part USING fts5vocab (asset_search, row);
INSERT INTO asset_search (asset_search) VALUES ('rebuild');
CREATE TRIGGER asset_created AFTER INSERT ON asset BEGIN INSERT INTO asset_tally VALUES (new.type, new.status, new.effective_status, new.managed_by, 1) ON CONFLICT (type, status, effective_status, managed_by) DO UPDATE SET number = number + 1; INSERT INTO asset_search (rowid, search) VALUES (new.seq, new.search); END;
CREATE TRIGGER asset_deleted AFTER DELETE ON asset BEGIN UPDATE asset_tally SET number = number - 1 WHERE (type, status, effective_status, managed_by) = (old.type, old.status, old.effective_status, old.managed_by); INSERT INTO asset_search (asset_search, rowid, search) VALUES ('delete', old.seq, old.search); END;
CREATE TRIGGER asset_changed AFTER UPDATE OF type, status, effective_status, managed_by ON asset WHEN (old.type, old.status, old.effective_status, old.managed_by) <> (new.type, new.status, new.effective_status, new.managed_by) BEGIN UPDATE asset_tally SET number = number - 1 WHERE (type, status, effective_status, managed_by) = (old.type, old.status, old.effective_status, old.managed_by); INSERT INTO asset_tally VALUES (new.type, new.status, new.effective_status, new.managed_by, 1) ON CONFLICT (type, status, effective_status, managed_by) DO UPDATE SET number = number + 1; END;
CREATE TRIGGER asset_renamed AFTER UPDATE OF search ON asset WHEN old.search <> new.search BEGIN INSERT INTO asset_search (asset_search, rowid, search) VALUES ('delete', old.seq, old.search); INSERT INTO asset_search (rowid, search) VALUES (new.seq, new.search); END;
CREATE TRIGGER asset_tagged AFTER INSERT ON asset_tag BEGIN UPDATE tag SET number = number + 1 WHERE id = new.tag; END;
CREATE TRIGGER asset_untagged AFTER DELETE ON asset_tag BEGIN UPDATE tag SET number = number - 1 WHERE id = old.tag; END;
COMMIT;
