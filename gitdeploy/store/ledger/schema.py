"""The ledger's tables. A change of the schema is a new migration; one that has been released is never edited."""

from __future__ import annotations

from sqlite_utils import Database, Migrations

migrations = Migrations("gitdeploy")

_FIRST = """
CREATE TABLE sites (
  name TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, created_at TEXT NOT NULL, created_by TEXT NOT NULL,
  policy TEXT, last_release INTEGER NOT NULL, lock TEXT NOT NULL, last_snapshot INTEGER NOT NULL
);
CREATE TABLE environments (
  site TEXT NOT NULL REFERENCES sites(name) ON UPDATE CASCADE ON DELETE CASCADE, name TEXT NOT NULL,
  kind TEXT NOT NULL, branch TEXT NOT NULL, folder TEXT NOT NULL, created_at TEXT NOT NULL,
  state TEXT NOT NULL, "release" INTEGER, expires_at TEXT, scale TEXT NOT NULL,
  PRIMARY KEY (site, name), UNIQUE (site, folder)
);
CREATE TABLE builds (
  id TEXT PRIMARY KEY, site TEXT NOT NULL REFERENCES sites(name) ON UPDATE CASCADE ON DELETE CASCADE,
  "commit" TEXT NOT NULL, tree TEXT NOT NULL, ref TEXT NOT NULL, state TEXT NOT NULL, actor TEXT NOT NULL,
  created_at TEXT NOT NULL, key TEXT NOT NULL, recipe TEXT NOT NULL, reused_from TEXT, artifact TEXT,
  subject TEXT NOT NULL, started_at TEXT, finished_at TEXT, seconds REAL, error TEXT, push TEXT, builder TEXT
);
CREATE INDEX builds_by_key ON builds (site, key, state);
CREATE INDEX builds_by_commit ON builds (site, "commit");
CREATE INDEX builds_by_state ON builds (state, site);
CREATE INDEX builds_by_site ON builds (site, id);
CREATE INDEX builds_by_artifact ON builds (artifact);
CREATE TABLE releases (
  id TEXT PRIMARY KEY, site TEXT NOT NULL REFERENCES sites(name) ON UPDATE CASCADE ON DELETE CASCADE,
  number INTEGER NOT NULL, env TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, "commit" TEXT NOT NULL,
  subject TEXT NOT NULL, build TEXT NOT NULL, artifact TEXT NOT NULL, actor TEXT NOT NULL,
  created_at TEXT NOT NULL, origin INTEGER NOT NULL, mark TEXT NOT NULL, reason TEXT NOT NULL,
  pinned INTEGER NOT NULL, live_at TEXT, ended_at TEXT, serves TEXT NOT NULL, slot TEXT NOT NULL,
  config INTEGER NOT NULL, data INTEGER NOT NULL, schemas TEXT NOT NULL, image TEXT NOT NULL, UNIQUE (site, number)
);
CREATE INDEX releases_by_env ON releases (site, env, number);
CREATE INDEX releases_by_state ON releases (state, site, env);
CREATE INDEX releases_of_site_by_state ON releases (state, site, number);
CREATE INDEX releases_by_commit ON releases (site, env, "commit");
CREATE INDEX releases_by_time ON releases (live_at);
CREATE INDEX releases_by_serves ON releases (serves, site, env);
CREATE TABLE images (
  site TEXT NOT NULL REFERENCES sites(name) ON UPDATE CASCADE ON DELETE CASCADE, build TEXT NOT NULL,
  base TEXT NOT NULL, kind TEXT NOT NULL, artifact TEXT NOT NULL, reference TEXT NOT NULL, manifest BLOB NOT NULL,
  chain TEXT NOT NULL, created_at TEXT NOT NULL, PRIMARY KEY (site, build, base)
);
CREATE INDEX images_by_artifact ON images (artifact);
CREATE INDEX images_by_time ON images (site, kind, created_at);
CREATE INDEX releases_of_env_by_time ON releases (site, env, live_at, number);
CREATE TABLE pushes (
  id TEXT NOT NULL, ref TEXT NOT NULL, site TEXT NOT NULL REFERENCES sites(name) ON UPDATE CASCADE ON DELETE CASCADE,
  old TEXT NOT NULL, new TEXT NOT NULL, actor TEXT NOT NULL, options TEXT NOT NULL, created_at TEXT NOT NULL,
  PRIMARY KEY (id, ref)
);
CREATE TABLE configs (
  site TEXT NOT NULL REFERENCES sites(name) ON UPDATE CASCADE ON DELETE CASCADE, env TEXT NOT NULL,
  number INTEGER NOT NULL, created_at TEXT NOT NULL, actor TEXT NOT NULL, sealed BLOB NOT NULL,
  PRIMARY KEY (site, env, number)
);
CREATE TABLE databases (
  site TEXT NOT NULL REFERENCES sites(name) ON UPDATE CASCADE ON DELETE CASCADE, env TEXT NOT NULL,
  name TEXT NOT NULL, sealed BLOB NOT NULL, created_at TEXT NOT NULL, PRIMARY KEY (site, env, name)
);
CREATE TABLE schemas (fingerprint TEXT PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE snapshots (
  id TEXT PRIMARY KEY, site TEXT NOT NULL REFERENCES sites(name) ON UPDATE CASCADE ON DELETE CASCADE,
  number INTEGER NOT NULL, env TEXT NOT NULL, created_at TEXT NOT NULL, actor TEXT NOT NULL,
  artifact TEXT NOT NULL, bytes INTEGER NOT NULL, files INTEGER NOT NULL, stored INTEGER NOT NULL,
  "release" INTEGER NOT NULL, databases TEXT NOT NULL, label TEXT NOT NULL, cause TEXT NOT NULL,
  pinned INTEGER NOT NULL, verified TEXT NOT NULL, copied TEXT NOT NULL, expires_at TEXT,
  newer INTEGER NOT NULL, flaw TEXT NOT NULL, UNIQUE (site, number)
);
CREATE TABLE moves (
  id TEXT PRIMARY KEY, site TEXT NOT NULL REFERENCES sites(name) ON UPDATE CASCADE ON DELETE CASCADE,
  source TEXT NOT NULL, target TEXT NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL, chosen TEXT NOT NULL,
  state TEXT NOT NULL, created_at TEXT NOT NULL, snapshot TEXT NOT NULL, report TEXT NOT NULL, finished_at TEXT,
  error TEXT NOT NULL
);
CREATE INDEX moves_by_state ON moves (state, site, target);
CREATE INDEX moves_by_site ON moves (site, id);
CREATE TABLE rehearsals (
  id TEXT PRIMARY KEY, site TEXT NOT NULL REFERENCES sites(name) ON UPDATE CASCADE ON DELETE CASCADE,
  env TEXT NOT NULL, verb TEXT NOT NULL, subject TEXT NOT NULL, inputs TEXT NOT NULL, described TEXT NOT NULL,
  created_at TEXT NOT NULL, actor TEXT NOT NULL, seconds REAL NOT NULL, pause REAL NOT NULL,
  findings TEXT NOT NULL, error TEXT NOT NULL
);
CREATE INDEX rehearsals_by_inputs ON rehearsals (site, inputs);
CREATE INDEX rehearsals_by_site ON rehearsals (site, id);
CREATE TABLE cutovers (
  id TEXT PRIMARY KEY, site TEXT NOT NULL REFERENCES sites(name) ON UPDATE CASCADE ON DELETE CASCADE,
  preview TEXT NOT NULL, state TEXT NOT NULL, created_at TEXT NOT NULL, requester TEXT NOT NULL, note TEXT NOT NULL,
  ticket TEXT NOT NULL, decided_at TEXT, decided_by TEXT NOT NULL, reason TEXT NOT NULL, started_at TEXT,
  run_by TEXT NOT NULL, filled TEXT NOT NULL, backup TEXT NOT NULL, rehearsal TEXT NOT NULL, "release" INTEGER,
  finished_at TEXT, error TEXT NOT NULL, warned TEXT NOT NULL
);
CREATE UNIQUE INDEX cutovers_open ON cutovers (site, preview) WHERE state IN ('open', 'acked', 'in_progress');
CREATE INDEX cutovers_by_state ON cutovers (state);
CREATE INDEX cutovers_by_site ON cutovers (site, id);
CREATE TABLE heads (
  site TEXT NOT NULL REFERENCES sites(name) ON UPDATE CASCADE ON DELETE CASCADE, ref TEXT NOT NULL,
  "commit" TEXT NOT NULL, PRIMARY KEY (site, ref)
);
CREATE TABLE switches (
  id TEXT PRIMARY KEY, site TEXT NOT NULL REFERENCES sites(name) ON UPDATE CASCADE ON DELETE CASCADE,
  env TEXT NOT NULL, "release" INTEGER NOT NULL, old_slot TEXT, new_slot TEXT NOT NULL, refs TEXT NOT NULL,
  phase TEXT NOT NULL, created_at TEXT NOT NULL, data TEXT NOT NULL
);
CREATE INDEX switches_by_phase ON switches (phase, site, env);
CREATE TABLE pictures (
  id TEXT PRIMARY KEY, site TEXT NOT NULL REFERENCES sites(name) ON UPDATE CASCADE ON DELETE CASCADE,
  env TEXT NOT NULL, live TEXT NOT NULL, candidate TEXT NOT NULL, build TEXT NOT NULL, artifact TEXT NOT NULL,
  pages TEXT NOT NULL, more INTEGER NOT NULL, created_at TEXT NOT NULL, actor TEXT NOT NULL
);
CREATE INDEX pictures_by_build ON pictures (site, build, id);
CREATE INDEX pictures_by_site ON pictures (site, id);
CREATE TABLE schedules (
  id TEXT PRIMARY KEY, site TEXT NOT NULL REFERENCES sites(name) ON UPDATE CASCADE ON DELETE CASCADE,
  env TEXT NOT NULL, verb TEXT NOT NULL, target TEXT NOT NULL, options TEXT NOT NULL, actor TEXT NOT NULL,
  local INTEGER NOT NULL, at TEXT NOT NULL, created_at TEXT NOT NULL, live INTEGER NOT NULL, ref TEXT NOT NULL,
  "commit" TEXT NOT NULL, state TEXT NOT NULL, said TEXT NOT NULL, ended_at TEXT
);
CREATE INDEX schedules_by_state ON schedules (state, at);
CREATE INDEX schedules_by_site ON schedules (site, at, id);
CREATE INDEX schedules_of_site ON schedules (site, state, at, id);
CREATE TABLE approvals (
  id TEXT PRIMARY KEY, site TEXT NOT NULL REFERENCES sites(name) ON UPDATE CASCADE ON DELETE CASCADE,
  env TEXT NOT NULL, "commit" TEXT NOT NULL, artifact TEXT NOT NULL, build TEXT NOT NULL, subject TEXT NOT NULL,
  actor TEXT NOT NULL, authors TEXT NOT NULL, created_at TEXT NOT NULL, state TEXT NOT NULL, votes TEXT NOT NULL,
  ended_at TEXT, ended_by TEXT NOT NULL, reason TEXT NOT NULL
);
CREATE INDEX approvals_by_site ON approvals (site, id);
CREATE INDEX approvals_by_state ON approvals (site, state, id);
CREATE UNIQUE INDEX approvals_open ON approvals (site, env, "commit", artifact) WHERE state = 'open';
CREATE TABLE freezes (
  id TEXT PRIMARY KEY, site TEXT NOT NULL REFERENCES sites(name) ON UPDATE CASCADE ON DELETE CASCADE,
  env TEXT NOT NULL, begins TEXT NOT NULL, ends TEXT NOT NULL, reason TEXT NOT NULL, actor TEXT NOT NULL,
  created_at TEXT NOT NULL
);
CREATE INDEX freezes_by_site ON freezes (site, env);
CREATE TABLE domains (
  host TEXT PRIMARY KEY, site TEXT NOT NULL REFERENCES sites(name) ON UPDATE CASCADE ON DELETE CASCADE,
  env TEXT NOT NULL, created_at TEXT NOT NULL, actor TEXT NOT NULL
);
CREATE INDEX domains_by_site ON domains (site, host);
CREATE TABLE incidents (
  site TEXT NOT NULL REFERENCES sites(name) ON UPDATE CASCADE ON DELETE CASCADE, number INTEGER NOT NULL,
  state TEXT NOT NULL, created_at TEXT NOT NULL, actor TEXT NOT NULL, rollbacks TEXT NOT NULL,
  rejected TEXT NOT NULL, commits TEXT NOT NULL, ticks TEXT NOT NULL, facts TEXT NOT NULL, text TEXT NOT NULL,
  fix TEXT NOT NULL, fixed_by INTEGER, closed_at TEXT, closed_by TEXT, PRIMARY KEY (site, number)
);
CREATE INDEX incidents_by_state ON incidents (site, state, number);
CREATE TABLE answers (
  id TEXT PRIMARY KEY, request TEXT NOT NULL, created_at TEXT NOT NULL, state TEXT NOT NULL, status INTEGER NOT NULL,
  body BLOB NOT NULL
);
CREATE INDEX answers_by_time ON answers (created_at);
CREATE TABLE grants (
  actor TEXT NOT NULL, site TEXT NOT NULL, role TEXT NOT NULL, env TEXT NOT NULL, PRIMARY KEY (actor, site, env)
);
CREATE INDEX grants_by_site ON grants (site, actor, env);
CREATE TABLE tokens (
  id TEXT PRIMARY KEY, actor TEXT NOT NULL, hash TEXT NOT NULL UNIQUE, created_at TEXT NOT NULL,
  expires_at TEXT, revoked_at TEXT, used_at TEXT, sites TEXT NOT NULL, role TEXT NOT NULL
);
CREATE INDEX tokens_by_actor ON tokens (actor, id);
CREATE TABLE keys (
  id TEXT PRIMARY KEY, actor TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL UNIQUE,
  comment TEXT NOT NULL, created_at TEXT NOT NULL, used_at TEXT, sites TEXT NOT NULL, role TEXT NOT NULL
);
CREATE TABLE sessions (
  id TEXT PRIMARY KEY, actor TEXT NOT NULL, token TEXT NOT NULL, hash TEXT NOT NULL UNIQUE,
  created_at TEXT NOT NULL, expires_at TEXT NOT NULL, agent TEXT NOT NULL
);
CREATE INDEX sessions_by_actor ON sessions (actor, id);
CREATE TABLE events (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at TEXT NOT NULL, site TEXT NOT NULL, env TEXT NOT NULL,
  actor TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL, data TEXT NOT NULL, prev TEXT NOT NULL,
  hash TEXT NOT NULL
);
CREATE INDEX events_by_site ON events (site, number);
CREATE TABLE backups (
  id TEXT PRIMARY KEY, created_at TEXT NOT NULL, actor TEXT NOT NULL, place TEXT NOT NULL, files INTEGER NOT NULL,
  bytes INTEGER NOT NULL, stored INTEGER NOT NULL, seconds REAL NOT NULL, without TEXT NOT NULL
);
CREATE TABLE builders (
  name TEXT PRIMARY KEY, address TEXT NOT NULL, places INTEGER NOT NULL, created_at TEXT NOT NULL, actor TEXT NOT NULL
);
CREATE INDEX events_by_action ON events (site, action, number);
CREATE TABLE webhooks (
  id TEXT PRIMARY KEY, site TEXT REFERENCES sites(name) ON UPDATE CASCADE ON DELETE CASCADE, format TEXT NOT NULL,
  place TEXT NOT NULL, patterns TEXT NOT NULL, sealed BLOB NOT NULL, created_at TEXT NOT NULL, actor TEXT NOT NULL,
  cursor INTEGER NOT NULL, attempts INTEGER NOT NULL, failing_since TEXT, next_at TEXT, error TEXT NOT NULL
);
CREATE TABLE deliveries (
  id TEXT PRIMARY KEY, webhook TEXT NOT NULL REFERENCES webhooks(id) ON DELETE CASCADE, event TEXT NOT NULL,
  action TEXT NOT NULL, at TEXT NOT NULL, state TEXT NOT NULL, cause TEXT NOT NULL, attempt INTEGER NOT NULL,
  seconds REAL NOT NULL, status INTEGER, error TEXT NOT NULL, request TEXT NOT NULL, answer TEXT NOT NULL
);
CREATE INDEX deliveries_by_webhook ON deliveries (webhook, id);
"""


@migrations()
def first(db: Database) -> None:
    for statement in _FIRST.split(";\n"):
        if statement.strip():
            db.conn.execute(statement)
