"""Where the files that are not Python lie: inside the wheel when installed, at the top of a checkout else."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).parent


def folder(name: Literal["hooks", "templates"]) -> Path:
    """The folder `hooks` or `templates`; pyproject.toml copies both into `gitdeploy/_data` of the wheel."""
    packed = _PACKAGE / "_data" / name
    return packed if packed.is_dir() else _PACKAGE.parent / name
