"""Reading `<home>/server.toml`, which may be absent."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from gitdeploy.data import url
from gitdeploy.domain import units
from gitdeploy.domain.database import SERVERS
from gitdeploy.domain.oci import Reference
from gitdeploy.errors import Invalid
from gitdeploy.service.server import (
    BackupSettings,
    Bucket,
    LogSettings,
    MailSettings,
    Server,
    SnapshotSettings,
    StandbySettings,
    SwarmSettings,
    TlsSettings,
    WebhookSettings,
)
from gitdeploy.service.trace import FORMATS
from gitdeploy.store.elsewhere import elsewhere

_Section = TypeVar("_Section")
_SHORTEST = 60
"""Seconds between two backups."""
PASSWORD = "GITDEPLOY_REGISTRY_PASSWORD"
"""The variable that may hold the password of `[swarm] user`."""
_LEASE = (2, 600)  # seconds
_PLAIN = {"domain": str, "builders": int, "max_push": int, "min_free": int | float}


def load(path: Path) -> Server:
    """Raises Invalid naming the file and the setting."""
    try:
        said = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return Server()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path.name}: {error}.", "Mend the file, or remove it for the defaults.") from None
    known = {field.name for field in dataclasses.fields(Server)}
    for name in said:
        if name not in known:
            raise Invalid(f"{path.name}: unknown setting {name!r}.", f"Known: {', '.join(sorted(known))}.")
    if isinstance(said.get("max_push"), str):
        said["max_push"] = units.parse_size(said["max_push"])
    for name, kind in _PLAIN.items():
        if name in said and not isinstance(said[name], kind):
            raise Invalid(
                f"{path.name}: {name} has the wrong type.", f"The default is {getattr(Server, name)!r}."
            )
    found = Server(
        **{name: _SECTIONS[name](path, one) if name in _SECTIONS else one for name, one in said.items()}
    )
    if found.standby.to and found.standby.to.rstrip("/") == found.backup.to.rstrip("/"):
        raise Invalid(f"{path.name}: [standby] and [backup] need a place each.", "Name another folder in it.")
    return found


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


def _standby(path: Path, said: object) -> StandbySettings:
    found = _section(path, "standby", StandbySettings, said)
    _check_place(path, found.to, found)
    try:
        wrong = not _LEASE[0] <= found.seconds <= _LEASE[1]
    except Invalid as error:
        raise Invalid(f"{path.name}: lease of [standby]: {error.message}", error.hint) from None
    if wrong:
        raise Invalid(f"{path.name}: lease of [standby] is not between 2s and 10m.", 'Such as: lease = "20s"')
    return found


def _check_place(path: Path, place: str, said: Bucket) -> None:
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


_SECTIONS: Mapping[str, Callable[[Path, object], Any]] = {
    "tls": _tls,
    "databases": _databases,
    "snapshots": _snapshots,
    "backup": _backup,
    "standby": _standby,
    "webhooks": _webhooks,
    "mail": _mail,
    "log": _log,
    "swarm": _swarm,
}
