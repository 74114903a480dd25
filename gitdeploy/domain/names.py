"""Names that people type and that end up in folders and host names: parsed at the door or refused, never stripped.

A host name's label holds at most 63 characters (RFC 1035) and a preview is served as `<slug>--<site>`, so a
site name keeps to 30 and a slug to 40 or what is left.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from gitdeploy.errors import Invalid

SITE_MAX = 30
SLUG_MAX = 31
PRODUCTION = "production"

_SITE = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_ACTOR = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_RESERVED_SITES = frozenset({"api", "v1", "healthz", "metrics", "openapi"})


class SiteName(str):
    """A site's name, such as `blog`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> SiteName:
        """Raises Invalid with what is allowed."""
        allowed = f"Use 1 to {SITE_MAX} of a-z, 0-9 and single hyphens inside, such as blog or shop-2."
        if len(text) > SITE_MAX:
            raise Invalid(f"A site name of {len(text)} characters is too long.", allowed)
        if not _SITE.fullmatch(text) or "--" in text:
            raise Invalid(f"{text!r} is not a site name.", allowed)
        if text in _RESERVED_SITES:
            raise Invalid(f"{text!r} is an address of the server itself.", "Choose another name.")
        return cls(text)


class ActorName(str):
    """Who acts: a person or a machine, such as `alice` or `ci@example.org`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> ActorName:
        if not _ACTOR.fullmatch(text):
            raise Invalid(
                f"{text[:80]!r} is not a name for an actor.",
                "Use up to 64 letters, digits and . _ @ + -, such as alice or ci@example.org.",
            )
        return cls(text)


def slug(branch: str, *, site: str, taken: frozenset[str] = frozenset()) -> str:
    """A branch's part of its host name: `feature/checkout` -> `feature-checkout`.

    When the plain form is empty, too long, reserved or `taken` by another branch, it ends in a hash of the
    branch's exact name, so two branches never share an address.
    """
    ascii_text = unicodedata.normalize("NFKD", branch).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"[^a-z0-9]+", "-", ascii_text).strip("-")
    longest = min(SLUG_MAX, 61 - len(site))
    reserved = plain in ("", "xn", PRODUCTION) or plain.startswith("bld-")  # xn-- begins international names
    if len(plain) <= longest and not reserved and plain not in taken:
        return plain
    digest = hashlib.sha256(branch.encode("utf-8", "surrogateescape")).hexdigest()
    for length in range(6, 20):
        mark = digest[:length]
        candidate = f"{plain[: longest - length - 1].strip('-')}-{mark}".strip("-")
        if candidate not in taken:
            return candidate
    raise Invalid(f"No free address is left for the branch {branch!r}.", "Rename the branch.")


def host(site: str, domain: str, *, label: str = "") -> str:
    """`blog.localhost`, or with a label (slug or build id) `feature-checkout--blog.localhost`."""
    return f"{label}--{site}.{domain}" if label else f"{site}.{domain}"


def build_label(build_id: str) -> str:
    """A build's id as part of a host name: `bld_01J…` -> `bld-01j…`."""
    return build_id.lower().replace("_", "-")
