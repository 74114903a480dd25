"""The only place that starts a process. A command is data; running it is a separate act.

Everything above builds a `Command` (tests compare them as values) and hands it to `run` or `start`.
There is no shell anywhere: an argument list cannot be misread.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from gitdeploy.errors import Failed


@dataclass(frozen=True)
class Command:
    """What to run: `argv`, the folder to run it in, and the whole environment it sees."""

    argv: tuple[str, ...]
    cwd: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)

    def with_env(self, more: Mapping[str, str]) -> Command:
        return replace(self, env={**self.env, **more})

    def wrapped(self, prefix: Iterable[str]) -> Command:
        """The same command run through another program (`setpriv …`, `bwrap …`)."""
        return replace(self, argv=(*prefix, *self.argv))


@dataclass(frozen=True)
class Result:
    code: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        return self.out.decode(errors="replace").strip()


def base_env() -> dict[str, str]:
    """The few variables a child may inherit; everything else it needs is said by its Command."""
    keep = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
    return {"PATH": os.defpath} | {name: os.environ[name] for name in keep if name in os.environ}


def run(command: Command, *, stdin: bytes = b"", timeout: float | None = 600) -> Result:
    """Run to the end and collect the output. A non-zero exit is a result, not an exception."""
    try:
        done = subprocess.run(
            command.argv,
            cwd=command.cwd,
            env={**base_env(), **command.env},
            input=stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise Failed(f"{command.argv[0]} is not installed.", f"Install {command.argv[0]}.") from error
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{command.argv[0]} did not finish within {timeout:g} s.") from error
    return Result(done.returncode, done.stdout, done.stderr)


def check(command: Command, *, stdin: bytes = b"", timeout: float | None = 600) -> Result:
    """Like `run`, but a non-zero exit raises Failed with the last line the program wrote to stderr."""
    result = run(command, stdin=stdin, timeout=timeout)
    if result.code != 0:
        said = result.err.decode(errors="replace").strip().splitlines()
        raise Failed(f"{' '.join(command.argv[:3])} failed: {said[-1] if said else f'exit {result.code}'}")
    return result


def start(
    command: Command,
    *,
    stdin: int | IO[bytes] | None = subprocess.DEVNULL,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    own_session: bool = False,
    pass_fds: tuple[int, ...] = (),
) -> subprocess.Popen[Any]:
    """Start and return at once. `own_session` detaches it from our terminal and process group."""
    return subprocess.Popen(
        command.argv,
        cwd=command.cwd,
        env={**base_env(), **command.env},
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=own_session,
        pass_fds=pass_fds,
    )


async def start_async(command: Command) -> asyncio.subprocess.Process:
    """For the doors that are asynchronous: a child in a session of its own, its input and output as pipes."""
    return await asyncio.create_subprocess_exec(
        *command.argv,
        cwd=command.cwd,
        env={**base_env(), **command.env},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )


def feed(pipe: IO[bytes], data: bytes) -> threading.Thread:
    """Write `data` to a child's input from a thread of its own, so that nobody waits for each other."""

    def write() -> None:
        try:
            with pipe:
                pipe.write(data)
        except BrokenPipeError:
            pass

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread
