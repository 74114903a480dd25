"""The `Procfile`: one process a line, `web: gunicorn app:app`.

The format is Heroku's: a name, a colon, a shell command. Empty lines and `#` lines say nothing.
"""

from __future__ import annotations

import re

from gitdeploy.errors import Invalid

_LINE = re.compile(r"([A-Za-z0-9_-]{1,40}):\s*(.*\S)\s*")


def parse(text: str | bytes, *, file: str = "Procfile") -> dict[str, str]:
    """{process: command} in the order written. Raises Invalid, which names the line."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", errors="replace")
    processes: dict[str, str] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise Invalid(
                f"{file}:{number} should be a process and its command.", "Such as: web: gunicorn app:app"
            )
        name, command = match.groups()
        if name in processes:
            raise Invalid(f"{file}:{number} {name}: should be named once.", "Remove one of the two lines.")
        if "\0" in command or "\ufffd" in command:
            raise Invalid(f"{file}:{number} {name}: should be UTF-8 text.", "Save the file as UTF-8.")
        processes[name] = command
    return processes
