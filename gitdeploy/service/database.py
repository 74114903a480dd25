"""The databases of an environment: made when its first release needs them, told to its programs, gone with it."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gitdeploy.data.engine import Engine, Server
from gitdeploy.data.mariadb import MariaDb
from gitdeploy.data.postgres import Postgres
from gitdeploy.data.sqlite import Sqlite
from gitdeploy.data.url import Url, parse
from gitdeploy.domain import database as names
from gitdeploy.domain.config import Config
from gitdeploy.domain.database import Database
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.release import Release
from gitdeploy.domain.schema import Change, KnownSchema, Schema, difference
from gitdeploy.errors import Failed, GitdeployError, Invalid
from gitdeploy.runtime.apps.driver import app_user
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service.context import Context
from gitdeploy.store import clock

log = logging.getLogger("gitdeploy.database")

SERVERS: Mapping[str, Server] = {"postgres": Postgres(), "mariadb": MariaDb()}
ENGINES: Mapping[str, Engine] = {**SERVERS, "sqlite": Sqlite(app_user())}
CLOSED = Sqlite()
"""For SQLite's files where no app can get at them."""


@dataclass(frozen=True)
class Held:
    """A database that an environment has. `admin` is the URL of who may make others beside it, empty for SQLite."""

    name: str
    url: str
    admin: str

    @property
    def engine(self) -> Engine:
        return ENGINES[names.engine(self.name)]

    def in_folder(self, folder: Path) -> Held:
        """The same SQLite database in another data folder."""
        return replace(self, url=f"sqlite:///{folder}/{names.path(self.name)}")

    def url_with(self, suffix: str) -> str:
        """The URL of the one whose name has `suffix` behind it."""
        mine = parse(self.url)
        return str(mine.of(mine.name + suffix))

    @property
    def server(self) -> Server | None:
        return SERVERS.get(names.engine(self.name))


def of(ctx: Context, env: Environment, wanted: Iterable[str], config: Config, data: int) -> list[Held]:
    """Those that `[data] databases` wants, made where they are missing. One whose URL is configured is taken as it is.

    `data` is the number of the data folder, in which SQLite's lie. Raises Failed when a server refuses, Invalid when
    this machine has none.
    """
    told = names.variables(wanted)
    return [_held(ctx, env, name, variables, config, data) for name, variables in told.items()]


def told(held: Iterable[Held]) -> dict[str, str]:
    """The variables by which programs find them."""
    found = list(held)
    variables = names.variables(one.name for one in found)
    return {variable: one.url for one in found for variable in variables[one.name]}


def made(ctx: Context, env: Environment) -> list[Held]:
    """Those that gitdeploy made for an environment in a server."""
    rows = ctx.ledger.databases.where(site=env.site, env=env.name)
    return [Held(row.name, _open(ctx, row), _admin(ctx, row.name)) for row in rows]


def remove(ctx: Context, site: str, env: str) -> None:
    """Remove what was made for an environment that is no more, with its role and all that stands beside it. What cannot
    be reached now is said in the log, and tried again by `remove_orphans`.
    """
    for row in ctx.ledger.databases.where(site=site, env=env):
        try:
            _remove(ctx, row)
        except GitdeployError as error:
            log.error("%s %s: its database %s is not removed: %s", site, env, row.name, error.message)


def remove_orphans(ctx: Context) -> None:
    for row in ctx.ledger.databases.where():
        if ctx.ledger.environments.get(row.site, row.env) is None:
            remove(ctx, row.site, row.env)


def make_anew(ctx: Context, env: Environment) -> frozenset[str]:
    """On another machine: make those that gitdeploy made in a server and that answer no more; their names."""
    anew = set()
    for row in ctx.ledger.databases.where(site=env.site, env=env.name):
        try:
            ENGINES[names.engine(row.name)].schema(_open(ctx, row))
        except GitdeployError:
            ctx.ledger.databases.remove(row)
            _make(ctx, env, row.name)
            anew.add(row.name)
    return frozenset(anew)


def shapes(held: Iterable[Held]) -> dict[str, Schema]:
    return {one.name: one.engine.schema(one.url) for one in held}


def remember(
    ctx: Context, release: Release, before: Mapping[str, Schema], after: Mapping[str, Schema]
) -> Release:
    """Record what a release's databases look like, and what it changed."""
    said = {}
    for name, schema in after.items():
        was = before.get(name, schema)
        change = difference(was, schema)
        said[name] = {"before": was.fingerprint, "after": schema.fingerprint, "change": change.verdict}
        for one in (was, schema):
            if ctx.ledger.schemas.get(one.fingerprint) is None:
                ctx.ledger.schemas.add(KnownSchema(one.fingerprint, json.dumps(one.as_json())))
    return ctx.ledger.releases.change(release, schemas=json.dumps(said))


def since(ctx: Context, goal: Release, held: Iterable[Held]) -> dict[str, Change]:
    """What came of each database since `goal` was live, by today's shape; nothing where it recorded none."""
    said: Mapping[str, Any] = json.loads(goal.schemas)
    changes = {}
    for one in held:
        known = ctx.ledger.schemas.get(said.get(one.name, {}).get("after", ""))
        if known is not None:
            was = Schema.from_json(json.loads(known.text))
            changes[one.name] = difference(was, one.engine.schema(one.url))
    return changes


# Private


def _held(
    ctx: Context, env: Environment, name: str, variables: tuple[str, ...], config: Config, data: int
) -> Held:
    if (given := _given(name, variables, config)) is not None:
        return Held(name, str(given), _admin_of(ctx, name, given))
    if names.engine(name) == "sqlite":
        folder = Place(ctx.home, env.site, env.folder).data_folder(data)
        return Held(name, f"sqlite:///{folder.resolve() / names.path(name)}", "")
    row = ctx.ledger.databases.get(env.site, env.name, name)
    if row is not None and row.created_at < env.created_at:  # of one that had this name before
        _remove(ctx, row)
        row = None
    if row is None:
        row = _make(ctx, env, name)
    return Held(name, _open(ctx, row), _admin(ctx, name))


def _given(name: str, variables: tuple[str, ...], config: Config) -> Url | None:
    """What is configured, when it is of this engine."""
    for variable in variables:
        if variable in config:
            try:
                found = parse(config[variable].value)
            except Invalid as error:
                raise Invalid(f"{variable}: {error.message}", error.hint) from None
            if found.engine == names.engine(name):
                return found
    return None


def _make(ctx: Context, env: Environment, name: str) -> Database:
    server = SERVERS.get(names.engine(name))
    assert server is not None
    url = server.create(
        _admin(ctx, name),
        names.server_name(env.site, ctx.site(env.site).id, env.folder),
        secrets.token_urlsafe(24),
    )
    with ctx.ledger.atomic():
        ctx.event("database.created", actor="", site=env.site, env=env.name, subject=name)
        return ctx.ledger.databases.add(
            Database(
                env.site, env.name, name, ctx.vault.seal(url.encode(), _about(env.name, name)), clock.now()
            )
        )


def _remove(ctx: Context, row: Database) -> None:
    SERVERS[names.engine(row.name)].remove(_admin(ctx, row.name), _open(ctx, row))
    with ctx.ledger.atomic():
        ctx.event("database.removed", actor="", site=row.site, env=row.env, subject=row.name)
        ctx.ledger.databases.remove(row)


def _open(ctx: Context, row: Database) -> str:
    return ctx.vault.open(row.sealed, _about(row.env, row.name)).decode()


def _about(env: str, name: str) -> str:
    return f"database {name} of {env}"


def _admin(ctx: Context, name: str) -> str:
    found = ctx.server.databases.get(names.engine(name))
    if found is None:
        raise Failed(
            f"The app asks for {name}, and this server has none to make databases in.",
            f"Set {names.engine(name)} in [databases] of server.toml, or configure DATABASE_URL.",
        )
    return found


def _admin_of(ctx: Context, name: str, given: Url) -> str:
    """Who may make a database beside one that is given: the server's own, if it is in that server."""
    admin = ctx.server.databases.get(names.engine(name), "")
    if admin and parse(admin).server == given.server:
        return admin
    return "" if names.engine(name) == "sqlite" else str(given)
