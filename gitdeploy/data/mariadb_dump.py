"""A MariaDB database as files: its shape in one, each table's rows in one of their own, in the order of the key.

So a row that did not change is the same bytes, wherever in the file it stands.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gitdeploy.data import mariadb_rows, mariadb_schema
from gitdeploy.data.mariadb_link import Link, quoted, text
from gitdeploy.data.mariadb_schema import Other

SHAPE = "shape.json"


def dump(link: Link, folder: Path) -> None:
    """Within a transaction that reads one instant."""
    said = shape(link)
    (folder / SHAPE).write_text(json.dumps(said, indent=1, sort_keys=True, ensure_ascii=False), "utf-8")
    for table in said["tables"]:
        columns, order = mariadb_schema.values(link, table), _order(link, table)
        with (folder / _file(table)).open("wb") as file, link.bytes():
            file.writelines(line + b"\n" for line in mariadb_rows.read(link, table, columns, order))


def load(link: Link, folder: Path) -> None:
    make_shape(link, json.loads((folder / SHAPE).read_text("utf-8")), folder)


def shape(link: Link) -> dict[str, Any]:
    """What makes a database of the same shape: `tables` by name, and `others`."""
    tables = mariadb_schema.tables(link)
    made = {name: link.rows(f"SHOW CREATE TABLE {quoted(name)}")[0][1] for name in tables}
    return {"tables": made, "others": [astuple(one) for one in mariadb_schema.others(link)]}


def make_shape(link: Link, shape: Mapping[str, Any], rows: Path | None = None) -> None:
    """With the rows that `dump` wrote into a folder, or without any."""
    with link.unchecked():
        for definition in shape["tables"].values():
            link.do(definition)
        for table in shape["tables"]:
            if rows is None:
                break
            columns = [one.name for one in mariadb_schema.values(link, table)]
            with (rows / _file(table)).open("rb") as file, link.bytes():
                mariadb_rows.write(link, table, columns, (line.rstrip(b"\n") for line in file))
        mariadb_schema.make(link, (Other(*one) for one in shape["others"]))


# Private


def _order(link: Link, table: str) -> list[str]:
    """The primary key; without one, all columns: any order will do that is the same the next time."""
    found = link.rows(
        "SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() "
        f"AND TABLE_NAME = {text(table)} AND INDEX_NAME = 'PRIMARY' ORDER BY SEQ_IN_INDEX"
    )
    return [str(name) for (name,) in found] or [one.name for one in mariadb_schema.values(link, table)]


def _file(table: str) -> str:
    return f"{quote(table, safe='')}.rows"
