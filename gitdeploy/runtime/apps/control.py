"""How a keeper is spoken to: one line of JSON each way over `control.sock`.

    {"do": "drain", "patience": 3600}                           answered at once; what is run once may take so long
    {"do": "count"}                                             answered {"answers": 120, "errors": 3}
    {"do": "scale", "counts": {"web": 3}}                       answered when those too many have ended
    {"do": "run", "line": "…", "name": "health", "within": 10}  answered {"code": 0}; null: killed, took too long

An error is answered `{"error": {code, message, hint}}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from gitdeploy.errors import Failed, GitdeployError

Answer = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


async def listen(path: Path, answer: Answer) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError):
            asked = json.loads(await reader.readline())
            try:
                said = await answer(asked)
            except GitdeployError as error:
                said = {"error": error.as_json()}
            except OSError as error:
                said = {"error": Failed(f"The app's keeper could not do it: {error}.").as_json()}
            writer.write(json.dumps(said).encode() + b"\n")
            await writer.drain()
        writer.close()

    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(serve, path)
    path.chmod(0o600)
    return server
