"""`gitdeploy.toml`: what a repository says about its own site. All of it is optional.

`parse` reads the whole file or refuses it, with the line of everything that is wrong. The settings themselves
and their meaning are in `setting_schema`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any, TypeVar

from gitdeploy.domain import setting_kinds as kinds
from gitdeploy.domain.setting_kinds import Kind
from gitdeploy.domain.setting_schema import (
    Build,
    Content,
    Data,
    Environment,
    Health,
    Policy,
    Preview,
    Process,
    Production,
    Runtime,
    Settings,
    Static,
)
from gitdeploy.domain.toml_lines import key_lines
from gitdeploy.errors import Invalid

__all__ = [
    "FILE", "Build", "Content", "Data", "Environment", "Health", "Policy", "Preview", "Process", "Production",
    "Runtime", "Settings", "Static", "parse",
]  # fmt: skip

FILE = "gitdeploy.toml"
MOST_CHARACTERS = 256 * 1024

Path = tuple[str, ...]
_Section = TypeVar("_Section")


def parse(text: str | bytes, *, file: str = FILE) -> Settings:
    """Raises Invalid: the message is the first thing wrong, `gitdeploy.toml:7 health/timeout: should be …`,
    the hint lists the others."""
    source = _decode(text, file)
    reader = _Reader(source, _load(source, file))
    settings = reader.settings()
    if reader.wrong:
        first, *others = [f"{file}:{line} {sentence}" for line, sentence in sorted(reader.wrong)]
        raise Invalid(first, " ".join(["Also:", *others]) if others else "")
    return settings


class _Reader:
    """One pass over the raw tables. What is wrong is collected, to be told all at once."""

    def __init__(self, source: str, raw: dict[str, Any]) -> None:
        self.raw = raw
        self.wrong: list[tuple[int, str]] = []
        self._source = source
        self._lines: dict[Path, int] | None = None

    def settings(self) -> Settings:
        self._refuse_unknown((), self.raw, {one.name for one in fields(Settings)})
        build = self._section(Build(), ("build",))
        settings = Settings(
            build=build,
            processes=self._named(("processes",), self._process, r"[a-z][a-z0-9_-]{0,39}"),
            health=self._section(Health(), ("health",)),
            production=self._section(Production(), ("production",)),
            preview=self._section(Preview(), ("preview",)),
            environments=self._named(
                ("environments",), self._environment, r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?"
            ),
            data=self._section(Data(), ("data",)),
            content=self._content(),
            static=self._section(Static(), ("static",)),
            runtime=self._section(Runtime(), ("runtime",)),
            cron=self._cron(),
        )
        self._check_together(settings)
        return settings

    def _section(self, section: _Section, path: Path, raw: object = None) -> _Section:
        """`section` with what the file says in place of its defaults."""
        table = self._table(path) if raw is None else raw
        assert isinstance(table, dict)
        known: dict[str, Kind] = {one.name: one.metadata["kind"] for one in fields(section)}  # type: ignore[arg-type]
        self._refuse_unknown(path, table, set(known))
        said = {
            name: self._value((*path, name), kind, table[name])
            for name, kind in known.items()
            if kind is not None and name in table
        }
        return replace(section, **{name: value for name, value in said.items() if value is not None})  # type: ignore[type-var]

    def _named(self, path: Path, read: Callable[[Path, object], Any], pattern: str) -> dict[str, Any]:
        found = {}
        for name, value in self._table(path).items():
            if re.fullmatch(pattern, name):
                found[name] = read((*path, name), value)
            else:
                self._refuse((*path, name), "should have a name of lower-case letters, digits and dashes")
        return found

    def _process(self, path: Path, value: object) -> Process:
        if isinstance(value, dict):
            if "command" not in value:
                self._refuse(path, "should have a command")
            return self._section(Process(), path, value)
        if not isinstance(value, str) or not value.strip():
            self._refuse(path, 'should be a command, or a table such as { command = "…", count = 2 }')
            return Process()
        return Process(command=value)

    def _environment(self, path: Path, value: object) -> Environment:
        if not isinstance(value, dict):
            self._refuse(path, f"should be a section: [environments.{path[-1]}]")
            return Environment()
        if path[-1] in ("production", "preview"):
            self._refuse(path, f"should have another name: its settings belong to [{path[-1]}]")
        if "branch" not in value:
            self._refuse(path, 'should say its branch, such as branch = "staging"')
        return self._section(Environment(), path, value)

    def _content(self) -> Content:
        def table(name: str, kind: Kind, pattern: str) -> dict[str, Any]:
            return self._named(("content", name), lambda path, value: self._value(path, kind, value), pattern)

        groups = table("groups", kinds.globs, r"[^/,\x00-\x1f]{1,60}")
        mask = table("mask", kinds.mask, r"[^\x00-\x1f]{1,200}")
        replaced = table("replace", kinds.replaced, r"[^\x00-\x1f]{1,200}")
        section = replace(self._section(Content(), ("content",)), groups=groups, mask=mask, replace=replaced)
        for name, one in replaced.items():
            for env, other in (one or {}).items():
                if any(
                    env in (its or {}) and its[env] == other for key, its in replaced.items() if key < name
                ):
                    self._refuse(
                        ("content", "replace", name), f"should not become {other!r}, as another does"
                    )
        return section

    def _cron(self) -> dict[str, str]:
        found = {}
        for schedule, command in self._table(("cron",)).items():
            when = self._value(("cron", schedule), kinds.schedule, schedule)
            said = self._value(("cron", schedule), kinds.command, command)
            if when and said:
                found[when] = said
        return found

    def _check_together(self, settings: Settings) -> None:
        """What is only wrong in the company of something else."""
        health = self._table(("health",))
        if health.get("command") and {"path", "expect", "contains"} & set(health):
            self._refuse(
                ("health", "command"),
                "should stand alone: a command takes the place of path, expect and contains",
            )
        if settings.build.output in settings.build.cache:
            self._refuse(("build", "cache"), "should not name the output folder: old files would stay in it")
        owners = {settings.production.branch: "production"}
        for name, environment in settings.environments.items():
            owner = owners.setdefault(environment.branch, name)
            if owner != name and "branch" in self.raw["environments"][name]:
                self._refuse(
                    ("environments", name, "branch"),
                    f'should be another branch: "{environment.branch}" belongs to {owner}',
                )

    def _value(self, path: Path, kind: Kind, value: object) -> Any:
        try:
            return kind.parse(value)
        except Invalid as error:
            self._refuse(path, error.message)
            return None

    def _table(self, path: Path) -> dict[str, Any]:
        table: Any = self.raw
        for depth, name in enumerate(path, start=1):
            table = table.get(name, {})
            if not isinstance(table, dict):
                self._refuse(path[:depth], f"should be a section: [{'.'.join(path[:depth])}]")
                return {}
        return table if isinstance(table, dict) else {}

    def _refuse_unknown(self, path: Path, table: Mapping[str, Any], known: set[str]) -> None:
        for name in table:
            if name not in known:
                self._refuse(
                    (*path, name),
                    f"is not a {'setting' if path else 'section'}{_suggestion(path, name, known)}",
                )

    def _refuse(self, path: Path, sentence: str) -> None:
        if self._lines is None:
            self._lines = key_lines(self._source)
        found = (
            self._lines[path[:depth]] for depth in range(len(path), 0, -1) if path[:depth] in self._lines
        )
        problem = (next(found, 1), f"{'/'.join(path)}: {sentence}{'' if sentence.endswith('?') else '.'}")
        if problem not in self.wrong:
            self.wrong.append(problem)


def _suggestion(path: Path, name: str, known: set[str]) -> str:
    near = get_close_matches(name, sorted(known), n=1)
    if near:
        return f"; did you mean {near[0] if path else f'[{near[0]}]'}?"
    default = Settings()
    owners = [
        section.name
        for section in fields(Settings)
        if section.metadata.get("kind", ...) is ...
        and name in {key.name for key in fields(getattr(default, section.name))}
    ]
    if owners and [*path] != owners:
        return f"; it belongs to [{owners[0]}]"
    return f"; known here: {', '.join(sorted(known))}"


def _decode(text: str | bytes, file: str) -> str:
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise Invalid(f"{file}:{line} should be UTF-8 text.", "Save the file as UTF-8.") from error
    if len(text) > MOST_CHARACTERS:
        raise Invalid(
            f"{file}:1 should be shorter than {MOST_CHARACTERS // 1024} KB.", "Remove what is not settings."
        )
    return text.removeprefix("\ufeff")


def _load(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise Invalid(f"{file}:1 should not be nested so deeply.", "Remove what is not settings.") from error
    except ValueError as error:
        said = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", str(error), re.DOTALL)
        line = int(said[2]) if said and said[2] else text.rstrip().count("\n") + 1
        what = said[1] if said else str(error)
        raise Invalid(
            f"{file}:{line} should be TOML: {what[:1].lower()}{what[1:200]}.",
            "The format is described at toml.io.",
        ) from error
