"""The shape of a PostgreSQL database, read from its catalogs (PostgreSQL manual, "System Catalogs")."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import psycopg

from gitdeploy.data.engine import MARKS
from gitdeploy.domain.schema import Column, Schema, Table

_OURS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_NOT_OF_EXTENSION = """NOT EXISTS (
  SELECT 1 FROM pg_depend d WHERE d.objid = {oid} AND d.deptype = 'e' AND d.classid = '{catalog}'::regclass)"""

TABLES = f"""
SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND {_OURS} AND c.relname <> '{MARKS}'
AND {_NOT_OF_EXTENSION.format(oid="c.oid", catalog="pg_class")}
"""
_COLUMNS = """
SELECT attrelid, attname, format_type(atttypid, atttypmod),
  attnotnull AND NOT atthasdef AND attidentity = '' AND attgenerated = ''
FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped AND attrelid = ANY(%s) ORDER BY attrelid, attnum
"""
_CONSTRAINTS = """
SELECT conrelid, conname, contype, pg_get_constraintdef(oid), confrelid,
  ARRAY(SELECT a.attname::text FROM unnest(conkey) WITH ORDINALITY AS k(n, i)
        JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = k.n ORDER BY k.i)
FROM pg_constraint WHERE conrelid = ANY(%s)
"""
_INDEXES = """
SELECT i.indrelid, c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = ANY(%s) AND NOT EXISTS
  (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
"""
_OTHERS = (
    f"""
    SELECT 'view ', n.nspname, c.relname, pg_get_viewdef(c.oid) FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm') AND {_OURS}
    AND {_NOT_OF_EXTENSION.format(oid="c.oid", catalog="pg_class")}
    """,
    f"""
    SELECT 'trigger ', n.nspname, t.tgname || ' on ' || c.relname, pg_get_triggerdef(t.oid) FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT t.tgisinternal AND {_OURS}
    """,
    f"""
    SELECT 'function ', n.nspname, p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', p.prosrc
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE {_OURS} AND {_NOT_OF_EXTENSION.format(oid="p.oid", catalog="pg_proc")}
    """,
    f"""
    SELECT 'type ', n.nspname, t.typname, (SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder)
      FROM pg_enum e WHERE e.enumtypid = t.oid)
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype = 'e' AND {_OURS}
    """,
    "SELECT 'extension ', 'public', extname, '' FROM pg_extension WHERE extname <> 'plpgsql'",
)


def read(connection: psycopg.Connection[Any]) -> Schema:
    tables = {oid: full(schema, name) for oid, schema, name in connection.execute(TABLES.encode())}
    oids = list(tables)
    columns, rules, keys, refers = (
        defaultdict(list), defaultdict(dict), {}, defaultdict(set)
    )  # type: tuple[dict[int, list[Column]], dict[int, dict[str, str]], dict[int, tuple[str, ...]], dict[int, set[str]]]  # fmt: skip
    for oid, name, type_, required in connection.execute(_COLUMNS, (oids,)):
        columns[oid].append(Column(name, type_, required))
    for oid, name, kind, text, other, own in connection.execute(_CONSTRAINTS, (oids,)):
        rules[oid][name] = text
        if kind == "p":
            keys[oid] = tuple(own)
        elif kind == "f" and other in tables:
            refers[oid].add(tables[other])
    for oid, name, text in connection.execute(_INDEXES, (oids,)):
        rules[oid][name] = text
    others = {}
    for query in _OTHERS:
        for kind, schema, name, text in connection.execute(query.encode()):
            others[kind + full(schema, name)] = text or ""
    return Schema(
        {
            name: Table(name, tuple(columns[oid]), keys.get(oid, ()), rules[oid], tuple(sorted(refers[oid])))
            for oid, name in tables.items()
        },
        others,
    )


def full(schema: str, name: str) -> str:
    return name if schema == "public" else f"{schema}.{name}"


def parts(table: str) -> tuple[str, str]:
    schema, dot, name = table.rpartition(".")
    return (schema, name) if dot else ("public", table)
