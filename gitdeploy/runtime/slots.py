"""An environment on disk: slots, and the one link that says which of them is live.

    sites/<site>/<env>/current               -> slots/<slot>     a switch is one rename(2) of this link
    sites/<site>/<env>/slots/<slot>/root     -> the release's files
    sites/<site>/<env>/slots/<slot>/rules.json                   only when the release has page rules
    sites/<site>/<env>/slots/<slot>/at:<site>:<env>:<slot>:<serves>   an empty file: the slot's own address
    sites/<site>/<env>/slots/<slot>/web.sock                     an app's socket, made by whoever runs the app
    sites/<site>/<env>/slots/<slot>/no-web                       or this empty file: there will never be one
    sites/<site>/<env>/slots/<slot>/left                         since when it has been followed by another
    sites/<site>/<env>/data/<number>/                            what its apps keep; a release names the number
    sites/<site>/<env>/moves/<id>/                               content on its way in, closed to programs
    sites/<site>/<env>/bases/<number>/                           what production held when it was made this data
    sites/<site>/<env>/allow.json, maintenance.json, password    the gate before it (runtime/edge/gate.py)

A slot is prepared under another name and renamed, so it is whole before it can be seen, and what it serves never
changes afterwards. The empty file lets an edge that can only look through `current` learn in one look-up where it
leads, and stay with that slot for the rest of the request. All links are relative: a home can be moved.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gitdeploy.domain.gate import Allowed, Maintenance, Network, Password
from gitdeploy.domain.place import LONGEST_SOCKET, NO_WEB, RECENT, RECENT_SLOTS, FolderName, SlotName
from gitdeploy.domain.serving import Rules
from gitdeploy.errors import Failed, Invalid, NotFound
from gitdeploy.runtime.edge import gate
from gitdeploy.store import durable
from gitdeploy.store.home import Home

DRAIN = 10.0
"""Seconds a slot stays after it stopped being live, for requests that began in it."""


@dataclass(frozen=True)
class Environment:
    home: Home
    site: str
    env: str

    def __post_init__(self) -> None:
        FolderName.parse(self.site)
        FolderName.parse(self.env)

    @property
    def folder(self) -> Path:
        return self.home.sites / self.site / self.env

    def slot_folder(self, slot: str) -> Path:
        return self.folder / "slots" / SlotName.parse(slot)

    def data_folder(self, number: int) -> Path:
        """What the processes of an environment may write to, and find again in the next release."""
        return self.folder / "data" / str(number)

    def moves_folder(self) -> Path:
        """Where content lies that is on its way in, a folder for each move."""
        return self.folder / "moves"

    def base_folder(self, number: int) -> Path:
        """What production held when it and this data folder, with the databases that go with it, were the same."""
        return self.folder / "bases" / str(number)

    def prepare(self, slot: str, root: Path, rules: Rules) -> None:
        """Make `slot` serve the folder `root` (within the home) by `rules`; durable when it returns.

        A slot that holds just that is left alone, one that does not is replaced. Raises Failed if it is live.
        """
        self._prepare(slot, root, rules, "files" if rules == Rules() else "rules")

    def prepare_app(self, slot: str, root: Path, *, has_web: bool = True) -> Path:
        """Make `slot` pass every request to an app, whose files are `root`; returns the socket it has to make.

        Without `has_web` visitors are told at once that there is nothing to see.

        Like `prepare`; also raises Invalid when the socket's path would be too long for the system.
        """
        path = self.slot_folder(slot) / "web.sock"
        length = len(os.fsencode(path.relative_to(self.home.root)))
        if length > LONGEST_SOCKET:
            raise Invalid(
                f"The names of {self.site}, {self.env} and {slot} are together {length - LONGEST_SOCKET} "
                "characters too long for an app's socket.",
                "Give the site or the branch a shorter name.",
            )
        self._prepare(slot, root, Rules(), "app", () if has_web else (NO_WEB,))
        return path

    def current(self) -> str | None:
        """The live slot; None before the first switch."""
        try:
            return (self.folder / "current").readlink().name
        except FileNotFoundError:
            return None

    def slots(self) -> list[str]:
        folder = self.folder / "slots"
        return sorted(one.name for one in folder.iterdir() if one.name[0] != ".") if folder.is_dir() else []

    def point(self, slot: str) -> str | None:
        """Make `slot` live by one rename; returns the slot that was live before.

        Raises NotFound, and changes nothing, when the slot was never prepared.
        """
        if not (self.slot_folder(slot) / "root").is_dir():
            raise NotFound(
                f"{self.site} {self.env} has no slot {slot}.", "Prepare it before it is pointed at."
            )
        before = self.current()
        durable.point(self.folder / "current", f"slots/{slot}")
        if before is not None and before != slot:
            with contextlib.suppress(FileNotFoundError):
                os.utime(self.slot_folder(before))  # `retire` counts from here
                if not self._is_app(before):
                    (self.slot_folder(before) / "left").touch()
        return before

    def clear(self) -> None:
        """Take the link away: nothing is live here any more."""
        if self.folder.is_dir():
            durable.remove(self.folder / "current")

    def retire(self, keep: set[str]) -> None:
        """Remove the slots that are neither live, nor in `keep`, nor draining (left within DRAIN seconds), nor
        among the last few of files that were live, whose hashed assets open pages may still ask for.

        Whoever runs an app holds its slot by a file `keeper.lock`.
        """
        kept = {self.current(), *keep, *self._recent()}
        for slot in self.slots():
            held = (self.slot_folder(slot) / "keeper.lock").exists()
            if slot not in kept and not held and not self._is_draining(slot):
                _discard(self.slot_folder(slot))
        self._sweep()

    def discard(self, slot: str) -> None:
        """Remove a slot that was never live, and that nobody runs in any more."""
        _discard(self.slot_folder(slot))

    def allowed(self) -> tuple[Network, ...]:
        """Those who may come; () when everybody may. Raises Invalid for a file that is none."""
        file = self.folder / gate.ALLOW
        try:
            return Allowed.from_json(json.loads(file.read_bytes())).networks if file.exists() else ()
        except ValueError as error:
            raise Invalid(f"{file} cannot be read.", "Remove it, and say again who may come.") from error

    def allow(self, networks: Sequence[Network]) -> None:
        """Answer 403 from the next request on to all but these; () lets everybody come again."""
        file = self.folder / gate.ALLOW
        if not networks:
            return durable.remove(file) if file.exists() else None
        durable.make_folder(self.folder)
        text = json.dumps(Allowed(tuple(networks)).as_json())
        return durable.write_file(file, text.encode())

    def maintenance(self, message: str | None, *, until: str = "", allow: Sequence[str] = ()) -> None:
        """Answer 503 with `message` from the next request on, to all but the addresses in `allow`; None ends it.

        Nothing that is live changes. `until` (ISO 8601) only tells visitors when to come back.
        """
        file = self.folder / gate.MAINTENANCE
        if message is None:
            return durable.remove(file) if file.exists() else None
        closed = Maintenance(message, until, tuple(allow))
        durable.make_folder(self.folder)
        return durable.write_file(file, json.dumps(closed.as_json()).encode())

    def password(self, secret: str | None) -> None:
        """Ask every visitor for `secret` from the next request on; None asks no more. Kept as a salted hash."""
        file = self.folder / gate.PASSWORD
        if secret is None:
            return durable.remove(file) if file.exists() else None
        hashed = Password.of(secret, secrets.token_bytes(16))
        durable.make_folder(self.folder)
        return durable.write_file(file, f"{hashed}\n".encode(), mode=0o600)

    def is_gated(self) -> bool:
        """Whether not every visitor is let in."""
        return any((self.folder / name).exists() for name in (gate.ALLOW, gate.MAINTENANCE, gate.PASSWORD))

    def readdress(self) -> None:
        """Have every slot say where it is now, after its site's folder was renamed; safe to repeat."""
        for slot in self.slots():
            for said in self.slot_folder(slot).glob("at:*"):
                said.rename(said.with_name(self._address(slot, said.name.rpartition(":")[2])))

    def remove(self) -> None:
        """Tear the environment down: first the link, so that visitors get a clean 404, then the rest."""
        self.clear()
        durable.remove_tree(self.folder)

    def _prepare(self, slot: str, root: Path, rules: Rules, serves: str, marks: Sequence[str] = ()) -> None:
        folder = self.slot_folder(slot)
        target = os.path.relpath(root.resolve(), folder.resolve())
        address = self._address(slot, serves)
        if _holds(folder, target, rules, address):
            return
        if self.current() == slot:
            raise Failed(f"The slot {slot} of {self.site} {self.env} is live and cannot be changed.")
        durable.make_folder(folder.parent)
        making = folder.with_name(f".{slot}.{secrets.token_hex(6)}")
        try:
            making.mkdir()
            (making / "root").symlink_to(target)
            for name in (address, *marks):
                (making / name).touch()
            if rules != Rules():
                durable.write_file(making / "rules.json", json.dumps(rules.as_json()).encode())
            durable.sync_folder(making)
            _discard(folder)
            making.rename(folder)
        except BaseException as error:
            durable.remove_tree(making)
            if isinstance(error, OSError):
                raise Failed(f"Cannot prepare the slot {slot}: {error.strerror or error}.") from error
            raise
        durable.sync_folder(folder.parent)

    def _address(self, slot: str, serves: str) -> str:
        return f"at:{self.site}:{self.env}:{slot}:{serves}"

    def _is_app(self, slot: str) -> bool:
        return (self.slot_folder(slot) / self._address(slot, "app")).exists()

    def _recent(self) -> list[str]:
        """The slots of files that were followed within RECENT seconds, the newest few."""
        left: list[tuple[float, str]] = []
        for slot in self.slots():
            with contextlib.suppress(FileNotFoundError):
                left.append(((self.slot_folder(slot) / "left").stat().st_mtime, slot))
        newest = [one for one in sorted(left, reverse=True) if one[1] != self.current()][:RECENT_SLOTS]
        return [slot for moment, slot in newest if time.time() - moment < RECENT]

    def _is_draining(self, slot: str) -> bool:
        return abs(time.time() - self.slot_folder(slot).stat().st_mtime) < DRAIN

    def _sweep(self) -> None:
        """Remove what a killed `prepare` or `point` left: hidden names older than any of them takes."""
        for leftover in [*self.folder.glob(".current.*"), *self.folder.glob("slots/.*")]:
            if time.time() - leftover.lstat().st_mtime > 3600:
                durable.remove_tree(leftover)


def _holds(folder: Path, target: str, rules: Rules, address: str) -> bool:
    root, said = folder / "root", folder / "rules.json"
    if not root.is_symlink() or root.readlink() != Path(target) or not (folder / address).exists():
        return False
    return (Rules.from_json(json.loads(said.read_bytes())) if said.exists() else Rules()) == rules


def _discard(folder: Path) -> None:
    """Gone in one rename, whatever happens while its files are being removed."""
    if folder.is_dir():
        going = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}")
        folder.rename(going)
        durable.remove_tree(going)
