"""The data that a switch brings with it: another data folder, and databases that take the place of those of their name.

All of it is prepared beside what is in use. Folders change with the slot. Databases of a server are renamed in the
moment of the switch, so their addresses stay; renamed back, nothing has changed. What was replaced stays until it is
captured for the last time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from gitdeploy.domain.environment import Environment
from gitdeploy.domain.switch import SwitchRecord
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service.context import Context
from gitdeploy.service.database import Held
from gitdeploy.store import durable


@dataclass(frozen=True)
class Exchange:
    """`data` is the number of the new data folder, `replaced` that of the one before; `databases` are those that lie in
    a server.
    """

    data: int
    replaced: int
    databases: tuple[Held, ...] = ()

    @property
    def new(self) -> str:
        """What stands behind the name of a database that is prepared."""
        return f"__new{self.data}"

    @property
    def old(self) -> str:
        """What stands behind the name of one that was replaced."""
        return f"__old{self.data}"

    def prepare(self) -> list[Held]:
        """New and empty databases beside those in use, to be filled."""
        return [
            Held(one.name, one.server.beside(one.admin, one.url, self.new), one.admin)
            for one in self.databases
            if one.server
        ]

    def swap(self) -> None:
        """Put the prepared ones in place. Raises Failed; then `put_back` is to be called."""
        for one in self.databases:
            if one.server:
                one.server.swap(one.admin, one.url, self.new, self.old)

    def put_back(self) -> None:
        """Undo `swap`, however far it came; safe to repeat."""
        for one in self.databases:
            if one.server and one.server.exists(one.admin, one.url, self.old):
                one.server.swap(one.admin, one.url, self.old, self.new)

    def replaced_databases(self) -> list[Held]:
        """Those that were replaced, under the names that they have now."""
        return [Held(one.name, one.url_with(self.old), one.admin) for one in self.databases]

    def drop_new(self, ctx: Context, env: Environment) -> None:
        """Remove what was prepared and did not come to be used."""
        self._drop(ctx, env, self.new, self.data)

    def drop_old(self, ctx: Context, env: Environment) -> None:
        """Remove what was replaced."""
        self._drop(ctx, env, self.old, self.replaced)

    def seal(self, ctx: Context, record_id: str) -> str:
        """For the journal: URLs hold passwords."""
        said = {
            "data": self.data, "replaced": self.replaced,
            "databases": [[one.name, one.url, one.admin] for one in self.databases],
        }  # fmt: skip
        return ctx.vault.seal(json.dumps(said).encode(), record_id).hex()

    def is_used(self, ctx: Context, env: Environment) -> bool:
        """Whether what was prepared is what visitors get, in the ledger's eyes or by the pointer."""
        current = Place(ctx.home, env.site, env.folder).current()
        release = ctx.ledger.releases.one(site=env.site, env=env.name, slot=current, order="number DESC")
        live = ctx.ledger.releases.one(site=env.site, env=env.name, state="live")
        return any(one is not None and one.data == self.data for one in (release, live))

    def _drop(self, ctx: Context, env: Environment, suffix: str, data: int) -> None:
        for one in self.databases:
            if one.server:
                one.server.remove(one.admin, one.url, suffix)
        durable.remove_tree(Place(ctx.home, env.site, env.folder).data_folder(data))


def opened(ctx: Context, record: SwitchRecord) -> Exchange | None:
    """What a journalled switch brings with it; None when that is no data."""
    if not record.data:
        return None
    said = json.loads(ctx.vault.open(bytes.fromhex(record.data), record.id))
    return Exchange(said["data"], said["replaced"], _held(said["databases"]))


def of(data: int, replaced: int, held: Iterable[Held]) -> Exchange:
    return Exchange(data, replaced, tuple(one for one in held if one.server))


def _held(said: Iterable[tuple[str, str, str]]) -> tuple[Held, ...]:
    return tuple(Held(*one) for one in said)
