"""From a recipe and a tree to the folder to publish, or the sentence that says why not."""

from __future__ import annotations

import os
import resource
import secrets as tokens
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gitdeploy import bubblewrap, cgroup
from gitdeploy.build import sandbox, verdict, workspace
from gitdeploy.build.run import MARK, Bounds, Cancel, InfoPipe, Outcome, run
from gitdeploy.build.sandbox import Isolation, Place
from gitdeploy.build.transcript import Transcript
from gitdeploy.build.verdict import Canceled
from gitdeploy.cgroup import Group
from gitdeploy.domain.recipe import Argv, Recipe
from gitdeploy.domain.units import print_size
from gitdeploy.errors import Failed
from gitdeploy.process import Command
from gitdeploy.user import User, told

__all__ = ["Canceled", "build", "builder_id"]

GROUPS = "gitdeploy-build"
MOST_PROCESSES = 2048
MOST_DISK = 8 * 1024**3

_PASSED_ON = (
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
)
"""What a build needs to know of the machine's network; everything else is said by the site."""


def builder_id() -> str:
    """Who builds here, as a build's key and its provenance name it.

    The number changes when the same recipe would give other files; an upgrade that does not change them leaves it,
    so that nothing is built again.
    """
    return builder_id_at(sandbox.isolation().level)


def builder_id_at(level: str) -> str:
    """The same for a machine with another level of isolation."""
    return f"gitdeploy/builder/v1/{level}"


def build(
    recipe: Recipe,
    work: Path,
    cache: Path,
    log: Callable[[bytes], None],
    cancel: Cancel,
    variables: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    *,
    home: Path | None = None,
    most_disk: int = MOST_DISK,
    isolation: Isolation | None = None,
) -> Path:
    """Run the recipe on the tree exported to `work`; the folder to publish.

    Of `variables` and `secrets` the build sees what the recipe's env declares; `secrets` are masked in the
    log. `cache` is the site's own folder, which several of its builds may use at once. `home`, gitdeploy's
    own folder, is never visible. `<work>.tmp` is used and removed; `work` stays. The calling thread must live
    until this returns. Raises Failed or Canceled; by then no process of the build is left.
    """
    if not recipe.commands:
        return workspace.output(work, recipe.root, recipe.output)
    level = isolation or sandbox.isolation()
    user = sandbox.build_user()
    place = workspace.prepare(work, cache, user)
    try:
        _check_reachable(place, level, user)
        workspace.keep_in(place, cache, user, recipe.root, recipe.cache)
        group = _group(recipe.memory)
        try:
            given = {
                name: value
                for name, value in {**(variables or {}), **(secrets or {})}.items()
                if name in recipe.env
            }
            transcript = Transcript(log, (secrets or {}).values())
            _Run(recipe, place, level, user, group, home, most_disk, transcript, cancel, given).all()
        finally:
            if group is not None:
                group.remove()
        path = workspace.output(work, recipe.root, recipe.output)
        workspace.keep_out(place, cache, user, recipe.root, recipe.cache)
        return path
    finally:
        workspace.remove(place.tmp)


@dataclass(frozen=True)
class _Run:
    recipe: Recipe
    place: Place
    level: Isolation
    user: User | None
    group: Group | None
    home: Path | None
    most_disk: int
    transcript: Transcript
    cancel: Cancel
    given: Mapping[str, str]

    def all(self) -> None:
        """Each command in turn; raises at the first that does not succeed."""
        deadline = time.monotonic() + self.recipe.timeout
        bounds = Bounds(
            deadline, self.cancel, workspace.disk_watch((self.place.work, self.place.tmp), self.most_disk)
        )
        for line in self._introduction():
            self.transcript.say(line)
        for argv in self.recipe.commands:
            self.transcript.say(f"$ {verdict.shown(argv)}")
            outcome = self._one(argv, bounds)
            self._judge(argv, outcome)
        self.transcript.close()

    def _one(self, argv: Argv, bounds: Bounds) -> Outcome:
        mark = tokens.token_hex(8)
        command, stdin = told(Command(argv), {**self._environment(), MARK: mark}, name="build")
        with _info_pipe(self.level) as info:
            confined = self._confined(command, info.writing.fileno() if info else None)
            folders = self.group.folders if self.group else ()
            guarded = sandbox.guarded(confined, folders, self._limits())
            return run(guarded, stdin, self.transcript.feed, bounds, group=self.group, info=info, mark=mark)

    def _confined(self, command: Command, info_fd: int | None) -> Command:
        if self.level.level != sandbox.BUBBLEWRAP:
            separate = sandbox.separated(command, self.level.level, self.user)
            return Command(separate.argv, cwd=self.place.work / self.recipe.root)
        shown = bubblewrap.toolchains(os.environ.get("PATH", ""), Path(os.environ.get("HOME", "/")))
        hidden = (
            [self.home]
            if self.home and any(self.home.is_relative_to(one) for one in [Path("/usr"), *shown])
            else []
        )
        return sandbox.bubblewrapped(
            command,
            self.place,
            self.user,
            folder=self.recipe.root,
            network=self.recipe.network,
            toolchains=shown,
            hidden=hidden,
            info_fd=info_fd,
        )

    def _limits(self) -> dict[str, int]:
        """What prlimit(1) is to enforce: one file's size always, the rest where no control group does it."""
        limits = {"fsize": _at_most(resource.RLIMIT_FSIZE, self.most_disk)}
        if self.group is None or not self.group.memory:
            limits["data"] = _at_most(resource.RLIMIT_DATA, self.recipe.memory)
        if self.group is None or not self.group.processes:
            limits["nproc"] = _at_most(resource.RLIMIT_NPROC, 2 * MOST_PROCESSES)
        return limits

    def _environment(self) -> dict[str, str]:
        inside = self.place.inside(self.level)
        machine = {
            name: os.environ[name]
            for either in _PASSED_ON
            for name in (either, either.upper())
            if name in os.environ
        }
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(inside.tmp / "home"),
            "TMPDIR": str(inside.tmp),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "CI": "true",
            "NO_COLOR": "1",
            "XDG_CACHE_HOME": str(inside.cache),
            "npm_config_cache": str(inside.cache / "npm"),
            "npm_config_update_notifier": "false",
            "PIP_CACHE_DIR": str(inside.cache / "pip"),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "BUNDLE_PATH": str(inside.cache / "bundle"),
            "HUGO_CACHEDIR": str(inside.cache / "hugo"),
            **machine,
            **self.given,
        }

    def _introduction(self) -> Iterator[str]:
        network = "with network" if self.recipe.network else "without network"
        who = f"as {self.user.name}, " if self.user else ""
        if self.level.level == sandbox.BUBBLEWRAP:
            yield f"isolated: bubblewrap, {who}{network}"
        else:
            yield f"not isolated: {self.level.why_not}"
            if not self.recipe.network:
                yield "[build] network = false has no effect without bubblewrap"
        if self.group is None or not self.group.memory:
            bound = print_size(self.recipe.memory)
            yield f"memory is bounded per process, at {bound}: no control group can be made here"
        for name in self.recipe.env:
            if name not in self.given:
                yield f"{name} is declared in [build] env, but has no value"

    def _judge(self, argv: Argv, outcome: Outcome) -> None:
        """Raises what the pusher is to read, and says in the log what stopped the build."""
        crowded = self.group is not None and self.group.refused_processes() > 0
        most_processes = MOST_PROCESSES if crowded else 0
        error = verdict.of(
            outcome, self.recipe, argv, most_disk=self.most_disk, most_processes=most_processes
        )
        if error is None:
            return
        self.transcript.close()
        if outcome.reason != "exit":
            said = f"{error.message[:1].lower()}{error.message[1:]} {error.hint}"
            self.transcript.say(f"killed: {said.rstrip()}")
        raise error


def _group(memory: int) -> Group | None:
    """A group of its own for a build; those of daemons that were killed are swept up first."""
    cgroup.sweep(GROUPS)
    name = f"{GROUPS}-{os.getpid()}-{tokens.token_hex(4)}"
    return cgroup.make(name, memory=memory, processes=MOST_PROCESSES, background=True, together=True)


def _at_most(kind: int, wanted: int) -> int:
    """Limits can be lowered here, not raised."""
    hard = resource.getrlimit(kind)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def _check_reachable(place: Place, level: Isolation, user: User | None) -> None:
    """Without bubblewrap the build's user must be able to enter the folders above its own."""
    if user is None or level.level == sandbox.BUBBLEWRAP:
        return
    closed = [folder for folder in place.work.parents if not folder.stat().st_mode & 0o001]
    if closed:
        raise Failed(
            f"{user.name}, who runs builds, may not enter {closed[0]}.", "Run: apt-get install bubblewrap"
        )


@contextmanager
def _info_pipe(level: Isolation) -> Iterator[InfoPipe | None]:
    """Where bubblewrap says which process is the first inside."""
    if level.level != sandbox.BUBBLEWRAP:
        yield None
        return
    reading, writing = os.pipe()
    with open(reading, "rb") as out, open(writing, "wb") as into:
        yield InfoPipe(out, into)
