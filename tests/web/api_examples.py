"""The answers of a story as examples of `/openapi.json`; scripts/examples writes them anew."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from api_story import Story

FILE = Path(__file__).parents[2] / "gitdeploy/web/api/examples.json"
_LONGEST = 400
_MOST = 2


def examples(story: Story) -> dict[str, dict[str, Any]]:
    """By operation: `asked` and `answered`, as from a machine that nobody knows."""
    server = story.server
    known = {
        str(server.home): "/var/lib/gitdeploy",
        str(story.folder / "copies"): "/mnt/snapshots",
        str(story.folder / "backups"): "/mnt/backups",
        server.listen: "127.0.0.1:8470",
        story.builder: "build@192.0.2.7:22",
        server.edge.rpartition(":")[2]: "8480",
    }
    found = {}
    for name, one in sorted(story.answers.items()):
        said = {"asked": one.asked, "answered": one.body if one.kind != "image/png" else None}
        text = json.dumps(said)
        for private, public in known.items():
            text = text.replace(private, public)
        text = re.sub(r"gd_live_[\w-]+", "gd_live_…", text)
        found[name] = {what: _short(value) for what, value in json.loads(text).items() if value is not None}
    return found


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _short(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_short(one) for one in value[:_MOST]]
    return value if not isinstance(value, str) or len(value) <= _LONGEST else value[:_LONGEST] + "…"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Path(folder))
        try:
            story.tell()
            FILE.write_text(json.dumps(examples(story), indent=1, ensure_ascii=False) + "\n", "utf-8")
        finally:
            story.close()
