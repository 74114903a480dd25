"""Sites as people have them: made by the usual tools, with many files, with years of history."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess

import pytest
from scenario_support import Desk, Shared, of_its_own

shared = of_its_own

OFFLINE = "[build]\nnetwork = false\n"
TOOLS = {
    "Hugo": {
        "hugo.toml": 'baseURL = "https://example.org/"\ntitle = "Site"\n',
        "content/_index.md": "---\ntitle: Home\n---\nHello *PAGE*\n",
        "layouts/index.html": "<h1>{{ .Title }}</h1>{{ .Content }}\n",
        "gitdeploy.toml": OFFLINE,
    },
    "MkDocs": {
        "mkdocs.yml": "site_name: Site\n",
        "docs/index.md": "# Hello\n\n*PAGE*\n",
        "gitdeploy.toml": OFFLINE,
    },
    "Jekyll": {
        "_config.yml": "title: Site\n",
        "index.md": "---\n---\n# Hello\n\n*PAGE*\n",
        "gitdeploy.toml": OFFLINE,
    },
}


def commit(desk: Desk, files: dict[str, str], page: str) -> None:
    for path, text in files.items():
        desk.write(path, text.replace("PAGE", page))
    desk.commit(page)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_site_made_by_a_tool(desk, tool):
    commit(desk, TOOLS[tool], "one")
    pushed = desk.push("main")
    assert pushed.ok, pushed.out
    assert f": {tool}, builds into" in pushed.out
    assert "<em>one</em>" in desk.page().text
    first = desk.page().body
    commit(desk, TOOLS[tool], "two")
    assert desk.push("main").ok
    assert "<em>two</em>" in desk.page().text
    built = desk.built
    assert desk.push("HEAD:rollback/r1").ok
    assert desk.page().body == first
    assert desk.built == built == 2


@pytest.mark.soak
def test_a_vite_site_from_the_registry(desk):
    # The registry of this machine, where it has one of its own: a build does not see the machine's npmrc.
    registry = subprocess.check_output(["npm", "config", "get", "registry"], text=True).strip()
    package = {
        "name": "site",
        "private": True,
        "scripts": {"build": "vite build"},
        "devDependencies": {"vite": "^5.4"},
    }
    files = {
        "package.json": json.dumps(package),
        ".npmrc": f"registry={registry}\n",
        "index.html": '<!doctype html><script type="module" src="/main.js"></script>\n',
        "main.js": "document.title = 'PAGE';\n",
    }
    commit(desk, files, "one")
    pushed = desk.push("main")
    assert pushed.ok, pushed.out
    (asset,) = re.findall(r'src="(/assets/[^"]+\.js)"', desk.page().text)
    assert "one" in desk.page(path=asset).text
    commit(desk, files, "two")
    assert desk.push("main").ok
    (newer,) = re.findall(r'src="(/assets/[^"]+\.js)"', desk.page().text)
    assert newer != asset
    assert desk.push("HEAD:rollback/r1").ok
    assert asset in desk.page().text
    assert "one" in desk.page(path=asset).text


def test_twenty_thousand_files(shared, tmp_path):
    """The first push reads all of them; a change of one and a rollback write and move next to nothing."""
    desk = shared.new_site(tmp_path / "large")
    folders = [f"{number:03}" for number in range(200)]
    with FastImport(desk) as stream:
        stream.commit("all", {f"{folder}/{n:03}.html": f"<p>{folder}/{n}" for folder in folders for n in range(100)}
                      | {"index.html": "one"})  # fmt: skip
    pushed = desk.push("main")
    assert pushed.ok, pushed.out
    assert "20001 files" in pushed.out
    assert desk.page(path="/199/099.html").text == "<p>199/99"
    blobs = stored(shared)
    with FastImport(desk) as stream:
        stream.commit(
            "one more", {"007/007.html": "<p>changed", "index.html": "two"}, start="refs/heads/main^0"
        )
    pushed = desk.push("main")
    assert pushed.ok, pushed.out
    assert "files: 2 changed" in pushed.out
    assert desk.page().text == "two"
    assert desk.page(path="/007/007.html").text == "<p>changed"
    assert desk.page(path="/007/008.html").text == "<p>007/8"
    assert stored(shared) == blobs + 2
    pushed = desk.push("main:rollback/r1")
    assert pushed.ok, pushed.out
    assert desk.page().text == "one"
    assert desk.page(path="/007/007.html").text == "<p>007/7"
    assert desk.page(path="/199/099.html").text == "<p>199/99"
    assert stored(shared) == blobs + 2


def stored(shared: Shared) -> int:
    return sum(1 for one in (shared.home / "store/blobs").rglob("*") if one.is_file())


@pytest.mark.soak
def test_a_repository_of_real_size(shared, tmp_path):
    """5,000 commits, a merge every tenth, a tag every hundredth: pushed at once, then worked with as any other."""
    desk = shared.new_site(tmp_path / "old")
    with FastImport(desk) as stream:
        for number in range(5000):
            merge = "side" if number % 10 == 9 else ""
            if merge:
                page = {f"side{number % 50}.html": str(number)}
                stream.commit(f"side {number}", page, branch=merge, start="refs/heads/main")
            page = {"index.html": str(number), f"page{number % 300}.html": str(number)}
            stream.commit(f"page {number}", page, merge=merge)
            if number % 100 == 99:
                stream.tag(f"v{number // 100 + 1}")
    head = desk.git("rev-parse", "main")
    pushed = desk.push("main", "--tags")
    assert pushed.ok, pushed.out
    assert desk.page().text == "4999"
    assert len([ref for ref in desk.refs() if ref.startswith("refs/tags/")]) == 50

    pushed = desk.push("main:promote/v17")
    assert pushed.ok, pushed.out
    assert desk.page().text == "1699"
    assert desk.live["commit"] == desk.git("rev-parse", "v17^{commit}")
    assert desk.push(f"main:rollback/{head[:10]}").ok
    assert desk.page().text == "4999"
    desk.git("branch", "old", "v3")
    assert desk.push("old").ok
    assert desk.page("old").text == "299"
    refused = desk.push("--force", "old:main")
    assert refused.code == 1 and "only moves forward" in refused.out
    copy = desk.clone(tmp_path / "copy")
    assert copy.git("rev-list", "--count", "HEAD") == desk.git("rev-list", "--count", "main") == "5500"


class FastImport:
    """`git fast-import` into a project's repository: many commits in little time (git-fast-import(1))."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._clock = 1_700_000_000

    def __enter__(self) -> FastImport:
        self._process = subprocess.Popen(
            ["git", "fast-import", "--quiet", "--force"], cwd=self._desk.folder, stdin=subprocess.PIPE
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        assert self._process.wait() == 0

    def commit(
        self, subject: str, files: dict[str, str], *, start: str = "", branch: str = "main", merge: str = ""
    ) -> None:
        """Add or change `files` on top of `start`, or of what this stream put on the branch last."""
        self._clock += 60
        lines = [
            f"commit refs/heads/{branch}",
            f"committer Maya <maya@example.org> {self._clock} +0000",
            data(subject),
        ]
        if start:
            lines.append(f"from {start}")
        if merge:
            lines.append(f"merge refs/heads/{merge}")
        for path, text in files.items():
            lines.append(f"M 100644 inline {path}\n{data(text)}")
        self._say("\n".join(lines))

    def tag(self, name: str) -> None:
        who = f"tagger Maya <maya@example.org> {self._clock} +0000"
        self._say(f"tag {name}\nfrom refs/heads/main\n{who}\n{data(name)}")

    def _say(self, text: str) -> None:
        self._process.stdin.write(text.encode() + b"\n")


def data(text: str) -> str:
    return f"data {len(text.encode())}\n{text}"


def test_every_file_that_is_served_is_the_one_that_was_pushed(desk):
    """A few hundred files of every size, compared by digest after a push, a change of folders and a rollback."""
    files = {
        f"d{n % 7}/f{n}.bin": hashlib.sha256(str(n).encode()).digest() * (n * n % 700) for n in range(120)
    }
    for path, content in files.items():
        desk.write(path, content)
    desk.commit("all", index_html="one")
    assert desk.push("main").ok
    desk.git("mv", "d0", "moved")
    desk.git("rm", "-q", "-r", "d1")
    desk.commit("moved", index_html="two")
    assert desk.push("main").ok
    assert desk.page(path="/d0/f0.bin").status == desk.page(path="/d1/f1.bin").status == 404
    assert desk.page(path="/moved/f7.bin").body == files["d0/f7.bin"]
    assert desk.push("HEAD:rollback/r1").ok
    for path, content in files.items():
        assert desk.page(path=f"/{path}").body == content, path
