"""What `gitdeploy.toml` can say. These frozen classes are the one schema.

Each field has its kind, its default and its line of help; the parser and its refusals (`settings`), the
commented sample and the manual's tables (`setting_text`) all come from them.
Units: durations are seconds, sizes bytes, paths relative to the repository and written `a/b`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

from gitdeploy.domain import setting_kinds as kinds
from gitdeploy.domain.globs import matches
from gitdeploy.domain.setting_kinds import Kind


def key(kind: Kind, default: object, help: str, *, later: str = "") -> Any:
    """A setting. `default` is as in TOML. `later` names the feature without which it has no effect yet."""
    return field(default=kind.parse(default), metadata={"kind": kind, "help": help, "later": later})


def names(help: str, *, later: str = "", word: str = "table of lists") -> Any:
    """A table whose keys the site chooses."""
    return field(default_factory=dict, metadata={"kind": None, "help": help, "later": later, "word": word})


@dataclass(frozen=True)
class Build:
    about: ClassVar[str] = (
        "How a commit becomes the files of the site. Without it gitdeploy detects the tool in use."
    )
    command: str = key(kinds.text, "", "Shell line that builds the site; empty: detected.")
    output: str = key(
        kinds.folder, "", "Folder the build writes, below root; without a command it is published as it is."
    )
    root: str = key(kinds.folder, ".", "Folder the site lives in, for repositories that hold more than one.")
    watch: tuple[str, ...] = key(
        kinds.globs, [], "Build only when a file that matches changed; empty: always."
    )
    cache: tuple[str, ...] = key(
        kinds.folders, [], "Folders below root that are kept from one build to the next."
    )
    env: tuple[str, ...] = key(
        kinds.variables, [], "Configured variables the build may see; it sees no others."
    )
    timeout: int = key(kinds.some_duration, "10m", "A build that takes longer is stopped.")
    memory: int = key(kinds.size, "2GB", "A build that uses more memory is stopped.")
    network: bool = key(kinds.flag, True, "Whether the build may use the network.")


@dataclass(frozen=True)
class Process:
    command: str = key(kinds.command, "true", "Shell line that starts it.")
    count: int = key(kinds.count(0, 100), 1, "How many copies run.")
    stop_timeout: int = key(kinds.duration, "30s", "Time it has to end by itself before it is killed.")
    memory: int = key(
        kinds.bound, "0", "A copy that uses more memory is ended and started again; 0: no bound."
    )


@dataclass(frozen=True)
class Health:
    about: ClassVar[str] = "What a new release must answer before it goes live."
    path: str = key(kinds.url_path, "/", "Path that is asked for.")
    expect: tuple[int, ...] = key(kinds.statuses, 200, "Status, or list of statuses, that means healthy.")
    contains: str = key(kinds.text, "", "Text the answer must contain.")
    timeout: int = key(kinds.some_duration, "30s", "Time in which it must become healthy.")
    interval: int = key(kinds.some_duration, "1s", "Time between two tries.")
    uptime: int = key(kinds.duration, "0s", "Time that every process must have stayed up.")
    command: str = key(kinds.text, "", "Shell line that must succeed, instead of a path.")


@dataclass(frozen=True)
class Environment:
    branch: str = key(kinds.branch, "main", "Branch whose pushes go live here.")
    gate: bool = key(kinds.flag, False, "Accept a push only when its release is live and healthy.")
    watch: int = key(
        kinds.duration,
        "0s",
        "How long a new release of an app is watched, and rolled back by itself when it fails.",
    )
    keep: int = key(kinds.count(1, 1000), 10, "How many releases can be rolled back to.")
    keep_warm: int = key(kinds.count(0, 10), 0, "How many earlier releases stay started.")
    hold_after_rollback: bool = key(
        kinds.flag,
        False,
        "Refuse a push that brings back what was rolled back, until `-o resume` or a revert.",
    )
    rehearse: tuple[str, ...] = key(
        kinds.rehearsed, [], "What has to be rehearsed on copies before it is done here."
    )
    approvals: int = key(kinds.count(0, 10), 0, "How many other people must approve a release.")
    freeze: tuple[str, ...] = key(
        kinds.freezes, [], "Times (UTC) in which nothing goes live, except a rollback."
    )


@dataclass(frozen=True)
class Production(Environment):
    about: ClassVar[str] = "The live site."
    gate: bool = key(kinds.flag, True, "Accept a push only when its release is live and healthy.")
    two_person: bool = key(kinds.flag, False, "Whoever requests a cutover neither acks it nor runs it.")


@dataclass(frozen=True)
class Preview:
    about: ClassVar[str] = "What every other branch gets."
    ttl: int = key(kinds.duration, "14d", "A preview nobody pushed to for so long is removed; 0s: never.")
    password: bool = key(kinds.flag, False, "Ask visitors for a password.", later="protected previews")
    branches: tuple[str, ...] = key(kinds.globs, ["**"], "Branches that get a preview.")
    data: str = key(
        kinds.preview_data,
        "none",
        'What a new one starts with: "none", "clone" (production now, masked) or a snapshot of it.',
    )


@dataclass(frozen=True)
class Data:
    about: ClassVar[str] = "What an app keeps between releases."
    databases: tuple[str, ...] = key(kinds.databases, [], '"sqlite:<path>", "postgres" or "mariadb".')
    files: tuple[str, ...] = key(kinds.folders, [], "Folders that the running app writes to.")
    snapshots: str = key(
        kinds.some_schedule, "", "When snapshots are taken (UTC), such as @daily; not of previews."
    )
    keep: int = key(kinds.count(1, 1000), 14, "How many of the scheduled snapshots stay.")


@dataclass(frozen=True)
class Content:
    about: ClassVar[str] = "What moves when content is cloned or promoted, and what never does."
    never: tuple[str, ...] | None = key(
        kinds.globs_if_said,
        None,
        "Tables and files that no move takes along; production asks for it.",
    )
    replace_columns: tuple[str, ...] = key(
        kinds.globs, ["**"], "Columns in which addresses are replaced, as table.column."
    )
    groups: Mapping[str, tuple[str, ...]] = names("Tables and files that move together, by name.")
    mask: Mapping[str, str] = names(
        "Columns of personal data, which leave production masked: email, name, hash, text or null.",
        word="table of masks",
    )
    replace: Mapping[str, Mapping[str, str]] = names(
        "What production's addresses are called elsewhere; {host} is a place's own.", word="table of tables"
    )

    @property
    def withheld(self) -> tuple[str, ...]:
        return self.never or ()


@dataclass(frozen=True)
class Static:
    about: ClassVar[str] = "How files are served. `_redirects` and `_headers` files are honoured too."
    spa: bool = key(kinds.flag, False, "Answer every unknown path with index.html.")
    clean_urls: bool = key(kinds.flag, False, "Serve about.html for /about.")
    not_found: str = key(kinds.page, "404.html", "Page for what does not exist.")


@dataclass(frozen=True)
class Runtime:
    about: ClassVar[str] = "Where releases run."
    driver: str = key(kinds.driver, "local", '"local", on the server itself, or "swarm", by Docker Swarm.')
    base: str = key(kinds.image, "", "Image that the files are put on; empty: the server's.")
    placement: tuple[str, ...] = key(
        kinds.constraints, [], 'Swarm constraints on nodes, such as "node.labels.zone==a".'
    )


@dataclass(frozen=True)
class Policy:
    """The part of the settings that decides what a push to a branch means."""

    production: Production
    environments: Mapping[str, Environment]
    preview: Preview

    @property
    def names(self) -> frozenset[str]:
        """What the environments are called; no preview is called so."""
        return frozenset({"production", *self.environments})

    def environment_of(self, branch: str) -> str | None:
        """`production`, the name of an environment, or None: the branch gets a preview at most."""
        if branch == self.production.branch:
            return "production"
        return next((name for name, one in self.environments.items() if one.branch == branch), None)

    def has_preview(self, branch: str) -> bool:
        return self.environment_of(branch) is None and any(
            matches(pattern, branch) for pattern in self.preview.branches
        )


@dataclass(frozen=True)
class Settings:
    """The whole file; `Settings()` is what holds when there is none."""

    build: Build = Build()
    processes: Mapping[str, Process] = names(
        "The programs of the site: a command as in a Procfile, or { command, count, stop_timeout, memory }."
    )
    health: Health = Health()
    production: Production = Production()
    preview: Preview = Preview()
    environments: Mapping[str, Environment] = names(
        "More places to serve the site from, each with its own branch."
    )
    data: Data = Data()
    content: Content = Content()
    static: Static = Static()
    runtime: Runtime = Runtime()
    cron: Mapping[str, str] = names(
        "Commands that run on a schedule (UTC) beside the live release; not in previews."
    )

    def with_procfile(self, procfile: Mapping[str, str]) -> Settings:
        """A process that a Procfile names counts too; of a name in both [processes] says what it is."""
        said = {name: Process(command) for name, command in procfile.items()}
        return replace(self, processes={**said, **self.processes})

    def of(self, env: str) -> Environment | None:
        """What is said of production or a named environment; None for a preview."""
        return self.production if env == "production" else self.environments.get(env)

    @property
    def policy(self) -> Policy:
        return Policy(self.production, self.environments, self.preview)

    def as_json(self) -> dict[str, Any]:
        """What a release is served with, for its signed record: every value said, none left to a default."""
        return {
            "cron": dict(sorted(self.cron.items())),
            "data": {
                "databases": list(self.data.databases),
                "files": list(self.data.files),
                "snapshots": self.data.snapshots,
            },
            "health": asdict(self.health) | {"expect": list(self.health.expect)},
            "processes": {name: asdict(self.processes[name]) for name in sorted(self.processes)},
            "runtime": asdict(self.runtime) | {"placement": list(self.runtime.placement)},
            "static": asdict(self.static),
        }
