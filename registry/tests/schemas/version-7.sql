-- A database of version 7 of the schema, as `.dump` of sqlite3 writes it. It never changes.
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
INSERT INTO schema_version VALUES(7);
CREATE TABLE tag (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
INSERT INTO tag VALUES(1,'env:prod');
INSERT INTO tag VALUES(2,'team-a');
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('asset',3);
INSERT INTO sqlite_sequence VALUES('change',4);
CREATE INDEX asset_updated_at ON asset (updated_at);
CREATE INDEX dependency_dst ON dependency (dst, src);
CREATE INDEX pending_dependency_ref ON pending_dependency (ref);
CREATE INDEX change_asset ON change (asset_id, seq);
CREATE INDEX receipt_at ON receipt (at);
CREATE INDEX asset_name ON asset (name);
CREATE INDEX asset_status ON asset (status, seq);
CREATE INDEX asset_effective_status ON asset (effective_status, seq);
CREATE INDEX asset_type ON asset (type, seq);
CREATE INDEX asset_managed_by ON asset (managed_by, seq);
CREATE INDEX asset_namespace ON asset (namespace, seq);
CREATE INDEX asset_tag_tag ON asset_tag (tag, asset);
COMMIT;
