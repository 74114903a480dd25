"""`gitdeploy dev`: a real process, real HTTP, and files saved by hand."""

from __future__ import annotations

import http.client
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support import eventually

from gitdeploy.service.dev import Workshop
from gitdeploy.service.teller import Teller

TAG = re.compile(rb'<script src="/_gitdeploy/reload\.js\?[0-9a-f]{8}-\d+"></script>')


def processes_with(word: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if word in text:
            found.append(text)
    return found


def site_with_build(dev, command: str) -> None:
    dev.write("gitdeploy.toml", f"[build]\ncommand = '''{command}'''\noutput = 'out'\nnetwork = false\n")
    dev.write("page.txt", "one")


def test_a_static_folder_is_served_and_a_save_reloads_the_browser(dev):
    dev.write("index.html", "<h1>one</h1></body></html>")
    events = dev.ready()
    page = dev.get()
    assert page.status == 200
    tag = TAG.search(page.body)[0]
    assert page.body == b"<h1>one</h1>" + tag + b"</body></html>"
    assert events.now["version"].encode() in tag
    dev.write("index.html", "<h1>two</h1></body></html>")
    events.until_new()
    assert dev.get().text.startswith("<h1>two</h1>")
    dev.write("new.html", "new")
    events.until_new()
    assert dev.get("/new.html").text.startswith("new<script")
    (dev.folder / "new.html").unlink()
    events.until_new()
    assert dev.get("/new.html").status == 404
    assert dev.stop() == 0


def test_it_answers_as_the_server_does_after_a_push(server, project, dev):
    files = {
        "index.html": "<h1>home</h1>",
        "about.html": "about",
        "docs/index.html": "<body>docs</body>",
        "404.html": "nothing here",
        "app.3f2a9c1b.js": "x" * 2000,
        "style.css": "body { color: red }",
        "_redirects": "/old /about 301\n/gone /docs/ 302\n/as /docs/index.html 200\n",
        "_headers": "/docs/*\n  X-Frame-Options: DENY\n",
        "gitdeploy.toml": "[static]\nclean_urls = true\n",
        ".env": "SECRET=1",
        ".well-known/x.txt": "known",
        ".gitignore": "ignored.html\n",
    }
    for name, text in files.items():
        project.write(name, text)
    (project.folder / "link.html").symlink_to("about.html")
    project.git("add", "-A")
    project.git("commit", "-qm", "all")
    assert project.push("main").ok
    shutil.copytree(project.folder, dev.folder, dirs_exist_ok=True, symlinks=True)
    dev.write("ignored.html", "ignored")
    dev.ready()
    paths = [
        "/", "/about", "/about.html", "/docs", "/docs/", "/404.html", "/none", "/app.3f2a9c1b.js", "/style.css",
        "/old", "/old?a=1", "/gone", "/as", "/_redirects", "/_headers", "/gitdeploy.toml", "/.env",
        "/.well-known/x.txt", "/.gitignore", "/.git/HEAD", "/ignored.html", "/link", "/link.html", "/%2e%2e/x",
        "//about", "/docs/../about",
    ]  # fmt: skip
    for path in paths:
        ours, theirs = dev.get(path), server.get("blog", path)
        assert (ours.status, TAG.sub(b"", ours.body)) == (theirs.status, theirs.body), path
        kept = ("content-type", "location", "x-frame-options", "accept-ranges")
        assert [ours.headers.get(one) for one in kept] == [theirs.headers.get(one) for one in kept], path


def test_a_folder_with_a_build_is_built_at_every_save(dev):
    site_with_build(dev, "mkdir out && sed s/^/built:/ page.txt >out/index.html")
    events = dev.ready()
    assert dev.get().text.startswith("built:one")
    dev.write("page.txt", "two")
    events.until_new()
    assert dev.get().text.startswith("built:two")
    assert not (dev.folder / "out").exists()


def test_a_broken_build_keeps_the_site_and_says_why_until_it_is_mended(dev):
    refuse = "! grep bad page.txt || { echo '<i>page.txt is bad</i>'; exit 3; }"
    site_with_build(dev, f"{refuse}; mkdir out; cp page.txt out/index.html")
    events = dev.ready()
    dev.write("page.txt", "bad")
    problem = events.until(lambda told: told["problem"])["problem"]
    assert problem["message"].endswith("ended with exit code 3.")
    assert problem["log"][-1] == "<i>page.txt is bad</i>"
    assert dev.get().text.startswith("one")
    dev.wait_for(r"\n<i>page.txt is bad</i>\n !     The build failed: .* exit code 3\.\n")
    dev.write("page.txt", "two")
    assert events.until_new()["problem"] is None
    assert dev.get().text.startswith("two")


def test_before_anything_could_be_made_the_page_says_why_with_nothing_of_it_as_html(dev):
    site_with_build(dev, "echo '<i>no</i>'; exit 3")
    dev.start()
    dev.events().until(lambda told: told["problem"])
    page = dev.get("/any")
    assert page.status == 503
    assert "echo &#39;&lt;i&gt;no&lt;/i&gt;&#39;" in page.text
    assert "<i>" not in page.text
    assert TAG.search(page.body)


def test_what_a_killed_one_left_is_removed_by_the_next(dev, tmp_path):
    dev.write("index.html", "one")
    dev.ready()
    (killed,) = dev.scratch.iterdir()
    dev.leave()
    dev.process.kill()
    dev.process.wait()
    assert list(dev.scratch.iterdir()) == [killed]
    dev.ready()
    (own,) = dev.scratch.iterdir()
    assert own != killed
    (tmp_path / "second").mkdir()
    second = type(dev)(tmp_path / "second", scratch=dev.scratch)
    try:
        second.write("index.html", "two")
        second.ready()
        assert own in dev.scratch.iterdir() and len(list(dev.scratch.iterdir())) == 2
    finally:
        second.leave()
        assert second.stop() == 0
    assert dev.get().text.startswith("one")
    dev.leave()
    assert dev.stop() == 0 and not list(dev.scratch.iterdir())


def test_a_mistake_in_the_settings_is_told_with_its_line(dev):
    dev.write("index.html", "one")
    events = dev.ready()
    dev.write("gitdeploy.toml", "[static]\nspa = true\nclean_url = true\n")
    problem = events.until(lambda told: told["problem"])["problem"]
    assert problem["message"].startswith("gitdeploy.toml:3 static/clean_url: is not a setting")
    dev.wait_for(r" !     gitdeploy.toml:3 static/clean_url")
    dev.write("gitdeploy.toml", "[static\n")
    events.until(lambda told: told["problem"]["message"].startswith("gitdeploy.toml:1 should be TOML"))
    (dev.folder / "gitdeploy.toml").unlink()
    dev.write("gitdeploy.toml/x", "x")
    events.until(lambda told: told["problem"] and "is a folder, and" in told["problem"]["message"])
    shutil.rmtree(dev.folder / "gitdeploy.toml")
    dev.write("_redirects", "/a https://example.org/b 200\n")
    dev.write("gitdeploy.toml", "")
    events.until(lambda told: told["problem"] and "_redirects" in told["problem"]["message"])
    assert dev.get().text.startswith("one")
    dev.write("_redirects", "/a / 302\n")
    assert events.until_new()["problem"] is None
    assert dev.get("/a").status == 302
    assert dev.get().text.startswith("one")


def test_a_folder_may_get_a_build_and_lose_it_again(dev):
    dev.write("index.html", "plain")
    events = dev.ready()
    dev.write(
        "gitdeploy.toml", "[build]\ncommand = 'mkdir out; echo built >out/index.html'\noutput = 'out'\n"
    )
    events.until_new()
    assert dev.get().text.startswith("built")
    (dev.folder / "gitdeploy.toml").unlink()
    events.until_new()
    assert dev.get().text.startswith("plain")


def test_a_save_during_a_build_ends_it_and_the_newest_is_built(dev):
    word = f"86400.{dev.folder.stat().st_ino}"
    site_with_build(dev, f"[ ! -e slow ] || sleep {word}; mkdir out; cp page.txt out/index.html")
    dev.write("slow", "")
    dev.start()
    eventually(lambda: processes_with(word))
    (dev.folder / "slow").unlink()
    dev.write("page.txt", "two")
    dev.events().until(lambda told: not told["version"].endswith("-0"))
    assert dev.get().text.startswith("two")
    assert not processes_with(word)
    assert "\n !  " not in dev.said()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_with_nothing_left_even_in_a_build_with_a_browser_listening(dev, number):
    word = f"86401.{dev.folder.stat().st_ino}"
    site_with_build(dev, f"[ ! -e slow ] || sleep {word}; mkdir out; cp page.txt out/index.html")
    events = dev.ready()
    dev.write("slow", "")
    eventually(lambda: processes_with(word))
    assert list(dev.scratch.iterdir())
    assert dev.stop(number) == 0
    events.wait_for_end()
    assert not processes_with(word)
    assert not list(dev.scratch.iterdir())
    assert "\n !  " not in dev.said()


def test_only_what_git_would_take_is_looked_at(dev):
    dev.git("init", "-q")
    dev.write(".gitignore", "public/\nnote.html\n")
    dev.write("public/index.html", "left by some tool")
    dev.write("index.html", "one")
    dev.write("note.html", "private")
    events = dev.ready()
    assert dev.get("/public/").status == dev.get("/note.html").status == 404
    dev.write("index.html", "two")
    events.until_new()
    assert dev.get("/note.html").status == 404


def test_only_another_version_of_the_files_is_a_change(dev):
    dev.git("init", "-q")
    dev.write(".gitignore", "public/\n")
    dev.write("index.html", "one")
    workshop = Workshop(dev.folder, Teller())
    try:
        workshop.make(threading.Event())
        dev.write("public/index.html", "left by some tool")
        dev.git("add", "-A")
        assert not workshop.changed()
        dev.write("index.html", "two")
        assert workshop.changed()
        workshop.make(threading.Event())
        assert not workshop.changed()
        (dev.folder / "index.html").unlink()
        assert workshop.changed()
    finally:
        workshop.close()


def test_a_link_out_of_the_folder_is_refused_as_a_push_of_it_would_be(dev):
    dev.write("index.html", "one")
    (dev.folder / "out").symlink_to("/etc")
    dev.start()
    problem = dev.events().until(lambda told: told["problem"])["problem"]
    assert "leads out of the site" in problem["message"]
    assert dev.get("/out/passwd").status == 503


def test_a_program_is_refused_with_the_next_step(dev):
    dev.write("Procfile", "web: python app.py")
    dev.start()
    problem = dev.events().until(lambda told: told["problem"])["problem"]
    assert "a program to be started" in problem["message"]


def test_a_build_sees_the_variables_it_declares(dev):
    dev.write(
        "gitdeploy.toml",
        "[build]\ncommand = 'mkdir out; echo \"$PLACE-$OTHER\" >out/index.html'\noutput = 'out'\nenv = ['PLACE']\n",
    )
    dev.start(PLACE="here", OTHER="there")
    dev.events().until(lambda told: not told["version"].endswith("-0"))
    assert dev.get().text.startswith("here-\n")


def test_only_documents_are_marked_and_nothing_is_kept_by_the_browser(dev):
    text = f"<BODY>{'one ' * 200}</BODY>"
    dev.write("index.html", text)
    dev.write("a.css", "a { color: red } " * 100)
    dev.ready()
    page = dev.get(accept_encoding="gzip", if_none_match="*")
    assert page.status == 200
    assert "content-encoding" not in page.headers
    assert page.headers["cache-control"] == "no-store"
    assert "etag" not in page.headers
    assert page.text.endswith("</script></BODY>")
    assert int(dev.get(method="HEAD").headers["content-length"]) == len(page.body)
    assert dev.get(sec_fetch_dest="empty").text == text
    part = dev.get("/a.css", range="bytes=0-9")
    assert (part.status, part.text) == (206, "a { color:")
    assert dev.get("/none").status == 404
    assert TAG.search(dev.get("/none").body)
    script = dev.get("/_gitdeploy/reload.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "innerHTML" not in script.text


def test_a_name_that_somebody_elses_dns_may_lead_here_is_refused(dev):
    dev.write("index.html", "one")
    dev.ready()
    for host in ("localhost:1", "blog.localhost", "127.0.0.1", "[::1]:80", "192.168.1.2:8000"):
        assert dev.get(host=host).status == 200, host
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "["):
        assert dev.get(host=host).status == 403, host
        assert dev.get("/_gitdeploy/events", host=host).status == 403, host


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--listen", "here"), 2, "is not an address"),
        (("--listen", "127.0.0.1:TAKEN"), 1, "Address already in use"),
        (("nowhere",), 2, "does not exist"),
    ],
)
def test_what_cannot_begin_says_why(tmp_path, words, code, said):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "gitdeploy", "dev", *(word.replace("TAKEN", port) for word in words)],
            capture_output=True, text=True, cwd=tmp_path,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_browser_that_goes_away_does_no_harm(dev):
    dev.write("index.html", "one")
    events = dev.ready()
    for _ in range(3):
        connection = http.client.HTTPConnection(dev.address, timeout=30)
        connection.request("GET", "/_gitdeploy/events")
        connection.sock.close()
    dev.write("index.html", "two")
    events.until_new()
    assert dev.stop() == 0
    assert "Traceback" not in dev.said()
