"""The arrangement of the code, as docs/architecture.md draws it, read from the source itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2] / "gitdeploy"

MAY_IMPORT = {
    "errors": set(),
    "process": {"errors"},
    "user": {"process"},
    "bubblewrap": {"process", "user"},
    "marks": set(),
    "cgroup": {"marks"},
    "resources": set(),
    "domain": {"errors"},
    "store": {"errors", "process", "domain"},
    "git": {"errors", "process", "domain", "store"},
    "build": {"errors", "process", "user", "bubblewrap", "marks", "cgroup", "domain", "store"},
    "data": {"errors", "process", "user", "domain", "store"},
    "runtime": {"errors", "process", "user", "bubblewrap", "marks", "cgroup", "resources", "domain", "store"},
    "service": {"errors", "process", "resources", "domain", "store", "git", "build", "data", "runtime"},
    "web": {"errors", "process", "resources", "domain", "store", "git", "runtime", "service"},
    "cli": {"errors", "process", "resources", "domain", "git", "web"},
}

ONLY_IN = {
    "subprocess": {
        "process.py",
        "git/transaction.py",
        "git/export.py",
        "build/run.py",
        "build/there.py",
        "runtime/edge/running.py",
        "runtime/apps/launch.py",
    },
    "sqlite3": {"store/ledger/__init__.py", "data"},
    "prometheus_client": {"service/metrics.py"},
    "psycopg": {"data"},
    "pymysql": {"data"},
    "sqlite_utils": {"store/ledger/__init__.py", "store/ledger/schema.py"},
    "fastapi": {"web"},
    "starlette": {"web", "runtime/edge"},
    "uvicorn": {"web", "runtime/edge"},
    "click": {"cli"},
    "dulwich": {"git"},
    "watchfiles": {"web"},
    "docker": {"runtime/swarm"},
    "httpx": {
        "runtime/swarm/registry.py",
        "runtime/swarm/registry_login.py",
        "service/sending.py",
    },
    "tarfile": {"store/layer.py"},
    "cryptography": {"store/signing.py", "store/vault.py", "store/certificates.py", "store/sealing.py"},
    "obstore": {"store/elsewhere.py"},
}

IMPURE = {
    "io",
    "time",
    "socket",
    "subprocess",
    "threading",
    "pathlib",
    "shutil",
    "tempfile",
    "random",
    "secrets",
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{one.name}" for one in node.names)


def layer(name: str) -> str:
    return name.split("/")[0].removesuffix(".py")


def test_nothing_points_back():
    wrong = []
    for name, tree in modules():
        own = layer(name)
        if own not in MAY_IMPORT:
            assert name in ("__init__.py", "__main__.py"), f"{name} is in no layer"
            continue
        for imported in imports(tree):
            parts = imported.split(".")
            if parts[0] != "gitdeploy" or len(parts) < 2 or parts[1] not in MAY_IMPORT:
                continue
            if parts[1] != own and parts[1] not in MAY_IMPORT[own]:
                wrong.append(f"{name} imports {imported}")
    assert not wrong, "\n".join(wrong)


def test_the_command_line_reaches_the_server_only_through_its_front():
    for name, tree in modules():
        if layer(name) == "cli":
            inner = {one for one in imports(tree) if one.startswith(("gitdeploy.web.", "gitdeploy.git."))}
            allowed = (
                "gitdeploy.web.serve",
                "gitdeploy.web.offline",
                "gitdeploy.web.edge",
                "gitdeploy.web.standby",
                "gitdeploy.web.upgrade",
                "gitdeploy.web.build_for",
                "gitdeploy.web.dev",
                "gitdeploy.git.backend",
            )
            assert all(one.startswith(allowed) for one in inner), (name, inner)


def test_each_dependency_has_its_room():
    wrong = []
    for name, tree in modules():
        for imported in {one.split(".")[0] for one in imports(tree)} & set(ONLY_IN):
            if not any(name == place or name.startswith(place + "/") for place in ONLY_IN[imported]):
                wrong.append(f"{name} imports {imported}; it belongs to {sorted(ONLY_IN[imported])}")
    assert not wrong, "\n".join(wrong)


def test_processes_are_started_in_one_place():
    starters = {"Popen", "run", "call", "check_output", "check_call", "create_subprocess_exec"}
    wrong = []
    for name, tree in modules():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node := node.func, ast.Attribute)
                and node.attr in starters
                and isinstance(node.value, ast.Name)
                and node.value.id in ("subprocess", "asyncio")
                and name != "process.py"
                and not (node.value.id == "asyncio" and node.attr == "run")
            ):
                wrong.append(f"{name}:{node.lineno}")
    assert not wrong, wrong


def test_the_domain_touches_nothing():
    wrong = []
    for name, tree in modules():
        if layer(name) != "domain":
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                wrong += [
                    f"{name} imports {one.name}" for one in node.names if one.name.split(".")[0] in IMPURE
                ]
            elif (
                isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os"
            ):
                if node.attr not in ("fsencode", "fsdecode"):  # names of files as text: no file is touched
                    wrong.append(f"{name} uses os.{node.attr}")
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in IMPURE:
                wrong.append(f"{name} imports from {node.module}")
    assert not wrong, "\n".join(wrong)
