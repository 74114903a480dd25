"""What a release runs: its programs, what they see of the world, and what they may use of the machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from gitdeploy.errors import Invalid

WEB = "web"
"""The program that answers visitors."""
DATA = "GITDEPLOY_DATA"
"""The variable that names the folder of an environment that stays from release to release."""
RELEASE = "release"
"""The command that is run once before a release goes live; it is no program that stays."""
DOWN = "down"
"""The command by which what is live takes its databases back to the shape that an older release knows; it is run in a
rollback and is no program that stays.
"""
CONSOLE = "console"
"""What `gitdeploy console` runs when it is not told what; it is no program that stays either."""


@dataclass(frozen=True)
class Program:
    """A shell line, run in the release's folder, in `count` copies. `stop_timeout` is seconds, `memory` bytes for
    each copy; 0 is no bound.
    """

    command: str
    count: int = 1
    stop_timeout: int = 30
    memory: int = 0


MOST_PROCESSES = 2048
"""How many processes a copy of a program may have."""


@dataclass(frozen=True)
class AppSpec:
    """`environment` holds configuration and secrets: it is passed on, never shown or stored as it is. `secrets` are
    the names of those whose values are masked in logs.
    """

    programs: Mapping[str, Program]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    release: str = ""
    secrets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, value in self.environment.items():
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise Invalid(f"{name!r} is not the name of a variable.", "Use letters, digits and _.")
            if "\0" in value:
                raise Invalid(f"The variable {name} holds a NUL, which no program could read.", "Encode it.")

    @classmethod
    def of(
        cls,
        processes: Mapping[str, Mapping[str, Any]],
        environment: Mapping[str, str],
        secrets: Iterable[str] = (),
    ) -> AppSpec:
        """From `[processes]` as settings are signed. Raises Invalid when nothing is left to run."""
        programs = {name: Program(**said) for name, said in processes.items()}
        release = programs.pop(RELEASE, Program(""))
        for name in (DOWN, CONSOLE):
            programs.pop(name, None)
        if not programs:
            raise Invalid("The app has no program that stays.", 'Name one: [processes] web = "…"')
        return cls(programs, dict(environment), release.command, tuple(secrets))

    @property
    def counts(self) -> dict[str, int]:
        return {name: program.count for name, program in self.programs.items()}

    def scaled(self, counts: Mapping[str, int]) -> AppSpec:
        """The same programs in so many copies; those that `counts` does not name stay as they are."""
        changed = {
            name: replace(one, count=counts.get(name, one.count)) for name, one in self.programs.items()
        }
        return replace(self, programs=changed)

    @property
    def has_web(self) -> bool:
        return WEB in self.programs

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AppSpec:
        programs = {name: Program(**said) for name, said in data["programs"].items()}
        return cls(programs, data["environment"], data["release"], tuple(data["secrets"]))


@dataclass(frozen=True)
class Check:
    """What a release has to answer before it goes live. Durations are seconds.

    A `command` takes the place of path, expect and contains; without a path either, accepting a connection is
    enough. `uptime`: every program must have stayed up for so long. `host` is the name visitors use.
    """

    path: str = "/"
    expect: tuple[int, ...] = (200,)
    contains: str = ""
    command: str = ""
    timeout: float = 30
    interval: float = 1
    uptime: float = 0
    host: str = "localhost"

    @classmethod
    def from_json(cls, health: Mapping[str, Any], *, host: str) -> Check:
        """From `[health]` as settings are signed."""
        return cls(**{**health, "expect": tuple(health.get("expect", (200,))), "host": host})
