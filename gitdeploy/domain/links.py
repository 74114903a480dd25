"""Where the symbolic links of a tree lead. A link may point anywhere inside its own tree and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator

from gitdeploy.domain.tree import Entry, Folder
from gitdeploy.domain.tree_path import MAX_DEPTH, MAX_PATH, TreePath, show
from gitdeploy.errors import Invalid

MAX_STEPS = 40  # links on the way to one file, as the Linux kernel counts
MAX_RESOLVED = 1_000_000  # files of a resolved tree: links to folders can multiply a small tree without end


def check_links(root: Folder) -> None:
    """Raise Invalid, naming the link, when one leads out of the tree or in a circle; dangling ones pass."""
    for path, _ in _links(root):
        _lead(root, path)


def resolve(root: Folder) -> Folder:
    """The same tree with every link replaced by what it leads to.

    Raises Invalid when a link leads to nothing or to a folder that it lies in, and when the tree grows beyond
    `MAX_RESOLVED` files or `MAX_DEPTH` folders.
    """
    resolved = _Resolution(root).folder(b"", root)
    if resolved.files > MAX_RESOLVED:
        raise Invalid(
            f"With its links followed the site has {resolved.files} files, more than {MAX_RESOLVED}.",
            "Remove links that lead to folders.",
        )
    if resolved.height > MAX_DEPTH:
        raise Invalid(
            f"With its links followed the site is more than {MAX_DEPTH} folders deep.",
            "Remove links that lead to folders.",
        )
    return resolved


class _Resolution:
    def __init__(self, root: Folder) -> None:
        self._root = root
        self._done: dict[TreePath, Folder] = {}
        self._under_way: set[TreePath] = set()

    def folder(self, path: TreePath, folder: Folder) -> Folder:
        if not folder.links:
            return folder
        if path not in self._done:
            self._under_way.add(path)
            below = path + b"/" if path else b""
            entries = {name: self._entry(below + name, one) for name, one in folder.entries.items()}
            self._done[path] = Folder(entries)
            self._under_way.remove(path)
        return self._done[path]

    def _entry(self, path: TreePath, one: Entry | Folder) -> Entry | Folder:
        if isinstance(one, Folder):
            return self.folder(path, one)
        if one.kind != "link":
            return one
        end = _lead(self._root, path)
        found = None if end is None else self._root.find(end)
        if end is None or found is None:
            raise Invalid(
                f"The link {show(path)} leads to {show(one.target)}, which is not there.",
                "Add the file it leads to, or remove the link.",
            )
        if not isinstance(found, Folder):
            return found
        if end in self._under_way:
            raise Invalid(
                f"The link {show(path)} leads to a folder that it lies in, so the site would have no end.",
                "Remove the link.",
            )
        return self.folder(end, found)


def _links(folder: Folder, below: TreePath = b"") -> Iterator[tuple[TreePath, Entry]]:
    for name, one in folder.entries.items():
        if isinstance(one, Folder):
            if one.links:
                yield from _links(one, below + name + b"/")
        elif one.kind == "link":
            yield below + name, one


def _lead(root: Folder, link: TreePath) -> TreePath | None:
    """Follow the link at `link` as the kernel would; the path of what is there, None when nothing is."""
    at: list[tuple[bytes, Folder]] = []  # the folders we are in, below the root
    todo = link.split(b"/")[::-1]
    steps = 0
    while todo:
        part = todo.pop()
        if part in (b"", b"."):
            continue
        if part == b"..":
            if not at:
                raise Invalid(
                    f"The link {show(link)} leads out of the site.", "Point it inside, or remove it."
                )
            at.pop()
            continue
        found = (at[-1][1] if at else root).entries.get(part)
        if isinstance(found, Folder):
            at.append((part, found))
        elif found is not None and found.kind == "link":
            steps += 1
            if steps > MAX_STEPS:
                raise Invalid(f"The link {show(link)} leads in a circle.", "Remove the link.")
            todo += _target_parts(found.target, link)
        elif found is None or any(rest != b"" for rest in todo):
            return None
        else:
            return b"/".join([*(name for name, _ in at), part])
    return b"/".join(name for name, _ in at)


def _target_parts(target: bytes, link: TreePath) -> list[bytes]:
    if target.startswith(b"/"):
        raise Invalid(
            f"The link {show(link)} leads out of the site, to {show(target)}.",
            "Make it relative, or remove it.",
        )
    if not target or b"\0" in target or len(target) > MAX_PATH:
        raise Invalid(f"The link {show(link)} has no usable target.", "Remove the link.")
    return target.split(b"/")[::-1]
