"""Data prepared beside what is in use: a data folder of the next number, and databases with that number behind their
names. A restore brings it in; a rehearsal throws it away.

The folder is made first and removed last. So after a crash it tells of all the rest.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence

from gitdeploy.data import capture
from gitdeploy.data.capture import Source
from gitdeploy.domain.digest import Digest
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.snapshot import Snapshot
from gitdeploy.domain.switch import OPEN, RETIRING
from gitdeploy.errors import GitdeployError, NotProven
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import database, exchange, slot, snapshot
from gitdeploy.service.context import Context
from gitdeploy.service.database import CLOSED, Held
from gitdeploy.service.exchange import Exchange
from gitdeploy.service.journal import live_release
from gitdeploy.service.slot import FIRST

log = logging.getLogger("gitdeploy.beside")


@contextlib.contextmanager
def prepared(
    ctx: Context, env: Environment, data: int, held: Sequence[Held], filled: str = ""
) -> Iterator[Exchange]:
    """Room for other data than that of the folder `data`, `filled` from the snapshot of that name. What has not come to
    be used at the end is removed. Call it holding the lane's `data`.
    """
    above = slot.data_folder(ctx, env, data).parent
    number = 1 + max(int(one.name) for one in above.iterdir() if one.name.isdigit())
    brings = exchange.of(number, data, held, filled)
    mine = (env.site, env.name, number)
    ctx.preparing.add(mine)
    try:
        Place(ctx.home, env.site, env.folder).data_folder(number).mkdir(mode=0o700)
        yield brings
    finally:
        if number not in _used(ctx, env):
            _drop(ctx, env, brings)
        ctx.preparing.discard(mine)


def fill(
    ctx: Context,
    env: Environment,
    number: int,
    taken: Snapshot,
    servers: Sequence[Held],
    held: Sequence[Held],
) -> None:
    """Fill the data folder `number` and empty databases of `servers` from a snapshot, as far as it has them; of `held`
    those that lie in the folder. Raises NotProven when what is there then is not what was captured.
    """
    wanted = [
        one
        for one in (*snapshot.sources(servers), *_inside(ctx, env, number, held))
        if one.name in taken.facts
    ]
    folder = Place(ctx.home, env.site, env.folder).data_folder(number)
    capture.restore(
        ctx.store, Digest.parse(taken.artifact), data=folder, databases=wanted, work=snapshot.work(ctx)
    )
    for one in wanted:
        with one.engine.instant(one.url) as instant:
            difference = taken.facts[one.name].differs_from(instant.facts())
        if difference:
            raise NotProven(f"{taken.name} was not restored as it was captured: {difference} ({one.name}).")
    slot.give_all(folder)


def sweep(ctx: Context, env: Environment) -> None:
    """Remove what somebody who was killed had prepared. Call it in the lane of `env`."""
    above = Place(ctx.home, env.site, env.folder).data_folder(1).parent
    numbers = [int(one.name) for one in above.iterdir() if one.name.isdigit()] if above.is_dir() else []
    if len(numbers) < 2:
        return
    live = live_release(ctx, env.site, env.name)
    data, held = (live.data, snapshot.kept(ctx, env)[1]) if live else (FIRST, database.made(ctx, env))
    for number in numbers:
        if number not in {data, *_used(ctx, env)} and (env.site, env.name, number) not in ctx.preparing:
            log.warning("%s %s: removing what was prepared as %d", env.site, env.name, number)
            _drop(ctx, env, exchange.of(number, data, held))


# Private


def _inside(ctx: Context, env: Environment, number: int, held: Iterable[Held]) -> list[Source]:
    folder = Place(ctx.home, env.site, env.folder).data_folder(number).resolve()
    return [Source(one.name, CLOSED, one.in_folder(folder).url) for one in held if not one.server]


def _used(ctx: Context, env: Environment) -> set[int]:
    """The data folders of what is live or about to be, and of what was replaced and is not captured yet."""
    releases = ctx.ledger.releases.where(site=env.site, env=env.name, state=("live", "pending"))
    numbers = {one.data for one in releases}
    for record in ctx.ledger.switches.where(site=env.site, env=env.name, phase=(*OPEN, RETIRING)):
        if (brought := exchange.opened(ctx, record)) is not None:
            numbers |= {brought.data, brought.replaced}
    return numbers


def _drop(ctx: Context, env: Environment, brings: Exchange) -> None:
    try:
        brings.drop_new(ctx, env)
    except GitdeployError as error:
        log.error("%s %s: what was prepared is not removed: %s", env.site, env.name, error.message)
