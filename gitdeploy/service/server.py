"""The server's own settings, `<home>/server.toml`; everything has a default, so the file may be absent."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from gitdeploy.data import url
from gitdeploy.domain import units
from gitdeploy.domain.database import SERVERS
from gitdeploy.domain.oci import Reference
from gitdeploy.errors import Invalid
from gitdeploy.service.trace import FORMATS
from gitdeploy.store.elsewhere import elsewhere

_Section = TypeVar("_Section")
_SHORTEST = 60
"""Seconds between two backups."""
PASSWORD = "GITDEPLOY_REGISTRY_PASSWORD"
"""The variable that may hold the password of `[swarm] user`."""
_LEASE = (2, 600)  # seconds


@dataclass(frozen=True)
class TlsSettings:
    """Where certificates come from, once HTTPS is served at all. `acme`: the directory of the authority ("": Let's
    Encrypt). `email`: whom it may write to. `ca_root`: a file, when the directory has a private root.
    """

    acme: str = ""
    email: str = ""
    ca_root: str = ""


@dataclass(frozen=True)
class SnapshotSettings:
    """`encrypt`: snapshots are sealed with `keys/snapshots.key`. `copy`: a folder, or `s3://bucket/prefix`, where every
    proven one is copied to; the others say how a bucket is reached, where the environment (`AWS_…`) does not.
    """

    encrypt: bool = False
    copy: str = ""
    endpoint: str = ""
    region: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)


@dataclass(frozen=True)
class BackupSettings:
    """`to`: a folder, or `s3://bucket/prefix`, where backups of all of the server go; none without it. `every`: how
    often, such as `"1d"`; `""` only when asked. `keep`: the newest so many stay. With `password` nobody reads them
    without it. The others say how a bucket is reached, where the environment (`AWS_…`) does not.
    """

    to: str = ""
    every: str = "1d"
    keep: int = 7
    password: str = field(default="", repr=False)
    endpoint: str = ""
    region: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)

    @property
    def seconds(self) -> int:
        """0: only when asked."""
        return units.parse_duration(self.every) if self.every else 0


@dataclass(frozen=True)
class StandbySettings:
    """`to`: a folder, or `s3://bucket/prefix`, that this server and its standbys reach; none without it. `lease`: after
    how long without an answer from there the server stops acting, such as `"20s"`. The others are as in `[backup]`.
    """

    to: str = ""
    lease: str = "20s"
    password: str = field(default="", repr=False)
    endpoint: str = ""
    region: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)

    @property
    def seconds(self) -> int:
        return units.parse_duration(self.lease)


@dataclass(frozen=True)
class WebhookSettings:
    """`allow_private`: networks such as `10.1.0.0/16` that webhooks may be sent into, though they are not public."""

    allow_private: tuple[str, ...] = ()


@dataclass(frozen=True)
class MailSettings:
    """The server that mail is handed to; none without `host`. `tls` is starttls, tls or none."""

    host: str = ""
    port: int = 587
    user: str = ""
    password: str = field(default="", repr=False)
    sender: str = ""
    tls: str = "starttls"


@dataclass(frozen=True)
class LogSettings:
    """`format`: lines of text, or of json."""

    format: str = "text"


@dataclass(frozen=True)
class SwarmSettings:
    """Where sites with `driver = "swarm"` run. `engine`: a manager's. `registry`: where their images go, such as
    `registry.example.org/team`; `insecure`: without TLS; `password` may come from GITDEPLOY_REGISTRY_PASSWORD.
    `network` is the one that their services share. Images: `base` is what the files of apps are put on, `files`, with
    gitdeploy installed, those of other sites, and `edge`, a Caddy, is what listens on `port` of every node.
    """

    engine: str = "unix:///var/run/docker.sock"
    registry: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    insecure: bool = False
    network: str = "gitdeploy"
    base: str = ""
    files: str = ""
    edge: str = "caddy:2"
    port: int = 80


@dataclass(frozen=True)
class Server:
    """`domain`: sites are served as `<site>.<domain>`. `builders`: builds at once. `max_push`: bytes of one pack.
    `min_free`: the share of the disk, in percent, below which pushes are refused. `databases`: by engine the URL of a
    role that may make databases, such as `postgresql://admin:secret@127.0.0.1/postgres`.
    """

    domain: str = "localhost"
    builders: int = 2
    max_push: int = 8 << 30
    min_free: float = 5.0
    tls: TlsSettings = TlsSettings()
    databases: Mapping[str, str] = field(default_factory=dict, repr=False)
    snapshots: SnapshotSettings = SnapshotSettings()
    backup: BackupSettings = BackupSettings()
    standby: StandbySettings = StandbySettings()
    webhooks: WebhookSettings = WebhookSettings()
    mail: MailSettings = MailSettings()
    log: LogSettings = LogSettings()
    swarm: SwarmSettings = SwarmSettings()

    @classmethod
    def load(cls, path: Path) -> Server:
        """Raises Invalid naming the file and the setting."""
        try:
            said = tomllib.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return cls()
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Invalid(f"{path.name}: {error}.", "Mend the file, or remove it for the defaults.") from None
        known = {field.name for field in dataclasses.fields(cls)}
        for name in said:
            if name not in known:
                raise Invalid(
                    f"{path.name}: unknown setting {name!r}.", f"Known: {', '.join(sorted(known))}."
                )
        if isinstance(said.get("max_push"), str):
            said["max_push"] = units.parse_size(said["max_push"])
        for name, kind in (("domain", str), ("builders", int), ("max_push", int), ("min_free", int | float)):
            if name in said and not isinstance(said[name], kind):
                raise Invalid(
                    f"{path.name}: {name} has the wrong type.", f"The default is {getattr(cls, name)!r}."
                )
        if "tls" in said:
            said["tls"] = _tls(path, said["tls"])
        if "databases" in said:
            said["databases"] = _databases(path, said["databases"])
        if "snapshots" in said:
            said["snapshots"] = _snapshots(path, said["snapshots"])
        if "backup" in said:
            said["backup"] = _backup(path, said["backup"])
        if "standby" in said:
            said["standby"] = _standby(path, said["standby"], said.get("backup", BackupSettings()).to)
        if "webhooks" in said:
            said["webhooks"] = _webhooks(path, said["webhooks"])
        if "mail" in said:
            said["mail"] = _mail(path, said["mail"])
        if "log" in said:
            said["log"] = _log(path, said["log"])
        if "swarm" in said:
            said["swarm"] = _swarm(path, said["swarm"])
        return cls(**said)


def _databases(path: Path, said: object) -> Mapping[str, str]:
    if not isinstance(said, dict) or not set(said) <= set(SERVERS):
        raise Invalid(f"{path.name}: [databases] is not understood.", f"Known: {', '.join(SERVERS)}.")
    for name, text in said.items():
        try:
            right = isinstance(text, str) and url.parse(text).engine == name
        except Invalid as error:
            raise Invalid(f"{path.name}: {name}: {error.message}", error.hint) from None
        if not right:
            raise Invalid(f"{path.name}: {name} is not the URL of such a server.", "See docs/data.md.")
    return said


def _snapshots(path: Path, said: object) -> SnapshotSettings:
    found = _section(path, "snapshots", SnapshotSettings, said)
    _check_place(path, found.copy, found)
    return found


def _backup(path: Path, said: object) -> BackupSettings:
    found = _section(path, "backup", BackupSettings, said)
    _check_place(path, found.to, found)
    try:
        wrong = found.keep < 1 or 0 < found.seconds < _SHORTEST
    except Invalid as error:
        raise Invalid(f"{path.name}: every of [backup]: {error.message}", error.hint) from None
    if wrong:
        raise Invalid(
            f"{path.name}: [backup] is not understood.", 'Such as: every = "6h" (60s or more), keep = 7'
        )
    return found


def _standby(path: Path, said: object, backups: str) -> StandbySettings:
    found = _section(path, "standby", StandbySettings, said)
    _check_place(path, found.to, found)
    try:
        wrong = not _LEASE[0] <= found.seconds <= _LEASE[1]
    except Invalid as error:
        raise Invalid(f"{path.name}: lease of [standby]: {error.message}", error.hint) from None
    if wrong:
        raise Invalid(f"{path.name}: lease of [standby] is not between 2s and 10m.", 'Such as: lease = "20s"')
    if found.to and found.to.rstrip("/") == backups.rstrip("/"):
        raise Invalid(f"{path.name}: [standby] and [backup] need a place each.", "Name another folder in it.")
    return found


def _check_place(path: Path, place: str, said: SnapshotSettings | BackupSettings | StandbySettings) -> None:
    if bool(said.access_key) != bool(said.secret_key):
        raise Invalid(f"{path.name}: access_key and secret_key belong together.", "Give both, or neither.")
    if place:
        try:
            elsewhere(place, dataclasses.asdict(said))
        except Invalid as error:
            raise Invalid(f"{path.name}: {error.message}", error.hint) from None


def _webhooks(path: Path, said: object) -> WebhookSettings:
    listed = said.get("allow_private") if isinstance(said, dict) and len(said) == 1 else None
    if not isinstance(listed, list):
        raise Invalid(f"{path.name}: [webhooks] is not understood.", 'Say: allow_private = ["10.1.0.0/16"]')
    for one in listed:
        try:
            ipaddress.ip_network(one)
        except ValueError as error:
            raise Invalid(f"{path.name}: {one!r} is no network.", "Say: 10.1.0.0/16, or fd00::/8") from error
    return WebhookSettings(tuple(map(str, listed)))


def _mail(path: Path, said: object) -> MailSettings:
    found = _section(path, "mail", MailSettings, said)
    if found.tls not in ("starttls", "tls", "none"):
        raise Invalid(f"{path.name}: tls of [mail] cannot be {found.tls!r}.", "Say starttls, tls or none.")
    if not found.host or "@" not in found.sender:
        raise Invalid(f"{path.name}: [mail] needs host and sender.", 'Say: sender = "gitdeploy@example.org"')
    return found


def _log(path: Path, said: object) -> LogSettings:
    found = _section(path, "log", LogSettings, said)
    if found.format not in FORMATS:
        raise Invalid(f"{path.name}: format of [log] cannot be {found.format!r}.", "Say text or json.")
    return found


def _swarm(path: Path, said: object) -> SwarmSettings:
    found = _section(path, "swarm", SwarmSettings, said)
    found = replace(found, password=found.password or os.environ.get(PASSWORD, ""))
    for name in ("base", "files", "edge", "registry"):
        try:
            image = getattr(found, name)
            if name == "registry":
                image = image and f"{image}/site"
            named = Reference.parse(image) if image else None
        except Invalid as error:
            raise Invalid(f"{path.name}: {name} of [swarm]: {error.message}", error.hint) from None
        if name == "registry" and named is not None and f"{named.host}/{named.name}" != image:
            raise Invalid(
                f"{path.name}: registry of [swarm] should begin with an address.",
                "Such as registry.example.org/team, or 10.0.0.1:5000.",
            )
    if bool(found.user) != bool(found.password):
        raise Invalid(
            f"{path.name}: user and password of [swarm] belong together.",
            f"Give both, or neither. The password may be in {PASSWORD} instead.",
        )
    if not 0 < found.port < 65536:
        raise Invalid(f"{path.name}: port of [swarm] cannot be {found.port}.", "Say 1 to 65535.")
    return found


def _section(path: Path, name: str, kind: type[_Section], said: object) -> _Section:
    """A table whose values are of the types of the defaults."""
    known = {one.name: one.default for one in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if not isinstance(said, dict) or not set(said) <= set(known):
        raise Invalid(f"{path.name}: [{name}] is not understood.", f"Known: {', '.join(known)}.")
    for key, value in said.items():
        if type(value) is not type(known[key]):
            raise Invalid(
                f"{path.name}: {key} of [{name}] has the wrong type.", f"The default is {known[key]!r}."
            )
    return kind(**said)


def _tls(path: Path, said: object) -> TlsSettings:
    found = _section(path, "tls", TlsSettings, said)
    if found.acme and not found.acme.startswith("https://"):
        raise Invalid(f"{path.name}: acme is no https:// address.", "Give that of an ACME directory.")
    if found.ca_root and not (path.parent / found.ca_root).is_file():
        raise Invalid(f"{path.name}: there is no file {found.ca_root}.", "ca_root is a certificate, in PEM.")
    return found
