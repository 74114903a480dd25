"""Bad input: one sentence that says what is wrong, the next step, an exit code, and nothing has changed."""

from __future__ import annotations

import os
import re
import subprocess
import urllib.parse

import pytest
from scenario_support import Desk
from support import GIT_ENV


@pytest.fixture
def site(desk):
    desk.commit("first", index_html="first")
    pushed = desk.push("main")
    assert pushed.ok, pushed.out
    return desk


@pytest.fixture(scope="module")
def unmoved(shared, tmp_path_factory):
    desk = shared.new_site(tmp_path_factory.mktemp("unmoved") / "project")
    desk.commit("first", index_html="first")
    assert desk.push("main").ok
    return desk


@pytest.fixture
def still(unmoved):
    """A site for all that is refused, which leaves it as it was; the project is put back."""
    yield unmoved
    unmoved.git("reset", "-q", "--hard", "managed/main")
    unmoved.git("clean", "-fdxq")


def refused(site: Desk, *words: str, says: str) -> str:
    """Push and be refused: exit code 1, `says` and a hint are said in plain lines, nothing has changed."""
    before = site.state()
    pushed = site.push(*words)
    assert pushed.code == 1, pushed.out
    assert re.search(says, pushed.out), pushed.out
    assert "rejected]" in pushed.out
    lines = re.findall(r"^remote:  !     (.*\S)", pushed.out, re.MULTILINE)
    assert len(lines) >= 2 or lines[0].startswith("gitdeploy.toml:"), "a sentence and a next step"
    assert "Traceback" not in pushed.out and "error of its own" not in pushed.out
    assert site.state() == before
    return pushed.out


def fails_to_build(site: Desk, says: str) -> None:
    """The commit is refused by main; a branch takes it, says the same and shows nothing."""
    refused(site, "main", says=says)
    pushed = site.push("main:draft")
    assert pushed.code == 0
    assert re.search(says, pushed.out), pushed.out
    assert site.page("draft").status == 404
    assert site.page().text == "first"


@pytest.mark.parametrize("target", ["r0", "r01", "-rf", "--all"])
@pytest.mark.parametrize("verb", ["rollback", "promote", "redeploy"])
def test_a_target_that_names_nothing(still, verb, target):
    refused(still, f"HEAD:refs/heads/{verb}/{target}", says=f"'{target}' names no release")


def test_a_target_of_300_characters(still):
    name = "/".join(["x" * 100] * 3)
    refused(still, f"HEAD:refs/heads/rollback/{name}", says="names no release")


@pytest.mark.parametrize("verb", ["rollback", "promote", "redeploy", "cancel"])
def test_an_order_without_a_target(still, verb):
    refused(still, f"HEAD:refs/heads/{verb}", says=f"{verb} needs a target")


def test_a_branch_name_that_is_not_utf_8(still):
    name = b"HEAD:refs/heads/caf\xe9"
    before = still.state()
    done = subprocess.run(
        [b"git", b"push", b"managed", name],
        cwd=still.folder,
        capture_output=True,
        env={**os.environ, **GIT_ENV},
    )
    assert done.returncode == 1
    assert b"is not UTF-8" in done.stderr
    assert b"Rename" in done.stderr
    assert b"error of its own" not in done.stderr
    assert still.state() == before


def test_a_long_branch_name_has_an_address_that_fits(site):
    name = "feature/" + "x" * 180
    assert site.push(f"main:{name}").ok
    (url,) = [one["url"] for one in site.facts("environments") if one["name"] == name]
    assert site.shared.get(url.removeprefix("http://").partition(".")[0]).text == "first"


def test_branches_that_look_alike_have_addresses_of_their_own(site):
    names = ["caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}", "日本", "🚀"]
    for number, name in enumerate(names):
        site.commit(name, index_html=f"draft {number}")
        assert site.push(f"HEAD:refs/heads/{name}").ok
    urls = {one["name"]: one["url"] for one in site.facts("environments")}
    for number, name in enumerate(names):
        assert site.shared.get(urls[name].removeprefix("http://").partition(".")[0]).text == f"draft {number}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[build\n", r"gitdeploy\.toml:1"),
        ("\n\n[buidl]\n", r"gitdeploy\.toml:3 buidl.*"),
        ("[build]\ncommand = 7\n", r"gitdeploy\.toml:2 build/command"),
        ('[health]\ntimeout = "soon"\n', r"gitdeploy\.toml:2 health/timeout: should be a duration"),
        ("\x00", r"gitdeploy\.toml"),
    ],
)
def test_a_broken_settings_file_is_refused_by_path_and_line_on_every_branch(still, text, says):
    still.write("gitdeploy.toml", text)
    still.commit("broken settings")
    builds = still.builds
    for ref in ("main", "main:draft"):
        refused(still, ref, says=says)
    assert still.builds == builds


def test_settings_that_are_not_text(still):
    still.write("gitdeploy.toml", b'[build]\ncommand = "\xff\xfe"\n')
    still.commit("broken settings")
    refused(still, "main", says=r"gitdeploy\.toml")


@pytest.mark.parametrize("kind", ["folder", "submodule"])
def test_a_settings_file_that_is_no_file(still, kind):
    if kind == "folder":
        still.write("gitdeploy.toml/x", "x")
        still.git("add", "-A")
    else:
        still.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},gitdeploy.toml")
    still.git("commit", "-q", "-m", "odd settings")
    refused(still, "main", says=r"gitdeploy\.toml is a folder or a submodule, and should be a file\.")


def test_a_settings_folder_on_a_branch(still):
    still.write("gitdeploy.toml/x", "x")
    still.commit("odd settings")
    refused(still, "HEAD:refs/heads/feature", says=r"gitdeploy\.toml is a folder")


def test_a_settings_file_that_is_a_link(site):
    (site.folder / "gitdeploy.toml").symlink_to("/etc/passwd")
    site.commit("odd settings")
    pushed = site.push("main")
    assert (
        "Traceback" not in pushed.out and "root:" not in pushed.out and "error of its own" not in pushed.out
    )
    assert site.page().text == "first"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ('[build]\ncommand = "true"\noutput = "out"\n', r"out"),
        ('[build]\ncommand = "mkdir out"\noutput = "out"\n', r"wrote nothing into out/"),
        ('[build]\ncommand = "exit 3"\noutput = "out"\n', r"exit 3"),
        ('[build]\ncommand = "no-such-program"\noutput = "out"\n', r"no-such-program"),
        ('[build]\ncommand = "kill -9 $$"\noutput = "out"\n', r"signal|killed|137"),
        ('[build]\ncommand = "sleep 60"\noutput = "out"\ntimeout = "1s"\n', r"1s"),
        ('[build]\ncommand = "mkdir out; ln -s /etc/passwd out/index.html"\noutput = "out"\n', r"index\.html"),
        ('[build]\ncommand = "mkdir out; ln -s ../../.. out/up; touch out/index.html"\noutput = "out"\n', r"up"),
        ('[build]\ncommand = "mkdir out; mkfifo out/pipe"\noutput = "out"\n', r"pipe"),
        ('[build]\nroot = "nowhere"\n', r"build/root"),
        ('[build]\ncommand = "true"\noutput = "../.."\n', r"gitdeploy\.toml:3 build/output"),
    ],
)  # fmt: skip
def test_a_build_that_cannot_be_published(still, settings, says):
    still.write("gitdeploy.toml", settings)
    still.commit("cannot be published")
    refused(still, "main", says=says)
    assert not list((still.shared.home / "work").glob("*"))


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../etc/passwd", "sub/../../x", "loop", "."])
def test_a_committed_link_that_leads_out_of_the_tree(site, target):
    (site.folder / "loop").symlink_to(target)
    site.commit("link")
    before = site.state()
    pushed = site.push("main")
    assert b"root:" not in site.page(path="/loop").body
    assert "Traceback" not in pushed.out and "error of its own" not in pushed.out
    if target not in ("loop", "."):
        assert pushed.code == 1
        assert "loop" in pushed.out
        assert site.state() == before


def test_links_and_programs_inside_the_tree_are_served(site):
    site.write("pages/real.html", "real")
    (site.folder / "alias.html").symlink_to("pages/real.html")
    (site.folder / "folder").symlink_to("pages")
    site.write("run.sh", "#!/bin/sh\n")
    (site.folder / "run.sh").chmod(0o755)
    site.commit("links")
    assert site.push("main").ok
    assert site.page(path="/alias.html").text == site.page(path="/folder/real.html").text == "real"
    assert site.page(path="/run.sh").text == "#!/bin/sh\n"


def test_a_submodule(site):
    commit = site.git("rev-parse", "HEAD")
    site.git("update-index", "--add", "--cacheinfo", f"160000,{commit},vendor/theme")
    site.git("commit", "-q", "-m", "submodule")
    fails_to_build(site, r"vendor/theme is a submodule")


def test_a_large_file_pointer(site):
    site.write(".gitattributes", "*.png filter=lfs diff=lfs merge=lfs -text\n")
    site.write("big.png", f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 5\n")
    site.git("config", "filter.lfs.clean", "cat")
    site.commit("pointer")
    fails_to_build(site, r"big\.png is a Git LFS pointer")


def test_an_empty_tree(site):
    site.git("rm", "-q", "index.html")
    site.git("commit", "-q", "-m", "nothing left")
    fails_to_build(site, r"no files")


def test_a_tree_nobody_can_build(site):
    site.git("rm", "-q", "index.html")
    site.commit("prose", README_md="hello")
    fails_to_build(site, r"Cannot tell how to build")


def test_only_hidden_files(site):
    site.git("rm", "-q", "index.html")
    site.write(".env", "SECRET=1")
    site.write("gitdeploy.toml", '[build]\noutput = "."\n')
    site.commit("hidden")
    fails_to_build(site, r"no files|nothing")


def test_a_hostile_subject_does_not_reach_the_terminal_raw(site):
    hostile = "\x1b[31mred\x1b]0;title\x07 \x08\x08 \u202egnp.exe\x9b2J \t end"
    site.commit(hostile, index_html="second")
    said = site.push("main").out
    said += site.push("main:draft").out
    said += site.push("HEAD:rollback/r1").out
    assert "end" in said
    site.write("gitdeploy.toml", '[build]\ncommand = "exit 3"\noutput = "out"\n')
    site.commit(hostile)
    said += site.push("main").out
    said += site.shared.cli("releases", site.site).stdout + site.shared.cli("builds", site.site).stdout
    said += site.shared.cli("live", site.site).stdout
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", said), said
    note = site.git("ls-remote", "managed", "refs/notes/deploys")
    assert note


def test_a_subject_that_is_not_utf_8_or_absent(site):
    tree = site.git("rev-parse", "HEAD^{tree}")
    for message in (b"caf\xe9\n", b"", b"\n\n", b"x" * 5000):
        file = site.folder.with_name("message")
        file.write_bytes(message)
        commit = site.git("commit-tree", tree, "-p", "HEAD", "-F", str(file)).split()[-1]
        pushed = site.push(f"{commit}:refs/heads/draft", "--force")
        assert pushed.ok, pushed.out
        assert "error of its own" not in pushed.out
    assert site.page("draft").text == "first"


def test_odd_file_names_are_served(site):
    names = {
        b"a space.html": "/a%20space.html",
        b"new\nline.html": "/new%0Aline.html",
        b"latin\xe9.html": "/latin%E9.html",
        "café.html".encode(): "/caf%C3%A9.html",
        b"Case.html": "/Case.html",
        b"case.html": "/case.html",
        b"-rf.html": "/-rf.html",
        b"per%cent.html": "/per%25cent.html",
        b"qu'ote\".html": "/qu'ote%22.html",
        b"back\\slash.html": "/back%5Cslash.html",
        b"star*.html": "/star*.html",
        b"x" * 250 + b".html": "/" + "x" * 250 + ".html",
    }
    for name in names:
        with open(bytes(site.folder) + b"/" + name, "wb") as file:
            file.write(b"<" + name + b">")
    site.commit("odd names")
    pushed = site.push("main")
    assert pushed.ok, pushed.out
    for name, path in names.items():
        page = site.page(path=path)
        assert (page.status, page.body) == (200, b"<" + name + b">"), name
    assert site.push("HEAD:rollback/r1").ok
    assert site.push("HEAD:rollback/r2").ok


def test_what_is_hidden_is_not_served(site):
    site.write(".env", "SECRET=1")
    site.write(".git2/config", "x")
    site.write("gitdeploy.toml", "")
    site.write("sub/.htpasswd", "x")
    site.write(".well-known/security.txt", "Contact: x")
    site.commit("hidden")
    assert site.push("main").ok
    for path in ("/.env", "/.git2/config", "/gitdeploy.toml", "/sub/.htpasswd", "/.git/config"):
        assert site.page(path=path).status == 404, path
    assert site.page(path="/.well-known/security.txt").status == 200


def test_a_build_is_named_by_its_beginning_and_by_nothing_else(site):
    (build,) = site.builds
    for name in (build["id"], build["id"][:25], build["id"].lower()):
        assert site.shared.ask(f"/builds/{name}") == build
    for name in ("________", "%" * 8, f"{build['id']}'", f"{build['id']}'--", f"{build['id'][:9]}%"):
        answer = site.shared.api(f"/v1/builds/{urllib.parse.quote(name)}", site.shared.admin)
        assert answer.status == 404, name
    assert site.facts("builds?before=~'") == [build]
    assert site.facts(f"builds?before={build['id']}") == site.facts("builds?before='") == []


def test_a_tag_of_something_that_is_no_commit(site):
    blob = site.git("hash-object", "-w", "index.html")
    site.git("tag", "blob", blob)
    tree = site.git("rev-parse", "HEAD^{tree}")
    site.git("tag", "tree", tree)
    assert site.push("blob", "tree").ok
    for name in ("blob", "tree"):
        for verb in ("rollback", "promote", "redeploy"):
            refused(
                site,
                f"HEAD:refs/heads/{verb}/{name}",
                says=r"is not a commit|is not a release|no build, branch",
            )
    pushed = site.push(f"{blob}:refs/heads/main")
    assert pushed.code == 1
    assert "error of its own" not in pushed.out
    pushed = site.push(f"{tree}:refs/tags/production")
    assert site.page().text == "first"


def test_one_refusal_does_not_stop_the_next_push(site):
    site.commit("bad", gitdeploy_toml="[buidl]\n")
    refused(site, "main", says="buidl")
    site.write("gitdeploy.toml", "")
    site.commit("good", index_html="second")
    assert site.push("main").ok
    assert site.page().text == "second"
