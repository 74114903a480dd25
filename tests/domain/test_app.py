"""What a release runs is said by its settings and its Procfile, and can be told to another process."""

from __future__ import annotations

import json

import pytest

from gitdeploy.domain import procfile, settings
from gitdeploy.domain.app import AppSpec, Check, Program
from gitdeploy.errors import Invalid


def spec(toml: str, proc: str = "", **environment: str) -> AppSpec:
    said = settings.parse(toml).with_procfile(procfile.parse(proc))
    return AppSpec.of(said.as_json()["processes"], environment)


def test_settings_win_over_the_procfile_name_by_name() -> None:
    made = spec(
        '[processes]\nweb = { command = "serve", count = 2, stop_timeout = "5s" }',
        "web: old\nworker: work\nrelease: migrate",
        A="1",
    )
    assert made.programs == {"web": Program("serve", 2, 5), "worker": Program("work", 1, 30)}
    assert (made.release, made.environment, made.has_web) == ("migrate", {"A": "1"}, True)


def test_release_is_no_program_that_stays() -> None:
    with pytest.raises(Invalid, match="no program that stays"):
        spec("", "release: migrate")
    assert spec("", "worker: x").release == "" and not spec("", "worker: x").has_web


def test_it_survives_being_told() -> None:
    made = AppSpec({"web": Program("x", 2, 3, 4)}, {"A": "ü\n"}, "migrate")
    assert AppSpec.from_json(json.loads(json.dumps(made.as_json()))) == made


def test_its_secrets_are_not_shown() -> None:
    assert "hunter2" not in repr(AppSpec({}, {"SECRET": "hunter2"}))


def test_a_check_comes_from_the_settings_as_they_were_signed() -> None:
    said = settings.parse('[health]\npath = "/up"\nexpect = [200, 204]\ntimeout = "5s"').as_json()["health"]
    assert Check.from_json(json.loads(json.dumps(said)), host="blog.example.org") == Check(
        "/up", (200, 204), "", "", 5, 1, 0, "blog.example.org"
    )
