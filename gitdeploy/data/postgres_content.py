"""Moving rows between two PostgreSQL databases, by COPY.

In the ordinary case the database itself keeps references right: rows come parents first and go children first. Where
that cannot be, because tables refer to each other in a circle, a unique value passes from one row to another, or a
removal would cascade, the foreign keys are taken off and put on again in the same transaction. Putting one on checks
every row; until the end nobody reads these tables then. Triggers of the target do not fire.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import psycopg

from gitdeploy.data import content, postgres_schema
from gitdeploy.data.content_side import Pass, Plan, Reader
from gitdeploy.data.engine import MARKS
from gitdeploy.data.postgres_link import Connection, connect, identifier, told
from gitdeploy.domain.content import ForeignKey
from gitdeploy.domain.schema import Schema
from gitdeploy.errors import Failed

_SAME = (
    "SET datestyle = 'ISO'", "SET intervalstyle = 'postgres'", "SET timezone = 'UTC'", "SET bytea_output = 'hex'",
    "SET extra_float_digits = 1", "SET client_encoding = 'UTF8'", "SET lock_timeout = '60s'",
)  # fmt: skip
"""So that the text of a value depends on the value alone."""

_COLUMNS = """
SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
AND attgenerated = '' ORDER BY attnum
"""
_TEXTUAL = """
SELECT attname FROM pg_attribute a JOIN pg_type t ON t.oid = atttypid WHERE attrelid = %s::regclass AND attnum > 0
AND NOT attisdropped AND (t.typcategory = 'S' OR t.typname IN ('json', 'jsonb', 'xml'))
"""
_FOREIGN_KEYS = """
SELECT k.oid, conname, c.oid::regclass::text, n.nspname, c.relname, m.nspname, p.relname,
  ARRAY(SELECT a.attname::text FROM unnest(conkey) WITH ORDINALITY AS u(x, i)
        JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = u.x ORDER BY u.i),
  ARRAY(SELECT a.attname::text FROM unnest(confkey) WITH ORDINALITY AS u(x, i)
        JOIN pg_attribute a ON a.attrelid = confrelid AND a.attnum = u.x ORDER BY u.i),
  confdeltype::text, confupdtype::text, pg_get_constraintdef(k.oid)
FROM pg_constraint k JOIN pg_class c ON c.oid = conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class p ON p.oid = confrelid JOIN pg_namespace m ON m.oid = p.relnamespace
WHERE contype = 'f' AND conparentid = 0
"""
_TRIGGERS = """
SELECT tgname, tgenabled::text FROM pg_trigger WHERE tgrelid = %s::regclass
AND NOT tgisinternal AND tgenabled IN ('O', 'A')
"""
_SEQUENCES = """
SELECT a.attname, pg_get_serial_sequence(%s, a.attname) FROM pg_attribute a
WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
AND pg_get_serial_sequence(%s, a.attname) IS NOT NULL
UNION
SELECT a.attname, s.oid::regclass::text FROM pg_attrdef d
JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
JOIN pg_depend x ON x.classid = 'pg_attrdef'::regclass AND x.objid = d.oid AND x.refclassid = 'pg_class'::regclass
JOIN pg_class s ON s.oid = x.refobjid AND s.relkind = 'S' WHERE d.adrelid = %s::regclass
"""
_OVERRIDING = "OVERRIDING SYSTEM VALUE"
_CASCADES = ("c", "n", "d")


@contextlib.contextmanager
def opened(source: str, target: str, dry_run: bool) -> Iterator[PostgresSide]:
    with connect(source) as there, connect(target) as here:
        if not dry_run:
            _make_marks(here)
        with told():
            for line in _SAME:
                there.execute(line)
                here.execute(line)
            there.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            here.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        yield PostgresSide(here, PostgresReader(there))
        here.rollback()  # leaving the connection would commit what was only tried


class PostgresReader:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def schema(self) -> Schema:
        with told():
            return postgres_schema.read(self.connection)

    def columns(self, table: str) -> list[str]:
        return [str(name) for (name,) in self.rows(_COLUMNS, self.quoted(table))]

    def rows(self, line: str, *given: object) -> list[tuple[Any, ...]]:
        with told():
            return self.connection.execute(line.encode(), given).fetchall()

    def stream(self, line: str) -> Iterator[Sequence[Any]]:
        with told(), self.connection.cursor() as cursor:
            yield from cursor.stream(line.encode())

    def quoted(self, table: str) -> str:
        return identifier(table).as_string(self.connection)

    def name(self, column: str) -> str:
        return '"' + column.replace('"', '""') + '"'

    def digest(self, _table: str, columns: Sequence[str]) -> str:
        return f"md5(ROW({', '.join(map(self.name, columns))})::text)"

    def numbered(self, digest: str) -> str:
        return f"{digest} || '-' || ROW_NUMBER() OVER (PARTITION BY {digest})"


class PostgresSide(PostgresReader):
    equals = "="
    beside = "CROSS JOIN"
    sharing = ""

    def __init__(self, connection: Connection, source: PostgresReader) -> None:
        super().__init__(connection)
        self._source = source
        self.source: Reader = source
        self._touched: Sequence[Plan] = ()

    def do(self, line: str) -> None:
        with told():
            self.connection.execute(line.encode())

    def temporary(self, name: str, definition: str) -> None:
        self.do(f"CREATE TEMP TABLE {name} {definition.replace(' CHAR(32)', ' VARCHAR(32)')}")

    def keyed(self, name: str, select: str) -> None:
        """Nobody else counts what is in a temporary table, and without that it would be read in bad ways."""
        self.do(f"CREATE TEMP TABLE {name} AS {select}")
        self.do(f"CREATE INDEX {name}_k ON {name} (gitdeploy_k)")
        self.do(f"ANALYZE {name}")

    def fill(self, name: str, rows: Iterable[Sequence[str]]) -> None:
        with (
            told(),
            self.connection.cursor() as cursor,
            cursor.copy(f"COPY {name} FROM STDIN".encode()) as copy,
        ):
            for row in rows:
                copy.write_row(row)

    def texts(self, table: str) -> set[str]:
        return {str(name) for (name,) in self.rows(_TEXTUAL, self.quoted(table))}

    def seen(self, table: str) -> str:
        return self.quoted(table)

    def looked(self) -> None:
        with told():
            self.connection.execute("COMMIT")
            self._source.connection.execute("COMMIT")

    def begin(self, plans: Sequence[Plan]) -> None:
        self.do("BEGIN")
        if plans:
            tables = (self.quoted(plan.table.name) for plan in reversed(plans))
            self.do(f"LOCK TABLE {', '.join(tables)} IN SHARE ROW EXCLUSIVE MODE")

    def receive(self, table: str, into: str, columns: Sequence[str], passes: Mapping[str, Pass]) -> None:
        passed = [passes.get(one) for one in columns]
        names = ", ".join(map(self.name, columns))
        out = f"COPY (SELECT {names} FROM {self.quoted(table)}) TO STDOUT"
        with (
            told(),
            self._source.connection.cursor() as theirs,
            self.connection.cursor() as ours,
            theirs.copy(out.encode()) as source,
            ours.copy(f"COPY {into} ({names}) FROM STDIN".encode()) as target,
        ):
            if not any(passed):
                for block in source:
                    target.write(block)
                return
            for row in source.rows():
                target.write_row(
                    [
                        one.act(value) if one and value is not None else value
                        for one, value in zip(passed, row, strict=True)
                    ]
                )

    def foreign_keys(self) -> list[ForeignKey]:
        return [
            ForeignKey(
                name, postgres_schema.full(cs, c), tuple(own), postgres_schema.full(ps, p), tuple(refers)
            )
            for _, name, _, cs, c, ps, p, own, refers, *_ in self.rows(_FOREIGN_KEYS)
        ]

    def remove(self, plan: Plan, which: str) -> None:
        table = self.quoted(plan.table.name)
        if plan.whole:
            self.do(f"DELETE FROM {table}")
            return
        self.do(f"DELETE FROM {table} USING {plan.keys} WHERE {plan.match(self)} AND {plan.where(which)}")

    def put(self, plans: Sequence[Plan], _keys: Sequence[ForeignKey]) -> None:
        self._touched = plans
        triggers = [
            (self.quoted(plan.table.name), self.name(name), "ENABLE ALWAYS" if how == "A" else "ENABLE")
            for plan in plans
            for name, how in self.rows(_TRIGGERS, self.quoted(plan.table.name))
        ]
        for plan in plans:
            if plan.kept:
                content.set_aside(self, plan)
        for table, name, _ in triggers:
            self.do(f"ALTER TABLE {table} DISABLE TRIGGER {name}")
        if self._would_cascade(plans) or not self._lightly(plans):
            self._without_references(plans)
        for table, name, how in triggers:
            self.do(f"ALTER TABLE {table} {how} TRIGGER {name}")

    def commit(self, mark: str) -> None:
        """Sequences know no transaction; but they only ever go up, which does no harm when the rest is taken back."""
        for plan in self._touched:
            table = self.quoted(plan.table.name)
            for column, sequence in self.rows(_SEQUENCES, table, table, table, table):
                self.do(
                    f"SELECT setval('{sequence.replace(chr(39), chr(39) * 2)}', greatest_key) FROM "
                    f"(SELECT max({self.name(column)}) AS greatest_key FROM {table}) x, {sequence} s "
                    "WHERE greatest_key > s.last_value OR (greatest_key = s.last_value AND NOT s.is_called)"
                )
        with told():
            self.connection.execute(f"INSERT INTO {MARKS} (id, made) VALUES (%s, 1)".encode(), (mark,))
            self.connection.execute("COMMIT")

    def _would_cascade(self, plans: Sequence[Plan]) -> bool:
        by_name = {plan.table.name: plan for plan in plans}
        for _, _, _, _, _, schema, parent, _, refers, on_delete, on_update, _ in self.rows(_FOREIGN_KEYS):
            plan = by_name.get(postgres_schema.full(schema, parent))
            if plan is None:
                continue
            if plan.change.removed and on_delete in _CASCADES:
                return True
            if plan.change.changed and on_update in _CASCADES and tuple(refers) != plan.table.key:
                return True
        return False

    def _lightly(self, plans: Sequence[Plan]) -> bool:
        """False when the database would not have it in this order; then nothing was done."""
        self.do("SAVEPOINT gitdeploy")
        try:
            for plan in plans:
                self._upsert(plan)
            for plan in reversed(plans):
                if not plan.whole:
                    self.remove(plan, "s IS NULL")
            self.do("SET CONSTRAINTS ALL IMMEDIATE")
        except Failed as error:
            if not isinstance(error.__cause__, (psycopg.IntegrityError, psycopg.errors.GeneratedAlways)):
                raise
            self.do("ROLLBACK TO SAVEPOINT gitdeploy")
            return False
        return True

    def _upsert(self, plan: Plan) -> None:
        if plan.whole:
            self.do(f"DELETE FROM {self.quoted(plan.table.name)}")
        others = [self.name(one) for one in plan.columns if one not in plan.table.key]
        changed = ", ".join(f"{one} = excluded.{one}" for one in others)
        keys = ", ".join(map(self.name, plan.table.key))
        then = f"ON CONFLICT ({keys}) DO {f'UPDATE SET {changed}' if others else 'NOTHING'}" if keys else ""
        content.insert(self, plan, _OVERRIDING, then)

    def _without_references(self, plans: Sequence[Plan]) -> None:
        names = {plan.table.name for plan in plans}
        taken = [
            (postgres_schema.full(cs, c), str(name), postgres_schema.full(ps, p), str(definition))
            for _, name, _, cs, c, ps, p, *_, definition in self.rows(_FOREIGN_KEYS)
            if {postgres_schema.full(cs, c), postgres_schema.full(ps, p)} & names
        ]
        for child, name, _, _ in taken:
            self.do(f"ALTER TABLE {self.quoted(child)} DROP CONSTRAINT {self.name(name)}")
        content.replace_rows(self, plans, _OVERRIDING)
        self.do("SET CONSTRAINTS ALL IMMEDIATE")
        for child, name, parent, definition in taken:
            try:
                self.do(f"ALTER TABLE {self.quoted(child)} ADD CONSTRAINT {self.name(name)} {definition}")
            except Failed as error:
                if not isinstance(error.__cause__, psycopg.errors.ForeignKeyViolation):
                    raise
                raise content.refers_to_nothing(child, name, parent) from error


def settle(url: str, mark: str) -> bool:
    """Writing the mark waits for who has written it and not committed yet, and stops who would write it later."""
    with connect(url) as connection:
        _make_marks(connection)
        with told():
            given = f"INSERT INTO {MARKS} (id, made) VALUES (%s, 0) ON CONFLICT (id) DO NOTHING"
            connection.execute(given.encode(), (mark,))
            found = connection.execute(f"SELECT made FROM {MARKS} WHERE id = %s".encode(), (mark,)).fetchone()
    return bool(found and found[0])


def _make_marks(connection: Connection) -> None:
    line = f"""CREATE TABLE IF NOT EXISTS {MARKS}
        (id VARCHAR(200) PRIMARY KEY, made INTEGER NOT NULL, at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP)"""
    with told(), contextlib.suppress(psycopg.errors.UniqueViolation):  # somebody else has just made it
        connection.execute(line.encode())
