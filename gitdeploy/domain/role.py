"""Who may do what: an ordered scale, so that a check is one comparison."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from gitdeploy.errors import Invalid, Refused

EVERY_SITE = "*"


class Role(enum.IntEnum):
    VIEWER = 1
    DEVELOPER = 2
    MAINTAINER = 3
    OPERATOR = 4
    ADMIN = 5

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def parse(cls, text: str) -> Role:
        try:
            return cls[text.upper()]
        except KeyError:
            known = ", ".join(str(role) for role in cls)
            raise Invalid(f"{text!r} is not a role.", f"The roles are {known}.") from None


@dataclass(frozen=True)
class Actor:
    """Somebody known, with the role they hold on each site (`*` is every site). `local` is somebody on the machine
    itself, whose rights are those of files.
    """

    name: str
    roles: tuple[tuple[str, Role], ...] = ()
    local: bool = False

    def role(self, site: str) -> Role | None:
        held = [role for where, role in self.roles if where in (site, EVERY_SITE)]
        return max(held, default=None)

    def need(self, role: Role, site: str, action: str) -> None:
        """Raise Refused unless this actor holds `role` or more on `site`; `action` completes "may not …"."""
        held = self.role(site)
        if held is not None and held >= role:
            return
        where = "every site" if site == EVERY_SITE else site
        now = f"is {held} of {where}" if held else f"has no role on {where}"
        grant = "" if site == EVERY_SITE else f" --site {site}"
        raise Refused(
            f"{self.name} {now} and may not {action}: that needs {role}.",
            f"Ask an admin for: gitdeploy access grant {self.name} {role}{grant}",
        )


def local_admin(name: str) -> Actor:
    """Somebody on the machine itself whose file permissions already reach everything."""
    return Actor(name, ((EVERY_SITE, Role.ADMIN),), local=True)
