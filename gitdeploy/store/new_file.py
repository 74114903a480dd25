"""What is put into the store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gitdeploy.domain.tree import Kind
from gitdeploy.domain.tree_path import TreePath


class NewFile(NamedTuple):
    """A file with its content in pieces, or a link with its target."""

    path: TreePath
    kind: Kind
    content: Iterable[bytes] = ()
    target: bytes = b""
