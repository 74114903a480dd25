"""Several refs moved at once, in two steps, so that something else can happen between "it will work" and "done".

`git update-ref --stdin` holds the refs' lock files between `prepare` and `commit`. If we die in between, its
input ends and it lets the locks go without changing anything.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from types import TracebackType
from typing import IO

from gitdeploy import process
from gitdeploy.domain.refs import Update
from gitdeploy.errors import Busy, Failed
from gitdeploy.git.repository import Repository


class RefTransaction:
    """Use as `with RefTransaction(repository, updates) as refs: …; refs.commit()`.

    Entering locks every ref and checks that it still holds `old`; raises Busy naming the one that does not.
    Leaving without `commit` changes nothing.
    """

    def __init__(self, repository: Repository, updates: Iterable[Update]) -> None:
        self._repository = repository
        self._updates = list(updates)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RefTransaction:
        command = self._repository.git("update-ref", "-z", "--stdin")
        self._process = process.start(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        lines = b"".join(
            b"update %s\0%s\0%s\0" % (update.ref.encode("utf-8", "surrogateescape"), *_ids(update))
            for update in self._updates
        )
        try:
            self._say(b"start\0" + lines + b"prepare\0", b"prepare: ok")
        except Failed as error:
            self._end()
            raise Busy(f"A ref moved meanwhile: {error.message}", "Fetch and push again.") from None
        return self

    def commit(self) -> None:
        self._say(b"commit\0", b"commit: ok")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _say(self, words: bytes, until: bytes) -> None:
        assert self._process is not None
        stdin, stdout = _pipe(self._process.stdin), _pipe(self._process.stdout)
        try:
            stdin.write(words)
            stdin.flush()
        except BrokenPipeError:
            pass
        for line in stdout:
            if line.strip() == until:
                return
        said = _pipe(self._process.stderr).read().decode(errors="replace").strip()
        raise Failed(said.removeprefix("fatal: ") or "git update-ref ended early")

    def _end(self) -> None:
        assert self._process is not None
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            try:
                _pipe(pipe).close()
            except BrokenPipeError:
                pass
        self._process.wait()


def _ids(update: Update) -> tuple[bytes, bytes]:
    return update.new.encode(), update.old.encode()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream
