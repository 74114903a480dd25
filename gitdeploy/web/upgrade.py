"""The server's own upgrade is a release: built beside, checked, switched by one rename, put back if it is not healthy.

    build     the new version, in a folder beside the old one
    check     the new program opens a copy of the ledger, with its migrations, and the settings
    stop      the server, which finishes what is under way; sites are served on
    save      the ledger, as the old program left it
    switch    the link
    start     the new server: it has to answer, stay, and find no problem that the old one did not find

`upgrade/state.json` in the home says how far it is. Killed anywhere, doing it again finishes it or puts the old one
back.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import gitdeploy
from gitdeploy.errors import Failed, Invalid, NotProven, Refused
from gitdeploy.process import Command, run
from gitdeploy.service import daemon, follow, installation, server_file
from gitdeploy.service.daemon import Daemon
from gitdeploy.service.installation import Installation
from gitdeploy.service.teller import Teller
from gitdeploy.store import durable
from gitdeploy.store.home import Home
from gitdeploy.store.ledger import Ledger

_LONGEST_STOP = 120.0
_LONGEST_START = 60.0
_STAYS = 2.0
_PARTS = ("", "-wal")
STOPPING, SWITCHING, STARTING, BACK = "stopping", "switching", "starting", "back"


@dataclass(frozen=True)
class State:
    """`old` and `new` are the folders of the versions, `served` the words of the server that ran, if one did."""

    phase: str
    link: str
    old: str
    new: str
    before: str
    after: str
    served: dict[str, Any] | None = None
    problems: tuple[str, ...] = ()

    @classmethod
    def read(cls, home: Home) -> State | None:
        try:
            return cls(**json.loads(_state(home).read_text()))
        except FileNotFoundError:
            return None

    def write(self, home: Home) -> State:
        durable.write_file(_state(home), json.dumps(asdict(self)).encode(), mode=0o600)
        return self

    @property
    def daemon(self) -> Daemon | None:
        return Daemon(**{**self.served, "words": tuple(self.served["words"])}) if self.served else None


def plan(home: Path, source: Path | None) -> dict[str, Any]:
    """What an upgrade would do. Raises Invalid, NotFound, Refused."""
    where, here = Home(home.resolve()), Installation.found()
    chosen = _source(here, source)
    found = daemon.find(where)
    return {
        "from": gitdeploy.__version__, "to": installation.version_of(chosen), "source": str(chosen),
        "beside": str(here.beside()), "link": str(here.link), "server": found.pid if found else None,
        "restarted_by": ("systemd" if found.unit else "its supervisor, or this command") if found else "nobody",
        "unfinished": State.read(where) is not None,
    }  # fmt: skip


def upgrade(home: Path, source: Path | None, said: Callable[[bytes], None]) -> dict[str, Any]:
    """Upgrade, or end an upgrade that was killed. Raises Failed when the old version had to be put back, NotProven when
    the new one does not take a copy of the ledger; then nothing has changed.
    """
    where, here, teller = Home(home.resolve()), Installation.found(), Teller(said)
    follow.refuse(where)
    if not where.ledger.exists():
        raise Refused(
            f"{where.root} has no server yet.", "Name its home with --home, or run: gitdeploy serve"
        )
    durable.make_folder(_state(where).parent, mode=0o700)
    with durable.exclusive(where.run / "upgrade.lock", busy="An upgrade is under way."):
        state = State.read(where)
        if state is None:
            return _go_on(where, here, _begin(where, here, _source(here, source), teller), teller)
        teller.step(f"an upgrade from {state.before} to {state.after} was interrupted")
        if state.phase == STARTING and daemon.version(where) == state.after:
            # It has served since, perhaps for long: what it wrote is not taken from it.
            return _end(where, here, state, teller)
        return _go_on(where, here, state, teller)


def self_check(home: Path, ledger: Path) -> dict[str, Any]:
    """Asked of the new program: would it run with these settings and this copy of the ledger? Raises what speaks
    against it.
    """
    from gitdeploy.web import app  # noqa: F401  everything that a server needs can be imported

    server_file.load(Home(home).root / "server.toml")
    opened = Ledger(ledger)
    try:
        verdict, chain = opened.check(), opened.events.verify()
    finally:
        opened.close()
    if verdict != "ok" or chain.broken is not None:
        raise NotProven("The ledger is not whole after its migrations.", "Run: gitdeploy doctor")
    return {"version": gitdeploy.__version__}


# Private


def _begin(home: Home, here: Installation, source: Path, teller: Teller) -> State:
    if not os.access(here.link.parent, os.W_OK):
        raise Refused(
            f"{here.link.parent} cannot be written.", "Run this as its owner: sudo gitdeploy upgrade"
        )
    found = daemon.find(home)
    if found is not None and os.geteuid() not in (0, found.uid):
        raise Refused("The server runs as another user.", "Run this as that user, or as root.")
    problems = daemon.problems(home) if found else set()
    teller.step(f"building {installation.version_of(source)} from {source} in {here.beside()}")
    new = here.build(source)
    _check(home, new)
    version = (new / "gitdeploy-version").read_text().split()[-1]
    teller.detail(f"{version} takes a copy of the ledger")
    return State(
        STOPPING, str(here.link), str(here.here), str(new), gitdeploy.__version__, version,
        asdict(found) if found else None, tuple(sorted(problems)),
    ).write(home)  # fmt: skip


def _check(home: Home, new: Path) -> None:
    folder = _state(home).parent / "check"
    durable.remove_tree(folder)
    folder.mkdir(mode=0o700)
    copy = folder / "ledger.db"
    owner = home.ledger.stat()
    try:
        Ledger.copy_of(home.ledger, copy)
        for one in (folder.parent, folder, copy):
            os.chown(one, owner.st_uid, owner.st_gid)
        words = ("--home", str(home.root), "upgrade", "--self-check", str(copy))
        done = run(
            Command(
                (*daemon.as_user(owner.st_uid), str(new / "bin/python"), "-m", "gitdeploy", *words),
                cwd=Path("/"),
            )
        )
    finally:
        durable.remove_tree(folder)
    if done.code != 0:
        durable.remove_tree(new)
        last = [*done.err.decode(errors="replace").strip().splitlines(), f"exit {done.code}"][0]
        raise NotProven(
            f"The new version does not run with this server's ledger and settings: {last.strip()}",
            "Nothing has changed.",
        )


def _go_on(home: Home, here: Installation, state: State, teller: Teller) -> dict[str, Any]:
    served = state.daemon
    link, old, new = (Path(one) for one in (state.link, state.old, state.new))
    if state.phase in (STOPPING, SWITCHING):
        with _stopped(home, teller):
            if link.resolve() != new:
                # Again, too, if it was interrupted here: the old one may have run since.
                _save(home)
                state = replace(state, phase=SWITCHING).write(home)
                replace(here, link=link).point(new)
            if old == link:
                old = replace(here, link=link).first
            state = replace(state, phase=STARTING, old=str(old)).write(home)
        teller.detail(f"{link} leads to {new.name}")
    if state.phase == STARTING:
        why = _start(home, served, new, state, teller)
        if not why:
            return _end(home, here, state, teller)
        teller.problem(f"{state.after} is not healthy: {why}")
    _put_back(home, here, state, served, teller)
    raise Failed(
        f"The upgrade to {state.after} did not succeed; {state.before} is back, with the ledger of before.",
        f"See the server's log for what the new version said. The ledger that it had is {_replaced(home)}.",
    )


def _stopped(home: Home, teller: Teller) -> Any:
    found = daemon.find(home)
    if found is not None:
        teller.step("stopping the server; sites are served on")
        found.stop()
    return daemon.none(home, _LONGEST_STOP)


def _start(home: Home, served: Daemon | None, version: Path, state: State, teller: Teller) -> str:
    """Why it is not healthy; "" when it is."""
    if served is None:
        return ""
    teller.step(f"starting {state.after}")
    ended = served.start(home, version / "bin/python")
    until = time.monotonic() + _LONGEST_START
    while daemon.version(home) != state.after:
        if ended():
            return "it ended at its start"
        if time.monotonic() > until:
            return f"it did not answer within {_LONGEST_START:.0f} s"
        time.sleep(0.1)
    first = daemon.find(home)
    time.sleep(_STAYS)
    if first is None or (now := daemon.find(home)) is None or now.pid != first.pid:
        return "it did not stay"
    worse = sorted(daemon.problems(home) - set(state.problems))
    return f"its doctor finds a problem with {', '.join(worse)}" if worse else ""


def _put_back(home: Home, here: Installation, state: State, served: Daemon | None, teller: Teller) -> None:
    """The ledger once, before the old server first runs again: what that writes is not taken from it."""
    old = Path(state.old)
    teller.step(f"putting {state.before} back")
    if state.phase == STARTING:
        with _stopped(home, teller):
            _restore(home)
            if Path(state.link).resolve() != old:
                replace(here, link=Path(state.link)).point(old)
            state = replace(state, phase=BACK).write(home)
    if served is not None:
        if not daemon.runs(home):
            served.start(home, old / "bin/python")
        until = time.monotonic() + _LONGEST_START
        while daemon.version(home) != state.before:
            if time.monotonic() > until:
                raise Failed(f"{state.before} is put back and does not answer yet.", "See the server's log.")
            time.sleep(0.1)
    durable.remove(_state(home))
    durable.remove_tree(Path(state.new))


def _end(home: Home, here: Installation, state: State, teller: Teller) -> dict[str, Any]:
    durable.remove(_state(home))
    here.remove_old(Path(state.old), Path(state.new))
    teller.done(f"{state.after} runs; {state.before} stays in {state.old}, its ledger in {_saved(home)}")
    return {"from": state.before, "to": state.after, "server": bool(state.served), "old": state.old}


def _save(home: Home) -> None:
    for end in _PARTS:
        Path(f"{_replaced(home)}{end}").unlink(missing_ok=True)
    Ledger.copy_of(home.ledger, _saved(home))


def _restore(home: Home) -> None:
    owner = home.ledger.stat()
    temp = home.ledger.with_name(".ledger.db.back")
    shutil.copyfile(_saved(home), temp)
    os.chown(temp, owner.st_uid, owner.st_gid)
    temp.chmod(owner.st_mode & 0o777)
    durable.flush([temp], home.root)
    for end in _PARTS:
        source, kept = Path(f"{home.ledger}{end}"), Path(f"{_replaced(home)}{end}")
        if source.exists() and not kept.exists():
            kept.hardlink_to(source)
    for end in ("-wal", "-shm"):
        home.ledger.with_name(home.ledger.name + end).unlink(missing_ok=True)
    temp.rename(home.ledger)
    durable.sync_folder(home.root)


def _source(here: Installation, source: Path | None) -> Path:
    chosen = source.resolve() if source else here.source
    if chosen is None:
        raise Invalid(
            "It is not known which checkout this was installed from.", "Name one, or a wheel: --from PATH"
        )
    if here.editable and here.source is not None and chosen == here.source.resolve():
        raise Refused(
            f"gitdeploy runs from {chosen} itself, so there would be no way back.",
            "Name another checkout: git worktree add ../gitdeploy-new origin/main, then --from ../gitdeploy-new",
        )
    return chosen


def _state(home: Home) -> Path:
    return home.root / "upgrade" / "state.json"


def _saved(home: Home) -> Path:
    return home.root / "upgrade" / "ledger.db"


def _replaced(home: Home) -> Path:
    """The ledger that the new version had, if the old one was put back."""
    return home.root / "upgrade" / "replaced.db"
