"""The server's own settings, as `<home>/server.toml` says them (see server_file.py); everything has a default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gitdeploy.domain import units


@dataclass(frozen=True)
class TlsSettings:
    """Where certificates come from, once HTTPS is served at all. `acme`: the directory of the authority ("": Let's
    Encrypt). `email`: whom it may write to. `ca_root`: a file, when the directory has a private root.
    """

    acme: str = ""
    email: str = ""
    ca_root: str = ""


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """How a bucket is reached, where the environment (`AWS_…`) does not say it."""

    endpoint: str = ""
    region: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)


@dataclass(frozen=True)
class SnapshotSettings(Bucket):
    """`encrypt`: snapshots are sealed with `keys/snapshots.key`. `copy`: a folder, or `s3://bucket/prefix`, where every
    proven one is copied to.
    """

    encrypt: bool = False
    copy: str = ""


@dataclass(frozen=True)
class BackupSettings(Bucket):
    """`to`: a folder, or `s3://bucket/prefix`, where backups of all of the server go; none without it. `every`: how
    often, such as `"1d"`; `""` only when asked. `keep`: the newest so many stay. With `password` nobody reads them
    without it.
    """

    to: str = ""
    every: str = "1d"
    keep: int = 7
    password: str = field(default="", repr=False)

    @property
    def seconds(self) -> int:
        """0: only when asked."""
        return units.parse_duration(self.every) if self.every else 0


@dataclass(frozen=True)
class StandbySettings(Bucket):
    """`to`: a folder, or `s3://bucket/prefix`, that this server and its standbys reach; none without it. `lease`: after
    how long without an answer from there the server stops acting, such as `"20s"`.
    """

    to: str = ""
    lease: str = "20s"
    password: str = field(default="", repr=False)

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
