"""Paths inside an artifact: bytes, as Linux has them, with `/` between the parts and none at the start.

Any name a Linux file may have is legal: spaces, new lines, bytes that are not UTF-8, names that differ in
case alone. What could lead out of the tree or cannot be served is not.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import quote_from_bytes, unquote_to_bytes

from gitdeploy.errors import Invalid

TreePath = bytes

MAX_NAME = 255  # bytes of one part: NAME_MAX of every Linux file system
MAX_PATH = 3072  # bytes of a path: PATH_MAX is 4096 and the served folder's own path goes in front
MAX_DEPTH = 32  # folders: each is one link when served, the kernel follows 40, the route to the root takes 3

_PLAIN = re.compile(rb"[!-$&-~]*")  # printable ASCII but the space and the percent sign
_SAFE = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")


def check_folder(path: TreePath) -> None:
    """Raise Invalid unless every part of `path` may name a folder; the empty path is the top."""
    if not path:
        return
    parts = path.split(b"/")
    if len(parts) > MAX_DEPTH:
        raise Invalid(
            f"{show(path)} lies more than {MAX_DEPTH} folders deep.", "Use fewer levels of folders."
        )
    for part in parts:
        check_name(part, path)


def check_name(name: bytes, path: TreePath) -> None:
    """Raise Invalid, naming `path`, unless `name` may be one part of a path."""
    if name == b"..":
        raise Invalid(f"The path {show(path)} leads out of the site.", "Remove the part '..'.")
    if name in (b"", b"."):
        raise Invalid(
            f"The path {show(path)} has an empty part.", "Write it without '//', '.' or an outer '/'."
        )
    if b"\0" in name:
        raise Invalid(f"The path {show(path)} has a NUL byte in it.", "Rename the file.")
    if len(name) > MAX_NAME:
        raise Invalid(f"A part of the path {show(path)} is longer than {MAX_NAME} bytes.", "Rename the file.")
    if len(path) > MAX_PATH:
        raise Invalid(f"The path {show(path)} is longer than {MAX_PATH} bytes.", "Use shorter names.")


def quote(name: bytes) -> str:
    """Percent-encode every byte that is not printable ASCII, the space and the percent sign."""
    if _PLAIN.fullmatch(name):
        return name.decode("ascii")
    return quote_from_bytes(name, safe=_SAFE)


def all_quoted(names: Collection[bytes]) -> list[tuple[str, bytes]]:
    """Each of these parts of a path as it is quoted, in the order of that, and as it is."""
    ordered = sorted(names)
    together = b"/".join(ordered)
    if _PLAIN.fullmatch(together):
        return list(
            zip(together.decode("ascii").split("/"), ordered, strict=False)
        )  # of none there is one text
    return sorted((quote(name), name) for name in ordered)


def unquote(text: str) -> bytes:
    return unquote_to_bytes(text)


def show(path: TreePath) -> str:
    """A path for people: one line, no control characters, at most 200 characters."""
    text = path.decode("utf-8", "backslashreplace")
    clean = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    return clean if len(clean) <= 200 else f"{clean[:120]}…{clean[-60:]}"
