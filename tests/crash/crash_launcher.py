"""`gitdeploy serve` that can be made to die at its N-th durable step, and is started again when it did.

    python crash_launcher.py serve --home HOME …

While `HOME/run/fault` holds a number, every durable step is counted and written to `HOME/run/steps`; before the
one of that number the process kills itself; with `A then B` before the first B that follows an A. So "after step N" is
"before step N + 1": nothing durable lies between. It also looks after things every second instead of every ten, and is
given little time to stop, so that nobody waits for that. What is wrapped here is wrapped nowhere else: the product has
no seam for this.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import shutil
import signal
import sys
import threading
from pathlib import Path

from gitdeploy.cli import main
from gitdeploy.data import content_files, postgres
from gitdeploy.data.mariadb_content import MariaDbSide
from gitdeploy.data.postgres_content import PostgresSide
from gitdeploy.data.sqlite_content import SqliteSide
from gitdeploy.git import notes, receive
from gitdeploy.git.transaction import RefTransaction
from gitdeploy.runtime.apps import driver
from gitdeploy.runtime.slots import Environment
from gitdeploy.service import maintenance, reconcile
from gitdeploy.service.exchange import Exchange
from gitdeploy.store import durable
from gitdeploy.store.batch import Batch
from gitdeploy.store.ledger import Ledger
from gitdeploy.store.trees import Trees
from gitdeploy.web import serve  # imported once, here: each start is then a fork

HOME = Path(sys.argv[sys.argv.index("--home") + 1])
_lock = threading.RLock()
_count = 0
_passed = 0
_inside = threading.local()


def step(label: str) -> None:
    global _count, _passed
    try:
        fatal = (HOME / "run/fault").read_text()
    except FileNotFoundError:
        return
    if not fatal:  # it is being written
        return
    with _lock:
        _count += 1
        with open(HOME / "run/steps", "a") as said:
            said.write(f"{_count} {label}\n")
        on_the_way = fatal.split(" then ")
        if label.endswith(on_the_way[min(_passed, len(on_the_way) - 1)]):
            _passed += 1
        if fatal == str(_count) or (not fatal.isdigit() and _passed == len(on_the_way)):
            (HOME / "run/fault").unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()


def wrap(owner: object, name: str) -> None:
    plain = getattr(owner, name)
    label = f"{getattr(owner, '__name__', owner)}.{name}".removeprefix("gitdeploy.")

    def stepping(*args: object, **kwargs: object) -> object:
        step(label)
        return plain(*args, **kwargs)

    setattr(owner, name, stepping)


def wrap_ledger() -> None:
    """A statement on its own commits by itself; within `atomic` only the end of the outermost block does."""
    execute, atomic = Ledger.execute, Ledger.atomic

    def executing(self: Ledger, sql: str, values: tuple[object, ...] = ()) -> int:
        if not getattr(_inside, "depth", 0):
            step(f"ledger {' '.join(sql.split()[:3])}")
        return execute(self, sql, values)

    @contextlib.contextmanager
    def committing(self: Ledger):
        caller = sys._getframe(2).f_code.co_name
        with atomic(self):
            _inside.depth = getattr(_inside, "depth", 0) + 1
            try:
                yield
            finally:
                _inside.depth -= 1
            if not _inside.depth:
                step(f"ledger commit in {caller}")

    Ledger.execute, Ledger.atomic = executing, committing  # type: ignore[method-assign]


def wrap_renames() -> None:
    """Of renames only those that a verb does by itself: the others are part of a step."""
    rename = Path.rename

    def renaming(self: Path, target: Path) -> Path:
        if sys._getframe(1).f_globals["__name__"].startswith("gitdeploy.service"):
            step("rename")
        return rename(self, target)

    Path.rename = renaming  # type: ignore[method-assign]


def serve_again_and_again() -> int:
    """Be to the server what systemd is: start it, pass on SIGTERM, start it again when it was killed."""
    child = 0
    signal.signal(signal.SIGTERM, lambda *_: child and os.kill(child, signal.SIGTERM))
    while True:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: no server without its launcher
            sys.exit(main())
        (HOME.parent / f"{HOME.name}.pid").write_text(str(child))
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            return os.waitstatus_to_exitcode(status)


for one, function in (
    (durable, "write_file"),
    (durable, "point"),
    (durable, "remove"),
    (durable, "exchange"),
    (Batch, "commit"),
    (Trees, "materialise"),
    (Environment, "prepare"),
    (Environment, "prepare_app"),
    (driver, "start"),
    (driver, "run"),
    (driver, "scale"),
    (driver, "drain"),
    (driver, "hold"),
    (driver.Hold, "release"),
    (Exchange, "swap"),
    (Exchange, "put_back"),
    (Environment, "retire"),
    (Environment, "remove"),
    (RefTransaction, "__enter__"),
    (RefTransaction, "commit"),
    (notes, "append"),
    (receive, "answer"),
    (shutil, "rmtree"),
    (postgres, "_rename"),
    (PostgresSide, "commit"),
    (MariaDbSide, "commit"),
    (SqliteSide, "commit"),
    (content_files, "_name"),
    (Exchange, "swap"),
    (Exchange, "put_back"),
):
    wrap(one, function)
wrap_ledger()
wrap_renames()
maintenance.EVERY |= {"apps": 1.0, "branches": 1.0, "replaced data": 1.0}
reconcile._LOST = reconcile._FORGOTTEN = 1.0
serve.Wish = functools.partial(serve.Wish, grace=2.0)

if __name__ == "__main__":
    sys.exit(serve_again_and_again())
