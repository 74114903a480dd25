"""The data that a switch brings with it: another data folder, and databases that take the place of those of their name.

All of it is prepared beside what is in use. Folders change with the slot. Databases of a server are renamed in the
moment of the switch, so their addresses stay; renamed back, nothing has changed. What was replaced stays until it is
captured for the last time.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from gitdeploy.data.url import parse
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.switch import SwitchRecord
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service.context import Context
from gitdeploy.service.database import Held
from gitdeploy.store import durable

_TRIED, _LEFT = "__a", "__b"
"""The suffixes of what a copy changes places with."""


@dataclass(frozen=True)
class Exchange:
    """`data` is the number of the new data folder, `replaced` that of the one before; `databases` are those that lie in
    a server; `filled` is the name of the snapshot that it comes from.
    """

    data: int
    replaced: int
    databases: tuple[Held, ...] = ()
    filled: str = ""

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

    def copies(self) -> list[Held]:
        """New and empty databases beside those in use for a rehearsal. Each has a role of its own, so that whoever is
        given it can neither reach what is in use nor lock anybody out of it.
        """
        made = []
        for one in self.databases:
            if one.server and one.admin != one.url:
                name = parse(_alone(one, self.new)).name
                url = one.server.create(one.admin, name, secrets.token_urlsafe(24))
                made.append(Held(one.name, url, one.admin))
            elif one.server:  # all that is known of its server is this one role
                made.append(Held(one.name, one.server.beside(one.admin, one.url, self.new), one.admin))
        return made

    def swap_copies(self) -> float | None:
        """How many seconds it takes to put another database in the place of each copy; afterwards they are empty. None
        when that cannot be tried without the role of those in use.
        """
        started = time.monotonic()
        for one in self.databases:
            if one.server and one.admin == one.url:
                return None
            if one.server:
                one.server.beside(one.admin, _alone(one, self.new), _TRIED)
        started = time.monotonic()
        for one in self.databases:
            if one.server:
                one.server.swap(one.admin, _alone(one, self.new), _TRIED, _LEFT)
        return time.monotonic() - started

    def swap(self) -> None:
        """Put the prepared ones in place. Raises Failed; then `put_back` is to be called."""
        for one in self.databases:
            if one.server:
                one.server.swap(one.admin, one.url, self.new, self.old)

    def put_back(self) -> None:
        """Undo `swap`, however far it came; safe to repeat."""
        for one in self.databases:
            if one.server:
                one.server.put_back(one.admin, one.url, self.new, self.old)

    def replaced_databases(self) -> list[Held]:
        """Those that were replaced, under the names that they have now."""
        return [Held(one.name, one.url_with(self.old), one.admin) for one in self.databases]

    def drop_new(self, ctx: Context, env: Environment) -> None:
        """Remove what was prepared and did not come to be used."""
        for one in self.databases:
            if one.server:
                one.server.remove(one.admin, one.url, self.new)
                _drop_alone(one, self.new)
        durable.remove_tree(Place(ctx.home, env.site, env.folder).data_folder(self.data))

    def drop_old(self, ctx: Context, env: Environment) -> None:
        """Remove what was replaced."""
        for one in self.databases:
            if one.server:
                one.server.remove(one.admin, one.url, self.old)
        durable.remove_tree(Place(ctx.home, env.site, env.folder).data_folder(self.replaced))

    def seal(self, ctx: Context, record_id: str) -> str:
        """For the journal: URLs hold passwords."""
        said = {
            "data": self.data, "replaced": self.replaced, "filled": self.filled,
            "databases": [[one.name, one.url, one.admin] for one in self.databases],
        }  # fmt: skip
        return ctx.vault.seal(json.dumps(said).encode(), record_id).hex()


def opened(ctx: Context, record: SwitchRecord) -> Exchange | None:
    """What a journalled switch brings with it; None when that is no data."""
    if not record.data:
        return None
    said = json.loads(ctx.vault.open(bytes.fromhex(record.data), record.id))
    return Exchange(said["data"], said["replaced"], _held(said["databases"]), said.get("filled", ""))


def of(data: int, replaced: int, held: Iterable[Held], filled: str = "") -> Exchange:
    return Exchange(data, replaced, tuple(one for one in held if one.server), filled)


def _alone(one: Held, suffix: str) -> str:
    """The URL, without a password, of a copy with a role of its own."""
    name = parse(one.url_with(suffix)).name
    return str(replace(parse(one.url), name=name, user=name, password=""))


def _drop_alone(one: Held, suffix: str) -> None:
    """The role goes last: as long as it has a database it cannot."""
    if one.server and one.admin != one.url:
        for left in (_TRIED, _LEFT, ""):
            one.server.remove(one.admin, _alone(one, suffix), left)


def _held(said: Iterable[tuple[str, str, str]]) -> tuple[Held, ...]:
    return tuple(Held(*one) for one in said)
