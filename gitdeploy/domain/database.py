"""The databases of an environment: what `[data] databases` asks for, and how programs are told of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SERVERS = ("postgres", "mariadb")
"""The engines whose databases live in a server; a SQLite database is a file of the environment."""
_MOST = 30  # characters of a name, which leaves room for what stands behind it while it is replaced


@dataclass(frozen=True)
class Database:
    """A row of the ledger: a database that gitdeploy made in a server for an environment. `name` is what the
    settings call it, `sealed` its URL, encrypted.
    """

    site: str
    env: str
    name: str
    sealed: bytes
    created_at: str


def engine(name: str) -> str:
    """Of `postgres`, `mariadb` or `sqlite:<path>`."""
    return name.partition(":")[0]


def path(name: str) -> str:
    """Of `sqlite:<path>`: the file, below the data folder."""
    return name.partition(":")[2]


def variables(names: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """The variables that hold the URL of each database: `DATABASE_URL` is the first one's, and the first one of every
    engine has its engine's, such as `POSTGRES_URL`.
    """
    told: dict[str, tuple[str, ...]] = {}
    engines: set[str] = set()
    for name in names:
        of = engine(name)
        first = () if told else ("DATABASE_URL",)
        told[name] = (*first, *(() if of in engines else (f"{of.upper()}_URL",)))
        engines.add(of)
    return told


def folders(databases: Iterable[str], files: Iterable[str]) -> tuple[str, ...]:
    """The folders that a release shares with those before and after it: where it finds its files, and its SQLite
    databases unless they lie at the top.
    """
    of_databases = (path(name).rpartition("/")[0] for name in databases if engine(name) == "sqlite")
    found = sorted({*files, *(one for one in of_databases if one)})
    return tuple(one for one in found if not any(one.startswith(f"{other}/") for other in found))


def server_name(site: str, site_id: str, folder: str) -> str:
    """What the database and the role of an environment are called in a server; unlike those of any other site."""
    said = re.sub(r"[^a-z0-9]+", "_", f"{site}_{folder}".lower())[:_MOST].strip("_")
    return f"gd_{said}_{hashlib.sha256(f'{site_id}/{folder}'.encode()).hexdigest()[:6]}"
