"""The server's own settings, `<home>/server.toml`; everything has a default, so the file may be absent."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path

from gitdeploy.domain import units
from gitdeploy.errors import Invalid


@dataclass(frozen=True)
class Server:
    """`domain`: sites are served as `<site>.<domain>`. `builders`: builds at once. `max_push`: bytes of one pack.
    `min_free`: the share of the disk, in percent, below which pushes are refused.
    """

    domain: str = "localhost"
    builders: int = 2
    max_push: int = 8 << 30
    min_free: float = 5.0

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
        return cls(**said)
