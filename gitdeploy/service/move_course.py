"""What a move takes along: the two ends, the tables and files that were chosen, and what becomes of them on the way.

Into production it is three-way: what only production has changed since the other was made of it stays, and what both
have is a conflict. Anywhere else the target becomes what the source is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gitdeploy.data import content_files, files
from gitdeploy.data.content_side import Wish
from gitdeploy.domain import content, database
from gitdeploy.domain.content import Rewriting, RowChange, Selection
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.file_change import FileChange, compare, in_the_way
from gitdeploy.domain.globs import matches
from gitdeploy.domain.move import Chosen, Report, categories, listed
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.schema import Table
from gitdeploy.domain.settings import Content
from gitdeploy.errors import Refused
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import policy, slot, snapshot
from gitdeploy.service.context import Context
from gitdeploy.service.database import Held

FILE = "files.json"
"""In a base, beside what tables held: `{"held": production's files by path, "masked": columns that left it masked}`."""


@dataclass(frozen=True)
class End:
    """One side: an environment with what is live in it. `number` is that of its data folder, `index` a file that
    remembers what was read of it, `host` what visitors call it.
    """

    env: Environment
    number: int
    data: Path
    held: tuple[Held, ...]
    index: Path
    host: str

    @property
    def is_production(self) -> bool:
        return self.env.name == PRODUCTION

    def database(self, name: str) -> Held:
        return next(one for one in self.held if one.name == name)


@dataclass(frozen=True)
class Files:
    """What would come of the files, as both ends are now: `held` is what the source has of those that move."""

    change: FileChange = field(default_factory=FileChange)
    held: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, str] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


@dataclass(frozen=True)
class Course:
    """A move, planned. `chosen.into` is the database whose rows move; `base` is a folder and `known` the files in it,
    None where nobody knows.
    """

    source: End
    target: End
    chosen: Chosen
    settings: Content
    selection: Selection
    rewriting: Rewriting
    base: Path | None
    known: Mapping[str, str] | None

    @property
    def careful(self) -> bool:
        """Whether what the target has changed since counts."""
        return self.target.is_production

    def rows(
        self,
        mark: str,
        *,
        dry_run: bool = False,
        remember: Path | None = None,
        ready: Callable[[Mapping[str, RowChange]], None] = lambda _: None,
    ) -> Mapping[str, RowChange]:
        """Move them, or see what would come of it; without a database nothing but `ready` is done."""
        if not self.chosen.into:
            ready({})
            return {}
        source, target = self.source.database(self.chosen.into), self.target.database(self.chosen.into)
        wish = Wish(
            mark, self.base if self.careful else None, self.chosen.overwrite or not self.careful, dry_run,
            self.rewriting, remember, as_target=self.careful, ready=ready,
        )  # fmt: skip
        return target.engine.move(source.url, target.url, self.selection.tables, wish)

    def files(self) -> Files:
        """Raises Refused when one would have to lie where something is that stays."""
        if not self.chosen.files:
            return Files()
        names = {one.name for end in (self.source, self.target) for one in end.held}
        without = files.of_databases(database.path(one) for one in names if database.engine(one) == "sqlite")
        mine, its = (content_files.look(end.data, without, end.index) for end in (self.source, self.target))
        known = self.known or {}
        found = self._choose({*mine.held, *its.held, *known, *mine.links})
        change = compare(
            _only(found.paths, mine.held), _only(found.paths, its.held),
            _only(found.paths, known) if self.careful and self.known is not None else None,
        )  # fmt: skip
        if not self.careful:
            change = replace(change, conflicts=())
        if way := in_the_way(change.coming, {*its.held, *its.links} - {*change.removed}):
            raise Refused(
                f"{way} of {self.target.env.name} is in the way of what would come.", "Move it away first."
            )
        return Files(
            change, _only(found.paths, mine.held), _only(found.paths, known), found.withheld,
            tuple(path for path in mine.links if path in found.paths),
        )  # fmt: skip

    def report(self, tables: Mapping[str, RowChange], of: Files) -> Report:
        if not self.careful:
            tables = {name: replace(one, conflicts=()) for name, one in tables.items()}
        return Report(
            categories(self.settings.groups, tables, of.change), (*self.selection.withheld, *of.withheld),
            of.links, self.selection.missing,
        )  # fmt: skip

    def agreed(self, of: Files) -> str:
        """What the base is to say of files once these have moved."""
        known = dict(self.known or {})
        if self.chosen.files:
            known = {path: one for path, one in known.items() if path not in of.known} | dict(of.held)
        masked = {*self.rewriting.mask, *self.rewriting.keep}
        return json.dumps({"held": known, "masked": sorted(masked)})

    def _choose(self, paths: Iterable[str]) -> Selection:
        words = [
            one for one in self.chosen.only if one in self.settings.groups or not one.startswith("table:")
        ]
        if self.chosen.only and not words:
            return Selection((), ())
        return content.choose(self.settings.withheld, self.settings.groups, words, {}, paths)


def end(ctx: Context, env: Environment) -> End:
    """Raises NotFound when nothing is live there."""
    live, held = snapshot.kept(ctx, env)
    index = ctx.home.snapshots / ctx.site(env.site).id / f"{env.folder}.files.json"
    host = urlsplit(ctx.url(env.site, env.label)).netloc
    return End(env, live.data, slot.data_folder(ctx, env, live.data), tuple(held), index, host)


def chart(ctx: Context, source: End, target: End, chosen: Chosen) -> Course:
    """Raises Invalid for a name that nothing has, Refused for what cannot move together or may not."""
    site = ctx.site(target.env.site)
    settings = policy.of_site(site, ctx.repository(site.name)).content
    found = _tables(source, target) if chosen.database else {}
    tables = {name: table for its in found.values() for name, table in its.items()}
    if chosen.database and not found and (source.held or target.held) and not chosen.files:
        raise Refused(
            f"{source.env.name} and {target.env.name} have no database in common.", "Deploy the same code."
        )
    selection = content.choose(settings.withheld, settings.groups, chosen.only, tables, ())
    into = [name for name, its in found.items() if {*selection.tables} & {*its}]
    if len(into) > 1:
        raise Refused(
            f"{listed(into)} cannot change in one moment.", "Name tables of one of them: --only table:…"
        )
    if target.is_production and into and settings.never is None and not chosen.only:
        raise Refused(
            "gitdeploy.toml does not say what may never move into production.",
            'Name what visitors write: [content] never = ["sessions", …], or never = []; or move a part: --only …',
        )
    folder = base_folder(ctx, source, target)
    said = _base(folder)
    return Course(
        source, target, replace(chosen, into="".join(into)), settings, selection,
        _rewriting(ctx, settings, source, target, tables, said["masked"] if said else ()),
        folder if said else None, said["held"] if said else None,
    )  # fmt: skip


def base_folder(ctx: Context, source: End, target: End) -> Path | None:
    """Where is kept what production held when the other one was the same; None when neither is production."""
    if not (source.is_production or target.is_production):
        return None
    other = source if target.is_production else target
    return Place(ctx.home, other.env.site, other.env.folder).base_folder(other.number)


# Private


def _tables(source: End, target: End) -> dict[str, Mapping[str, Table]]:
    """Of each database that both have, the source's tables. Raises Refused when it is one and the same."""
    found = {}
    for one in source.held:
        for other in target.held:
            if one.name == other.name:
                if one.url == other.url:
                    raise Refused(
                        f"{source.env.name} and {target.env.name} have the same database {one.name}.",
                        "Give each one of its own, or move --files.",
                    )
                found[one.name] = one.engine.schema(one.url).tables
    return found


def _base(folder: Path | None) -> dict[str, Any] | None:
    try:
        return dict(json.loads((folder / FILE).read_text("utf-8"))) if folder else None
    except FileNotFoundError:
        return None


def _rewriting(
    ctx: Context,
    settings: Content,
    source: End,
    target: End,
    tables: Mapping[str, Table],
    masked: Iterable[str],
) -> Rewriting:
    replaced = {}
    for name, elsewhere in settings.replace.items():
        here, there = (_called(name, elsewhere, end) for end in (source, target))
        if here and there and here != there:
            replaced[here] = there
    rewriting = Rewriting(replaced, settings.replace_columns)
    if target.is_production:
        return replace(rewriting, keep=(*settings.mask, *masked))
    if not source.is_production:
        return rewriting
    columns = [f"{name}.{column.name}" for name, table in tables.items() for column in table.columns]
    for pattern in settings.mask if tables else ():
        if not any(matches(pattern, column) for column in columns):
            raise Refused(
                f"There is no column {pattern} to mask.",
                "Mend [content] mask: what it should hide might move as it is.",
            )
    return replace(
        rewriting, mask=settings.mask, key=ctx.vault.derived(f"masks of {ctx.site(source.env.site).id}")
    )


def _called(name: str, elsewhere: Mapping[str, str], end: End) -> str:
    """What production's `name` is called at this end; empty where nobody said."""
    if end.is_production:
        return name
    said = elsewhere.get(end.env.name) or (elsewhere.get("preview") if end.env.kind == "preview" else None)
    return (said or elsewhere.get("*", "")).replace("{host}", end.host)


def _only(paths: Iterable[str], held: Mapping[str, str]) -> dict[str, str]:
    return {path: held[path] for path in paths if path in held}
