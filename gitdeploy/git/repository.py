"""A site's bare repository: making it, and reading what is in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dulwich.errors import NotTreeError
from dulwich.objects import S_ISGITLINK, Blob, Commit, ObjectID, Tag, Tree
from dulwich.refs import DiskRefsContainer, Ref
from dulwich.repo import Repo

from gitdeploy import process
from gitdeploy.domain.refs import ZERO
from gitdeploy.errors import Failed, Invalid, NotFound
from gitdeploy.process import Command

OLDEST_GIT = (2, 29)  # the first with proc-receive


@dataclass(frozen=True)
class CommitInfo:
    id: str
    tree: str
    subject: str
    message: str
    author: str
    time: int  # seconds since 1970
    parents: tuple[str, ...]


@dataclass(frozen=True)
class Repository:
    """`env` names the quarantine while a push is not accepted yet (githooks(5), pre-receive): only git itself sees
    the new objects then, so what is asked before acceptance goes through git and the rest through dulwich.
    """

    path: Path
    env: Mapping[str, str] | None = None

    def git(self, *words: str) -> Command:
        env = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "LC_ALL": "C", **(self.env or {})}
        return Command(("git", "--git-dir", str(self.path), *words), env=env)

    @property
    def exists(self) -> bool:
        return (self.path / "HEAD").is_file()

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether going from `old` to `new` is a fast-forward."""
        result = process.run(self.git("merge-base", "--is-ancestor", old, new))
        if result.code not in (0, 1):
            raise Failed(f"Git cannot compare {old[:7]} with {new[:7]}: {result.err.decode().strip()}")
        return result.code == 0

    def commits(self, new: str, *, without: Iterable[str] = (), limit: int = -1) -> list[str]:
        """What leads to `new` and to none of `without`, newest first."""
        words = ["rev-list", "--topo-order", f"--max-count={limit}", new, *(f"^{one}" for one in without)]
        return process.check(self.git(*words)).text.split()

    def messages(
        self, new: str, *, without: Iterable[str] = (), saying: str = "", limit: int = -1
    ) -> dict[str, str]:
        """The same commits with their messages; only those that hold the words `saying`."""
        words = ["log", "-z", "--topo-order", "--format=%H%n%B", f"--max-count={limit}"]
        words += ["--fixed-strings", f"--grep={saying}"] if saying else []
        found = process.check(self.git(*words, new, *(f"^{one}" for one in without), "--"))
        entries = (one.partition("\n") for one in found.text.split("\0") if one)
        return {commit: message for commit, _, message in entries}

    def has_history_of(self, commit: str) -> bool:
        """Whether some ref leads to `commit`, so that all that came before it is here, outside any quarantine."""
        result = process.run(Repository(self.path).git("for-each-ref", "--count=1", "--contains", commit))
        return result.code == 0 and bool(result.out.strip())

    def file(self, commit: str, path: str) -> bytes | None:
        """The bytes of one file of a commit, or None. Raises Invalid when something else has that name."""
        if self.env:
            asked = f"{commit}:{path}\n".encode()
            head, _, rest = process.check(self.git("cat-file", "--batch"), stdin=asked).out.partition(b"\n")
            kind = head.split()[1]  # git-cat-file(1): `<id> blob <size>`, or `<asked> missing`
            if kind in (b"blob", b"missing"):
                return rest[:-1] if kind == b"blob" else None
            raise _no_file(path)
        with self.tree(self.commit(commit).tree) as tree:
            try:
                return tree.read(path) if tree.exists(path) else None
            except NotFound:
                raise _no_file(path) from None

    def ref(self, name: str) -> str | None:
        """The id that a ref holds, tags not peeled."""
        value = self._refs().read_ref(_ref(name))
        return value.decode() if value and not value.startswith(b"ref:") else None

    def refs(self, prefix: str = "refs/") -> dict[str, str]:
        """Every ref below `prefix` with the id it holds, by full name."""
        found = self._refs().as_dict(_ref(prefix.rstrip("/")))
        head = prefix.rstrip("/")
        return {f"{head}/{os.fsdecode(name)}": value.decode() for name, value in found.items()}

    def tags(self) -> dict[str, str]:
        """The tagged commits, each with its tag; of several the highest version. Lowest version first."""
        peeled = "%(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)"
        words = ("for-each-ref", "--sort=v:refname", f"--format={peeled} %(refname:lstrip=2)", "refs/tags")
        lines = process.check(self.git(*words)).text.splitlines()
        return {commit: name for commit, _, name in (line.partition(" ") for line in lines)}

    def commit(self, id: str) -> CommitInfo:
        """A commit, peeling tags; NotFound when there is none by this id."""
        with self._open() as repo:
            found = _peel(repo, id)
        message = found.message.decode("utf-8", "replace").lstrip("\n")
        return CommitInfo(
            id=found.id.decode(),
            tree=found.tree.decode(),
            subject=message.split("\n", 1)[0].strip(),
            message=message,
            author=found.author.decode("utf-8", "replace"),
            time=found.commit_time,
            parents=tuple(parent.decode() for parent in found.parents),
        )

    def tag(self, id: str) -> SignedTag | None:
        """An annotated tag by its own id; None for what is none."""
        with self._open() as repo:
            found = repo.object_store[_id(id)]
        if not isinstance(found, Tag):
            return None
        signature = found.signature or b""
        payload = found.as_raw_string().removesuffix(signature)
        name = found.name.decode("utf-8", "replace")
        return SignedTag(name, found.object[1].decode(), payload, signature)

    def find_commits(self, prefix: str) -> list[str]:
        """The full ids of commits that start with `prefix` (at most a few)."""
        result = process.run(self.git("rev-parse", f"--disambiguate={prefix}"))
        ids = result.text.split()[:20]
        with self._open() as repo:
            return [one for one in ids if isinstance(repo.object_store[_id(one)], Commit)]

    def forget_torn_pushes(self) -> None:
        """Remove the quarantines of pushes that were killed more than a day ago."""
        for left in self.path.glob("objects/tmp_objdir-*"):
            with contextlib.suppress(FileNotFoundError):  # a push that ends just now removes its own
                if time.time() - left.lstat().st_mtime > 86400:
                    shutil.rmtree(left, ignore_errors=True)

    def tree(self, tree: str) -> TreeReader:
        return TreeReader(self.path, tree)

    def branches_stamp(self) -> tuple[object, ...]:
        """Changes whenever a branch does, and costs a look at a few folders."""
        folders = [str(self.path / "refs/heads")]
        seen: list[object] = []
        for folder in folders:
            with contextlib.suppress(FileNotFoundError), os.scandir(folder) as found:
                for one in found:
                    at = one.stat(follow_symlinks=False)
                    seen.append((one.path, at.st_ino, at.st_mtime_ns))
                    if one.is_dir(follow_symlinks=False):
                        folders.append(one.path)
        with contextlib.suppress(FileNotFoundError):
            at = (self.path / "packed-refs").stat()
            seen.append((at.st_ino, at.st_mtime_ns))
        return tuple(seen)

    def _refs(self) -> DiskRefsContainer:
        """The refs alone: opening all of a repository reads its settings, which takes twenty times as long."""
        if not self.exists:
            raise NotFound(f"There is no repository at {self.path.name}.")
        return DiskRefsContainer(str(self.path))

    def _open(self) -> Repo:
        try:
            return Repo(str(self.path), bare=True)
        except Exception as error:
            raise NotFound(f"There is no repository at {self.path.name}.") from error


@dataclass(frozen=True)
class SignedTag:
    """`commit` is the id of what it names; `signature` is empty for one that nobody signed."""

    name: str
    commit: str
    payload: bytes
    signature: bytes


class TreeReader:
    """The files of one tree, by path, for those who only need to look at a few."""

    def __init__(self, path: Path, tree: str) -> None:
        self._repo = Repo(str(path), bare=True)
        self.tree = tree

    def __enter__(self) -> TreeReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._repo.close()

    def exists(self, path: str) -> bool:
        return self._find(path) is not None

    def read(self, path: str) -> bytes:
        """NotFound when there is no file of that name."""
        found = self._find(path)
        blob = self._repo.object_store[found[1]] if found and not S_ISGITLINK(found[0]) else None
        if not isinstance(blob, Blob):
            raise NotFound(f"There is no file {path}.")
        return blob.data

    def list(self, folder: str = "") -> list[str]:
        """The names in a folder; empty when it does not exist."""
        found = self._find(folder)
        tree = self._repo.object_store[found[1]] if found else None
        if not isinstance(tree, Tree):
            return []
        return [os.fsdecode(entry.path) for entry in tree.iteritems()]

    def folder(self, path: str) -> str | None:
        """The id of the tree at `path`, or None when that is not a folder."""
        found = self._find(path)
        return found[1].decode() if found and found[0] == 0o040000 else None

    def _find(self, path: str) -> tuple[int, ObjectID] | None:
        parts = path.strip("/")
        if parts in ("", "."):
            return 0o040000, _id(self.tree)
        tree = self._repo.object_store[_id(self.tree)]
        assert isinstance(tree, Tree)
        try:
            return tree.lookup_path(self._repo.object_store.__getitem__, os.fsencode(parts))
        except (KeyError, NotTreeError):
            return None


def create(path: Path, *, branch: str, shared: Path) -> Repository:
    """Make a bare repository that takes its settings from the file `shared`. Safe to repeat."""
    process.check(Command(("git", "init", "--quiet", "--bare", f"--initial-branch={branch}", str(path))))
    repository = Repository(path)
    process.check(repository.git("config", "include.path", os.path.relpath(shared, path)))
    # Said here too: should the shared file ever be missing, git finds no hook and refuses every push.
    process.check(repository.git("config", "receive.procReceiveRefs", "refs"))
    return repository


def shared_settings(*, hooks: Path, max_pack: int) -> str:
    """The git configuration of every repository, as the text of one file.

    Every ref goes through proc-receive: should the hooks folder ever be missing, git refuses all of them. A
    shallow push is let in as far as the pre-receive hook, which refuses it with a sentence that helps.
    """
    quoted = str(hooks).replace("\\", "\\\\").replace('"', '\\"')
    return f"""\
[core]
\thooksPath = "{quoted}"
\tfsync = committed,reference
\tlogAllRefUpdates = false
[gc]
\tautoDetach = false
[http]
\treceivepack = true
[receive]
\tadvertiseAtomic = true
\tadvertisePushOptions = true
\tautogc = false
\tfsckObjects = true
\thideRefs = refs/releases
\thideRefs = refs/schedules
\tkeepAlive = 5
\tmaxInputSize = {max_pack}
\tprocReceiveRefs = refs
\tshallowUpdate = true
[uploadpack]
\tallowAnySHA1InWant = true
"""


def git_version() -> tuple[int, ...]:
    """Such as (2, 39, 5); raises Failed when git is missing."""
    words = process.check(Command(("git", "--version"))).text.split()
    return tuple(int(part) for part in words[2].split(".")[:3] if part.isdigit())


def _no_file(path: str) -> Invalid:
    return Invalid(f"{path} is a folder or a submodule, and should be a file.", "Rename it, and push again.")


def _peel(repo: Repo, id: str) -> Commit:
    try:
        found = repo.object_store[_id(id)]
        while isinstance(found, Tag):
            found = repo.object_store[found.object[1]]
    except KeyError:
        raise NotFound(f"There is no commit {id[:12]}.", "Push it first.") from None
    if id == ZERO or not isinstance(found, Commit):
        raise NotFound(f"{id[:12]} is not a commit.", "Name a commit, or a tag or branch of one.")
    return found


def _id(text: str) -> ObjectID:
    return ObjectID(text.encode())


def _ref(name: str) -> Ref:
    return Ref(os.fsencode(name))
