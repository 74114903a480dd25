"""URLs of databases, as programs know them: `postgresql://`, `mysql://`, `sqlite:////absolute/path`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from gitdeploy.errors import Invalid

ENGINES = {
    "postgresql": "postgres", "postgres": "postgres",
    "mysql": "mariadb", "mariadb": "mariadb",
    "sqlite": "sqlite",
}  # fmt: skip
_PORTS = {"postgres": 5432, "mariadb": 3306}
_HERE = ("", "localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Url:
    """`name` is that of the database; of SQLite the file's absolute path. `port` 0 is the usual one."""

    scheme: str
    name: str
    user: str = ""
    password: str = ""
    host: str = ""
    port: int = 0
    more: tuple[tuple[str, str], ...] = ()

    @property
    def engine(self) -> str:
        return ENGINES[self.scheme]

    @property
    def path(self) -> Path:
        return Path(self.name)

    def of(self, name: str) -> Url:
        return replace(self, name=name)

    def option(self, name: str) -> str:
        return dict(self.more).get(name, "")

    @property
    def server(self) -> tuple[str, str, int]:
        """Engine, host and port: the same for whoever opens a database of one server."""
        host = "127.0.0.1" if self.host in _HERE else self.host.lower()
        return self.engine, host, self.port or _PORTS.get(self.engine, 0)

    def is_of_the_same(self, other: Url) -> bool:
        """Whether both lead to one database."""
        if self.engine == other.engine == "sqlite":
            return self.path.resolve() == other.path.resolve()
        return (self.server, self.name) == (other.server, other.name)

    def __str__(self) -> str:
        if self.engine == "sqlite":
            return f"sqlite:///{self.name}"
        who = quote(self.user, safe="") + (f":{quote(self.password, safe='')}" if self.password else "")
        where = f"{quote(self.host, safe=':[]')}{f':{self.port}' if self.port else ''}"
        options = f"?{urlencode(self.more)}" if self.more else ""
        return f"{self.scheme}://{who}{'@' if who else ''}{where}/{quote(self.name, safe='')}{options}"


def parse(text: str) -> Url:
    """Raises Invalid; the message does not repeat the URL, which may hold a password."""
    scheme, _, rest = text.partition("://")
    if scheme not in ENGINES or not rest:
        raise Invalid(
            "The URL of a database should begin with postgresql://, mysql:// or sqlite:///.",
            "Such as: postgresql://role:password@127.0.0.1/shop",
        )
    if ENGINES[scheme] == "sqlite":
        if not rest.startswith("//"):
            raise Invalid(
                "The path of a SQLite database should be absolute.", "Such as: sqlite:////srv/app.db"
            )
        return Url(scheme, rest[1:])
    try:
        parts = urlsplit(text)
        port = parts.port or 0
    except ValueError:
        raise Invalid("The URL of a database is not understood.", "Its port should be a number.") from None
    return Url(
        scheme, unquote(parts.path.removeprefix("/")), unquote(parts.username or ""),
        unquote(parts.password or ""), unquote(parts.hostname or ""), port, tuple(parse_qsl(parts.query)),
    )  # fmt: skip
