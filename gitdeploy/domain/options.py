"""Push options: `git push -o reason="fixes the header" -o wait …` (git-push(1))."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gitdeploy.domain.length import REASON_MAX, at_most
from gitdeploy.domain.schedule import moment
from gitdeploy.errors import Invalid

_FLAGS = (
    "wait",
    "detach",
    "cancel-on-hangup",
    "dry-run",
    "skip",
    "no-cache",
    "resume",
    "snapshot",
    "force-schema",
    "overwrite",
    "rehearse",
    "override-freeze",
)
_VALUES = ("reason", "env", "config", "at", "only", "rehearsal", "ticket")
CONFIGS = ("now", "then")


@dataclass(frozen=True)
class Options:
    reason: str = ""
    env: str = ""
    config: str = ""
    at: str = ""
    only: str = ""
    wait: bool = False
    detach: bool = False
    cancel_on_hangup: bool = False
    dry_run: bool = False
    skip: bool = False
    no_cache: bool = False
    resume: bool = False
    snapshot: bool = False
    force_schema: bool = False
    overwrite: bool = False
    rehearse: bool = False
    override_freeze: bool = False
    rehearsal: str = ""
    ticket: str = ""

    def as_list(self) -> list[str]:
        """The same options as they were pushed, so that they can be kept and parsed again."""
        said = [f"{name}={getattr(self, name)}" for name in _VALUES if getattr(self, name)]
        return said + [flag for flag in _FLAGS if getattr(self, flag.replace("-", "_"))]


def parse(pushed: Iterable[str]) -> Options:
    """Raises Invalid on an unknown option, naming the nearest known one."""
    said: dict[str, Any] = {}
    for text in pushed:
        name, equals, value = text.partition("=")
        if name in _FLAGS:
            if equals:
                raise Invalid(f"The push option {name} takes no value.", f"Say: -o {name}")
            said[name.replace("-", "_")] = True
        elif name in _VALUES:
            said[name] = _value(name, value)
        else:
            raise Invalid(f"Unknown push option {name[:80]!r}.", _nearest(name))
    return checked(Options(**said))


def checked(options: Options) -> Options:
    """Whichever door they came through. Raises Invalid for what contradicts itself, and for want of a reason."""
    at_most(REASON_MAX, "The reason", options.reason)
    if options.wait and options.detach:
        raise Invalid("wait and detach contradict each other.", "Say one of them.")
    if options.rehearse and (options.rehearsal or options.dry_run):
        raise Invalid("rehearse stands alone.", "Say it without a rehearsal, and without dry-run.")
    for flag in ("force-schema", "override-freeze"):
        if getattr(options, flag.replace("-", "_")) and not options.reason:
            raise Invalid(f"{flag} needs a reason.", "Say why: with -o reason=…, or --reason.")
    return options


def _value(name: str, value: str) -> str:
    if not value:
        raise Invalid(f"The push option {name} needs a value.", f"Say: -o {name}=…")
    at_most(REASON_MAX, f"The {name}", value)
    if name == "config" and value not in CONFIGS:
        raise Invalid(f"The push option config cannot be {value[:40]!r}.", "Say config=now or config=then.")
    return moment(value) if name == "at" else value


def _nearest(name: str) -> str:
    close = difflib.get_close_matches(name, (*_FLAGS, *_VALUES), n=1, cutoff=0.5)
    if close:
        return f"Did you mean {close[0]}?"
    return "The options are: " + ", ".join((*(f"{value}=…" for value in _VALUES), *_FLAGS)) + "."
