from __future__ import annotations

from dataclasses import fields, replace

import pytest

from gitdeploy.domain.recipe import Recipe, build_key, shell

RECIPE = Recipe("command", "because", (shell("make"),), "dist", env=("API_URL",))
DIFFERENT = {
    "kind": "hugo",
    "commands": (shell("make all"),),
    "output": "out",
    "root": "site",
    "env": ("OTHER",),
    "cache": ("node_modules",),
    "network": False,
    "hide": True,
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_can_change_the_files_changes_the_identity(name: str) -> None:
    assert replace(RECIPE, **{name: DIFFERENT[name]}).digest != RECIPE.digest


def test_reason_and_limits_are_no_part_of_the_identity() -> None:
    same = replace(RECIPE, reason="other", timeout=1, memory=1)
    assert same.digest == RECIPE.digest
    assert {one.name for one in fields(Recipe)} == {*DIFFERENT, "reason", "timeout", "memory"}


def test_the_identity_is_stable() -> None:
    """A changed digest would rebuild everything that was ever built: change it knowingly."""
    assert RECIPE.digest == "5dae0580742ee0563be437158625f89275bc03069ce127e0d0f3afcd09070930"


def test_a_build_key_holds_tree_recipe_builder_and_declared_variables() -> None:
    key = build_key("a" * 40, RECIPE, "gitdeploy/1 bubblewrap", {"API_URL": "x"})
    assert key == build_key("a" * 40, RECIPE, "gitdeploy/1 bubblewrap", {"API_URL": "x", "UNDECLARED": "y"})
    others = [
        build_key("b" * 40, RECIPE, "gitdeploy/1 bubblewrap", {"API_URL": "x"}),
        build_key("a" * 40, replace(RECIPE, output="o"), "gitdeploy/1 bubblewrap", {"API_URL": "x"}),
        build_key("a" * 40, RECIPE, "gitdeploy/2 bubblewrap", {"API_URL": "x"}),
        build_key("a" * 40, RECIPE, "gitdeploy/1 bubblewrap", {"API_URL": "z"}),
        build_key("a" * 40, RECIPE, "gitdeploy/1 bubblewrap"),
    ]
    assert len({key, *others}) == 6


@pytest.mark.parametrize(
    "path", [".git", ".env", "a/.secret/b", ".well-known/.x", "gitdeploy.toml", "Procfile"]
)
def test_a_site_published_from_git_hides(path: str) -> None:
    assert replace(RECIPE, hide=True).hides(path)
    assert not RECIPE.hides(path)


@pytest.mark.parametrize(
    "path", ["index.html", ".well-known/security.txt", "docs/Procfile", "a.b", "_headers"]
)
def test_a_site_published_from_git_shows(path: str) -> None:
    assert not replace(RECIPE, hide=True).hides(path)
