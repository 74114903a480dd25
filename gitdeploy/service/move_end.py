"""The two ends of a move: environments as they are, or a snapshot in place of the one that content comes from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from gitdeploy.domain.environment import Environment
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.snapshot import Snapshot
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import beside, slot, snapshot
from gitdeploy.service.context import Context
from gitdeploy.service.database import Held

Source = Environment | Snapshot
"""Content comes from an environment as it is now, or from a snapshot."""


@dataclass(frozen=True)
class End:
    """One side: what is or was live in an environment. `number` is that of its data folder, `index` a file that
    remembers what was read of it, `host` what visitors call it, empty when it is gone. Without `env` it is a
    snapshot of it.
    """

    name: str
    kind: str
    number: int
    data: Path
    held: tuple[Held, ...]
    host: str
    env: Environment | None = None
    index: Path | None = None

    @property
    def is_production(self) -> bool:
        return self.name == PRODUCTION

    def database(self, name: str) -> Held:
        return next(one for one in self.held if one.name == name)

    def called(self, name: str, elsewhere: Mapping[str, str]) -> str:
        """What production's `name` is called here, by what `elsewhere` says for each environment; empty where it says
        nothing.
        """
        if self.is_production:
            return name
        said = elsewhere.get(self.name) or (elsewhere.get("preview", "") if self.kind == "preview" else "")
        said = said or elsewhere.get("*", "")
        return "" if "{host}" in said and not self.host else said.replace("{host}", self.host)


def end(ctx: Context, env: Environment) -> End:
    """Raises NotFound when nothing is live there."""
    live, held = snapshot.kept(ctx, env)
    return end_of(ctx, env, live.data, held)


def end_of(ctx: Context, env: Environment, number: int, held: Sequence[Held]) -> End:
    index = ctx.home.snapshots / ctx.site(env.site).id / f"{env.folder}.files.seen"
    data = slot.data_folder(ctx, env, number)
    return End(env.name, env.kind, number, data, tuple(held), _host(ctx, env), env, index)


@contextlib.contextmanager
def opened(ctx: Context, source: Source, target: End) -> Iterator[End]:
    """A snapshot is restored into a throwaway beside the target for as long as this lasts, with roles of its own."""
    if isinstance(source, Environment):
        yield end(ctx, source)
        return
    assert target.env is not None
    env, mine = target.env, ctx.ledger.environments.get(source.site, source.env)
    with beside.prepared(ctx, env, target.number, target.held) as room:
        servers = [one for one in room.copies() if one.name in source.facts]
        beside.fill(ctx, env, room.data, source, servers, target.held)
        folder = Place(ctx.home, env.site, env.folder).data_folder(room.data).resolve()
        inside = [one.in_folder(folder) for one in target.held if not one.server and one.name in source.facts]
        kind, host = (mine.kind, _host(ctx, mine)) if mine else ("preview", "")
        yield End(source.env, kind, room.data, folder, (*servers, *inside), host)


def base_folder(ctx: Context, source: End, target: End) -> Path | None:
    """Where is kept what production held when the other one was the same; None when neither is production, or both."""
    other = source.env if target.is_production else target.env
    if source.is_production == target.is_production or other is None:
        return None
    number = source.number if target.is_production else target.number
    return Place(ctx.home, other.site, other.folder).base_folder(number)


# Private


def _host(ctx: Context, env: Environment) -> str:
    return urlsplit(ctx.url(env.site, env.label)).netloc
