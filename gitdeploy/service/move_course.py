"""What a move takes along: the two ends, the tables and files that were chosen, and what becomes of them on the way.

Into production it is three-way: what only production has changed since the other was made of it stays, and what both
have is a conflict. Anywhere else the target becomes what the source is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from gitdeploy.data import content_files, files
from gitdeploy.data.content_side import Mover, Ready, Wish
from gitdeploy.data.url import parse
from gitdeploy.domain import content, database
from gitdeploy.domain.content import Rewriting, RowChange, Selection
from gitdeploy.domain.file_change import FileChange, compare, in_the_way
from gitdeploy.domain.globs import matches
from gitdeploy.domain.move import Chosen, Report, categories, listed
from gitdeploy.domain.schema import Table
from gitdeploy.domain.settings import Content
from gitdeploy.domain.site import Site
from gitdeploy.errors import Refused
from gitdeploy.service import base, policy
from gitdeploy.service.base import Base
from gitdeploy.service.context import Context
from gitdeploy.service.move_end import End, base_folder


@dataclass(frozen=True)
class Files:
    """What would come of the files, as both ends are now: `held` is what the source has of those that move, `paths` are
    all that were chosen, wherever they are.
    """

    change: FileChange = field(default_factory=FileChange)
    held: Mapping[str, str] = field(default_factory=dict)
    paths: frozenset[str] = frozenset()
    withheld: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


@dataclass(frozen=True)
class Course:
    """A move, planned. `chosen.into` is the database whose rows move; without a `base` nobody knows who has changed
    what.
    """

    source: End
    target: End
    chosen: Chosen
    settings: Content
    selection: Selection
    rewriting: Rewriting
    base: Base | None

    @property
    def careful(self) -> bool:
        """Whether what the target has changed since counts."""
        return self.target.is_production

    @contextlib.contextmanager
    def compared(self, mark: str, *, dry_run: bool = False, remember: Path | None = None) -> Iterator[Mover]:
        """Look at the rows; what is given moves them, or tries it. Without a database that does nothing but `ready`."""
        if not self.chosen.into:
            yield _nothing
            return
        source, target = self.source.database(self.chosen.into), self.target.database(self.chosen.into)
        wish = Wish(
            mark, self.base.folder if self.base and self.careful else None,
            self.chosen.overwrite or not self.careful, dry_run, self.rewriting, remember, as_target=self.careful,
        )  # fmt: skip
        with target.engine.compared(source.url, target.url, self.selection.tables, wish) as move:
            yield move

    def rows(
        self, mark: str, *, dry_run: bool = False, remember: Path | None = None
    ) -> Mapping[str, RowChange]:
        """Move them at once, or see what would come of it."""
        with self.compared(mark, dry_run=dry_run, remember=remember) as move:
            return move(lambda _: None)

    def files(self) -> Files:
        """Raises Refused when one would have to lie where something is that stays."""
        if not self.chosen.files:
            return Files()
        names = {one.name for end in (self.source, self.target) for one in end.held}
        without = files.of_databases(database.path(one) for one in names if database.engine(one) == "sqlite")
        mine, its = (content_files.look(end.data, without, end.index) for end in (self.source, self.target))
        known = self.base.held if self.base else {}
        found = self._choose({*mine.held, *its.held, *known, *mine.links})
        change = compare(
            _only(found.paths, mine.held), _only(found.paths, its.held),
            _only(found.paths, known) if self.careful and self.base else None,
        )  # fmt: skip
        if not self.careful:
            change = replace(change, conflicts=())
        if way := in_the_way(change.coming, {*its.held, *its.links} - {*change.removed}):
            raise Refused(
                f"{way} of {self.target.name} is in the way of what would come.", "Move it away first."
            )
        return Files(
            change, _only(found.paths, mine.held), frozenset(found.paths), found.withheld,
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
        before = self.base or Base(Path())
        held = {path: one for path, one in before.held.items() if path not in of.paths} | dict(of.held)
        return base.text(held, (*before.masked, *self.rewriting.mask, *self.rewriting.keep))

    def _choose(self, paths: Iterable[str]) -> Selection:
        words = [
            one for one in self.chosen.only if one in self.settings.groups or not one.startswith("table:")
        ]
        if self.chosen.only and not words:
            return Selection((), ())
        return content.choose(self.settings.withheld, self.settings.groups, words, {}, paths)


def chart(ctx: Context, site: Site, source: End, target: End, chosen: Chosen) -> Course:
    """`chosen.into` may name the only database that is to be looked at. Raises Invalid for a name that nothing has,
    Refused for what cannot move together or may not.
    """
    settings = policy.of_site(site, ctx.repository(site.name)).content
    found = _tables(source, target) if chosen.database else {}
    if chosen.into:
        found = {chosen.into: found[chosen.into]}
    tables = {name: table for its in found.values() for name, table in its.items()}
    if chosen.database and not found and (source.held or target.held) and not chosen.files:
        raise Refused(f"{source.name} and {target.name} have no database in common.", "Deploy the same code.")
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
    known = base.read(folder) if folder else None
    return Course(
        source, target, replace(chosen, into="".join(into)), settings, selection,
        _rewriting(ctx, site, settings, source, target, tables, known), known,
    )  # fmt: skip


# Private


def _nothing(ready: Ready) -> Mapping[str, RowChange]:
    ready({})
    return {}


def _tables(source: End, target: End) -> dict[str, Mapping[str, Table]]:
    """Of each database that both have, the source's tables. Raises Refused when it is one and the same."""
    found = {}
    for one in source.held:
        for other in target.held:
            if one.name == other.name:
                if parse(one.url).is_of_the_same(parse(other.url)):
                    raise Refused(
                        f"{source.name} and {target.name} have the same database {one.name}.",
                        "Give each one of its own, or move --files.",
                    )
                found[one.name] = one.engine.schema(one.url).tables
    return found


def _rewriting(
    ctx: Context, site: Site, settings: Content, source: End, target: End,
    tables: Mapping[str, Table], known: Base | None,
) -> Rewriting:  # fmt: skip
    replaced = {}
    for name, elsewhere in settings.replace.items():
        here, there = (end.called(name, elsewhere) for end in (source, target))
        if here and there and here != there:
            replaced[here] = there
    rewriting = Rewriting(replaced, settings.replace_columns)
    if source.is_production == target.is_production:
        return rewriting
    if target.is_production:
        return replace(rewriting, keep=(*settings.mask, *(known.masked if known else ())))
    columns = [f"{name}.{column.name}" for name, table in tables.items() for column in table.columns]
    for pattern in settings.mask if tables else ():
        if not any(matches(pattern, column) for column in columns):
            raise Refused(
                f"There is no column {pattern} to mask.",
                "Mend [content] mask: what it should hide might move as it is.",
            )
    return replace(rewriting, mask=settings.mask, key=ctx.vault.derived(f"masks of {site.id}"))


def _only(paths: Iterable[str], held: Mapping[str, str]) -> dict[str, str]:
    return {path: held[path] for path in paths if path in held}
