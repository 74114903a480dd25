"""Who may do what: an ordered scale, so that a check is one comparison."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace

from gitdeploy.domain.globs import matches
from gitdeploy.errors import Invalid, Refused

EVERY_SITE = "*"
SOMEWHERE = "*"
"""In place of an environment: any of them will do."""


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
class Part:
    """A role that holds in some environments of a site alone: those whose name matches `envs`, a pattern. A preview has
    the name of its branch.
    """

    site: str
    envs: str
    role: Role


@dataclass(frozen=True)
class Actor:
    """Somebody known, with the role they hold on each site (`*` is every site), and in parts of it. `local` is somebody
    on the machine itself, whose rights are those of files; `limited` came with a token or key that may less than they.
    """

    name: str
    roles: tuple[tuple[str, Role], ...] = ()
    parts: tuple[Part, ...] = ()
    local: bool = False
    limited: bool = False

    @property
    def known(self) -> bool:
        """Whether they have a role at all."""
        return bool(self.sites)

    @property
    def sites(self) -> tuple[str, ...]:
        """The names of those they may see, EVERY_SITE among them."""
        return (*(site for site, _ in self.roles), *(part.site for part in self.parts))

    def role(self, site: str, env: str = "") -> Role | None:
        """Their role in an environment, or SOMEWHERE, or without one on the site as a whole: there a role in a part of
        it lets them see, no more.
        """
        held = [role for where, role in self.roles if where in (site, EVERY_SITE)]
        for part in self.parts:
            if part.site in (site, EVERY_SITE):
                there = env == SOMEWHERE or (env and matches(part.envs, env))
                held.append(part.role if there else Role.VIEWER)
        return max(held, default=None)

    def need(self, role: Role, site: str, action: str, env: str = "") -> None:
        """Raise Refused unless this actor holds `role` or more on `site`, or in one environment of it; `action`
        completes "may not …".
        """
        held = self.role(site, env)
        if held is not None and held >= role:
            return
        where = "every site" if site == EVERY_SITE else site
        now = f"is {held} of {where}" if held else f"has no role on {where}"
        if self.limited:
            raise Refused(
                f"The token or key of {self.name} {now} and may not {action}: that needs {role}.",
                "It is limited. Use another, or ask an admin for one that may.",
            )
        grant = "" if site == EVERY_SITE else f" --site {site}"
        if env not in ("", SOMEWHERE) and any(one.site in (site, EVERY_SITE) for one in self.parts):
            grant += f" --env '{env}'"
        raise Refused(
            f"{self.name} {now} and may not {action}: that needs {role}.",
            f"Ask an admin for: gitdeploy access grant {self.name} {role}{grant}",
        )

    def within(self, sites: Iterable[str], ceiling: Role | None) -> Actor:
        """The same person with no more than `ceiling`, on no other than `sites` (none: every one they have)."""
        only = tuple(sites)
        if not only and ceiling is None:
            return self

        def least(role: Role) -> Role:
            return role if ceiling is None else min(role, ceiling)

        def kept(site: str) -> tuple[str, ...]:
            return (site,) if not only or site in only else only if site == EVERY_SITE else ()

        return replace(
            self,
            roles=tuple((one, least(role)) for site, role in self.roles for one in kept(site)),
            parts=tuple(
                Part(one, part.envs, least(part.role)) for part in self.parts for one in kept(part.site)
            ),
            limited=True,
        )


def local_admin(name: str) -> Actor:
    """Somebody on the machine itself whose file permissions already reach everything."""
    return Actor(name, ((EVERY_SITE, Role.ADMIN),), local=True)
