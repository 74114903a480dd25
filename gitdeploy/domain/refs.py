"""What a pushed ref means. The client picks the prefix of a command ref from its source (a branch gives
refs/heads/, a tag refs/tags/, a bare commit needs the full name), so all three spell the same order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gitdeploy.domain.names import PRODUCTION
from gitdeploy.errors import GitdeployError, Invalid, Refused

ORDERS = (
    "rollback", "promote", "redeploy", "cancel", "snapshot", "restore", "clone", "cutover", "approve", "reject",
)  # fmt: skip
RESERVED = ("pin", "live", "releases")
WRITTEN_BY_US = ("refs/live/", "refs/releases/", "refs/notes/", "refs/schedules/")
ZERO = "0" * 40


@dataclass(frozen=True)
class Branches:
    """Which branch deploys where: environment name -> branch, and which of those are gated."""

    named: Mapping[str, str] = field(default_factory=lambda: {PRODUCTION: "main"})
    gated: frozenset[str] = frozenset({PRODUCTION})

    @property
    def production(self) -> str:
        return self.named[PRODUCTION]


@dataclass(frozen=True)
class Update:
    """One line of a push: `ref` moves from `old` to `new` (40 hex digits, all zero for none)."""

    old: str
    new: str
    ref: str

    @property
    def deletes(self) -> bool:
        return self.new == ZERO

    @property
    def creates(self) -> bool:
        return self.old == ZERO


@dataclass(frozen=True)
class Gated:
    """The branch of an environment that moves only once its release is live."""

    environment: str
    branch: str


@dataclass(frozen=True)
class Built:
    """A branch that git moves at once; it is built afterwards and its environment follows."""

    branch: str
    environment: str | None  # None: a preview of its own


@dataclass(frozen=True)
class Tag:
    name: str


@dataclass(frozen=True)
class Order:
    """A command ref. It is never stored, so it works again and again."""

    verb: str
    target: str


@dataclass(frozen=True)
class Denied:
    reason: GitdeployError


Meaning = Gated | Built | Tag | Order | Denied


def meaning(update: Update, branches: Branches) -> Meaning:
    """What `update` asks for; never raises: a ref that means nothing is Denied with its reason."""
    ref = update.ref
    if ref.startswith(WRITTEN_BY_US):
        return Denied(
            Refused(
                f"{ref} is written by gitdeploy and cannot be pushed.", "Fetch it; push a branch instead."
            )
        )
    prefix, rest = _split(ref)
    word, _, target = rest.partition("/")
    if word in ORDERS:
        return _order(update, word, target)
    if word in RESERVED:
        return Denied(
            Refused(
                f"{word}/… is a reserved name and not available in this version.", "Rename the branch or tag."
            )
        )
    if prefix == "refs/tags/":
        return Tag(rest)
    if prefix == "refs/heads/":
        return _branch(update, rest, branches)
    return Denied(
        Refused(
            f"{ref} is neither a branch, a tag nor a command.",
            "Push to a branch, a tag, or HEAD:rollback/<release>, HEAD:promote/<build>, HEAD:redeploy/<release>.",
        )
    )


def _split(ref: str) -> tuple[str, str]:
    for prefix in ("refs/heads/", "refs/tags/"):
        if ref.startswith(prefix):
            return prefix, ref[len(prefix) :]
    return "refs/", ref.removeprefix("refs/")


_EXAMPLES = {
    "rollback": "previous", "cancel": "<build>", "snapshot": "production", "restore": "<snapshot>",
    "clone": "production/staging", "cutover": "<preview>", "approve": "<id>", "reject": "<id>",
}  # fmt: skip


def _order(update: Update, verb: str, target: str) -> Meaning:
    if update.deletes:
        return Denied(Refused(f"{verb}/{target} is a command, there is nothing to delete."))
    if not target:
        example = f"{verb}/{_EXAMPLES.get(verb, 'r41')}"
        return Denied(Invalid(f"{verb} needs a target.", f"Push HEAD:{example}"))
    return Order(verb, target)


def _branch(update: Update, branch: str, branches: Branches) -> Meaning:
    for environment, name in branches.named.items():
        if name != branch:
            continue
        if environment in branches.gated:
            return Gated(environment, branch)
        return Built(branch, environment)
    if update.creates and branch.lower() == branches.production.lower():
        return Denied(
            Refused(
                f"{branch} differs from the production branch {branches.production} only in case.",
                f"Push HEAD:{branches.production}, or choose another name.",
            )
        )
    return Built(branch, None)
