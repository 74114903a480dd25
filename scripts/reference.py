"""The reference pages that are read from the program: docs/cli.md from --help, docs/api.md from the routes, the
settings of docs/configuration.md and templates/gitdeploy.toml from their schema.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import click
from fastapi import FastAPI

from gitdeploy.cli import main
from gitdeploy.domain import setting_text
from gitdeploy.web.api import ROUTES

ROOT = Path(__file__).parents[1]
WIDTH = 100
WRITTEN = "<!-- Written by scripts/docs from the program; change it there. -->\n\n"

CLI = """\
# Commands

The same commands work on the server's own machine (over a socket of `GITDEPLOY_HOME`), from elsewhere
(`gitdeploy login URL` once, then `GITDEPLOY_URL`; or with `GITDEPLOY_TOKEN`), and over SSH
(`ssh git@host releases blog`). Facts go to standard output, as
one JSON document with `--json`; what is said meanwhile goes to standard error. [Refs and options](refs-and-options.md)
says how to do most of it with git alone.

"""
API = """\
# The API

Every command is one of these requests. Over TCP they need `Authorization: Bearer gd_live_…`
(`gitdeploy token create ACTOR`); over the unix socket `run/api.sock` in the server's home they need nothing, since
only its owner can reach it. `/healthz` answers `ok`, and
`/<site>.git` is git's own smart HTTP, with the token as the password.

Bodies and answers are JSON; times are UTC ISO 8601, sizes bytes, durations seconds. An error is
`{"error": {"code", "message", "hint"}}` with the status 401 (no token that counts), 403 (refused), 404, 409 (busy, or
not proven), 412 (changed meanwhile), 422 (not understood) or 500 (it failed). Where trying again is of use,
`Retry-After` says when.
`/openapi.json` (OpenAPI 3.1) has the shape of every answer, with an example that a real server gave.

A request that takes a while and is sent with `Accept: application/x-ndjson` is told as it happens: `{"said": "…"}`
lines, then one `{"result": …}` or `{"error": …}`. With `Accept: text/event-stream` the same comes as server-sent
events, named `said`, `result` and `error`. Logs are then an event for each line, and the audit log (`/v1/events/lines`)
has events with the id and the action of each, so that a browser that lost its connection goes on where it was
(`Last-Event-ID`). What ends by itself ends with an event `end`.

Long lists come in pages: `limit` (100 when it is not said, 1000 at most), and `before` or `after`, which name the last
one already seen. While there is more, the answer has a header `Link: <…>; rel="next"`, which leads to the next page.

What is read has an `ETag`; with `If-None-Match` and that tag the answer is 304 while nothing has changed. A change of a
site, its lock, configuration or list of visitors, and of an incident, may carry the tag of what was read as `If-Match`:
when somebody else has changed it meanwhile it is refused (412), and nothing has changed.

A request that changes something may carry an `Idempotency-Key` of up to 255 characters, such as a UUID. The same
person's same key with the same request acts once and is given the same answer for 7 days, whenever it comes and from
however many at once; with another request it is refused (409). A refusal is not kept: nothing has changed, and it may
be asked again. When the server was stopped meanwhile, the key is refused from then on; what is live says how far it
came.
"""


def cli_page() -> str:
    parts = [WRITTEN + CLI]
    for context in walk(root()):
        if not context.command.hidden:
            parts.append(f"## {context.command_path}\n\n```\n{context.get_help().rstrip()}\n```\n\n")
    return "".join(parts).rstrip() + "\n"


def root() -> click.Context:
    return click.Context(main, info_name="gitdeploy", terminal_width=WIDTH, **main.context_settings)


def walk(context: click.Context) -> Iterator[click.Context]:
    """The command of `context` and all below it, each in a context of its own."""
    yield context
    command = context.command
    if isinstance(command, click.Group):
        for name in sorted(command.list_commands(context)):
            below = command.get_command(context, name)
            assert below is not None
            yield from walk(click.Context(below, info_name=name, parent=context, terminal_width=WIDTH))


def api_page() -> str:
    parts = [WRITTEN + API]
    for tag, routes in groupby(api_routes(), key=lambda route: route[0]):
        parts.append(f"## {tag}\n\n| request | takes | |\n|---|---|---|\n")
        parts += [f"| `{method} {path}` | {takes} | {says} |\n" for _, method, path, takes, says in routes]
        parts.append("\n")
    return "".join(parts).rstrip() + "\n"


def api_routes() -> Iterator[tuple[str, str, str, str, str]]:
    """(tag, method, path, what it takes, first line of its docstring or else its name), in the order of the source."""
    app = FastAPI()
    app.router.routes += ROUTES
    schema = app.openapi()
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            query = [f"`?{one['name']}`" for one in route.get("parameters", []) if one["in"] == "query"]
            fields = [f"`{name}`" for name in _body(schema, route)]
            says = route.get("description", route["summary"]).split("\n\n")[0].replace("\n", " ")
            yield route["tags"][0], method.upper(), path, " ".join(query + fields), says


def _body(schema: dict[str, Any], route: dict[str, Any]) -> list[str]:
    content = route.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    name = content.get("$ref", "").rpartition("/")[2]
    return list(schema["components"]["schemas"][name]["properties"]) if name else []


def configuration_page() -> str:
    before, heading, _ = (ROOT / "docs/configuration.md").read_text("utf-8").partition("## The settings\n")
    return f"{before}{heading}\n{setting_text.tables()}"


def run(check: bool) -> int:
    stale = []
    written = {
        "docs/cli.md": cli_page(),
        "docs/api.md": api_page(),
        "docs/configuration.md": configuration_page(),
        "templates/gitdeploy.toml": setting_text.sample(),
    }
    for name, text in written.items():
        path = ROOT / name
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(name)
            if not check:
                path.write_text(text, "utf-8")
    for name in stale:
        sys.stdout.write(f"{name} {'is out of date: run scripts/docs' if check else 'written'}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(run("--check" in sys.argv[1:]))
