"""The snippets of docs/ci.md are YAML, and their git commands do what the page says, against a real server."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from support import GIT_ENV, Project, running

PAGE = (Path(__file__).parents[2] / "docs" / "ci.md").read_text("utf-8")
SNIPPETS = {
    part.partition("\n")[0]: yaml.safe_load(part.partition("```yaml\n")[2].partition("```")[0])
    for part in PAGE.split("\n## ")
    if "```yaml\n" in part
}
HOST = "https://deploy.example.org"


def jobs(snippet: dict) -> dict[str, tuple[dict[str, str], list[str]]]:
    """Of each job its variables and its lines of shell."""
    if "jobs" in snippet:
        return {
            name: ({**snippet["env"], **job["env"]}, [step["run"] for step in job["steps"] if "run" in step])
            for name, job in snippet["jobs"].items()
        }
    return {
        name: ({**snippet["variables"], **job["variables"]}, job["script"])
        for name, job in snippet.items()
        if "script" in job
    }


def test_the_page_has_what_it_promises():
    assert list(SNIPPETS) == ["GitHub Actions", "GitLab CI", "Gitea Actions"]
    for snippet in SNIPPETS.values():
        text = yaml.safe_dump(snippet)
        assert "fetch-depth: 0" in text or "GIT_DEPTH: 0" in text


server = pytest.fixture(scope="module")(running)


@pytest.fixture
def site(server):
    server.cli("site", "create", "blog")
    yield
    server.cli("site", "remove", "blog", "--yes")


@pytest.mark.parametrize("name", SNIPPETS)
def test_a_preview_goes_live_by_fast_forward_and_is_gone(server, site, tmp_path, name):
    for words in (("developer",), ("maintainer", "--env", "production")):
        server.cli("access", "grant", "ci", words[0], "--site", "blog", *words[1:])
    tokens = {role: server.cli("token", "create", "ci", "--site", "blog", "--role", role).stdout.strip()
              for role in ("developer", "maintainer")}  # fmt: skip
    project = Project(tmp_path / "project", server)
    project.commit("one", index_html="one")

    def run(job: str, line: int) -> subprocess.CompletedProcess[str]:
        given, lines = jobs(SNIPPETS[name])[job]
        token = tokens["maintainer" if job == "production" else "developer"]
        known = {
            r"\$\{\{ secrets\.\w+ \}\}|\$GITDEPLOY_\w+": token, re.escape(HOST): f"http://{server.listen}",
            r"\$\{\{ github\.event\.pull_request\.head\.ref \}\}|\$CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "feature/x",
            r"\$\{\{ github\.run_id \}\}|\$CI_PIPELINE_ID": "17",
        }  # fmt: skip

        def filled(text: object) -> str:
            said = str(text)
            for pattern, value in known.items():
                said = re.sub(pattern, value, said)
            return said

        project.git("checkout", "-q", "--detach")
        env = {**os.environ, **GIT_ENV, **{key: filled(value) for key, value in given.items()}}
        assert token not in lines[line]
        return subprocess.run(["sh", "-ec", filled(lines[line])], cwd=project.folder, env=env, timeout=120,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)  # fmt: skip

    last = ("gone", 0) if name == "GitLab CI" else ("preview", 1)
    done = run("production", 0)
    assert done.returncode == 0 and "live: r1" in done.stderr, done.stderr
    project.commit("two", index_html="two")
    assert run("preview", 0).returncode == 0
    assert server.get("feature-x--blog").text == "two" and server.get("blog").text == "one"
    before = len(server.facts("builds", "blog"))
    done = run("production", 0)
    assert "reused: nothing is built again" in done.stderr, done.stderr
    assert server.get("blog").text == "two" and len(server.facts("builds", "blog")) == before
    if name != "Gitea Actions":
        assert server.facts("live", "blog")["reason"].endswith(" 17")
    assert run(*last).returncode == 0
    assert server.get("feature-x--blog").status == 404
    tokens["maintainer"] = tokens["developer"]
    project.commit("three", index_html="three")
    refused = run("production", 0)
    assert (
        refused.returncode == 1 and "needs maintainer" in refused.stderr and server.get("blog").text == "two"
    )
