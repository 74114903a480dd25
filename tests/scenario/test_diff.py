"""What would change: said by the command and by a dry run, and seen in pictures."""

from __future__ import annotations

import pytest
from scenario_support import Desk

STATIC = '[build]\noutput = "."\n[static]\nspa = %s\n'


def page(colour: str) -> str:
    return f"<!doctype html><title>x</title><body style='background:{colour}'><h1>{colour}</h1>"


@pytest.fixture
def desk(shared, tmp_path) -> Desk:
    made = shared.new_site(tmp_path / "project")
    made.write("gitdeploy.toml", STATIC % "false")
    for name in ("index.html", "about.html", "old.html", "docs/index.html"):
        made.write(name, page("white"))
    made.write("_redirects", "/a /b 301\n")
    made.write("sitemap.xml", "<urlset><url><loc>https://any.example/docs/</loc></url></urlset>")
    made.commit("one")
    assert made.push("main").ok
    made.write("gitdeploy.toml", STATIC % "true")
    made.write("about.html", page("teal"))
    made.write("new.html", page("olive"))
    made.write("_redirects", "/a /c 301\n")
    made.git("rm", "-q", "old.html")
    made.commit("two")
    assert made.push("HEAD:feature").ok
    return made


def test_pages_rules_and_settings_are_said_by_the_command_and_by_a_dry_run(desk):
    found = desk.shared.facts("diff", desk.site, "feature")
    assert (found["added"], found["removed"]) == (["new.html"], ["old.html"])
    assert found["pages"] == {"added": ["/new.html"], "changed": ["/about.html"], "removed": ["/old.html"]}
    assert found["rules"] == {"_redirects": {"added": ["/a /c 301"], "removed": ["/a /b 301"]}}
    assert found["settings"] == ["static.spa was false and is true"]
    dry = desk.push("-o", "dry-run", "HEAD:main")
    assert not dry.ok
    for said in (
        "pages changed: /about.html",
        "_redirects: + /a /c 301, - /a /b 301",
        "static.spa was false",
    ):
        assert said in dry.out
    assert desk.page(path="/about.html").text == page("white")


def test_pictures_show_both_sides_of_every_page_that_changed(desk, tmp_path):
    found = desk.shared.facts("diff", desk.site, "feature", "--pictures", str(tmp_path / "book"))["pictures"]
    assert {one["page"]: one["change"] for one in found["pages"]} == {
        "/about.html": "changed", "/new.html": "added", "/old.html": "removed", "/": "same", "/docs/": "same",
    }  # fmt: skip
    numbers = {one["page"]: number for number, one in enumerate(found["pages"])}
    png = {one.name: one.read_bytes() for one in (tmp_path / "book").glob("*.png")}
    assert len(png) == 8 and all(one.startswith(b"\x89PNG") for one in png.values())
    about, front = numbers["/about.html"], numbers["/"]
    assert png[f"{about}-live.png"] != png[f"{about}-candidate.png"]
    assert png[f"{about}-live.png"] == png[f"{front}-live.png"] == png[f"{front}-candidate.png"]
    book = (tmp_path / "book/index.html").read_text()
    assert f'src="{about}-candidate.png"' in book and "no such page" in book
    # They are kept for as long as the build is.
    desk.shared.cli("gc")
    again = desk.shared.facts("diff", desk.site, "feature")
    kept = desk.facts(f"pictures/{again['build']}")
    assert kept["id"] == found["id"]
