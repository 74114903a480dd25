"""The sample, the schema and the manual are one text."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from gitdeploy.domain.setting_text import sample, tables
from gitdeploy.domain.settings import Settings, parse

ROOT = Path(__file__).parents[2]
SAMPLE = (ROOT / "templates/gitdeploy.toml").read_text()
MANUAL = (ROOT / "docs/configuration.md").read_text()


def test_the_sample_is_what_the_schema_says() -> None:
    assert sample() == SAMPLE


def test_the_manual_holds_the_schemas_tables() -> None:
    assert tables() in MANUAL


def test_the_sample_as_it_is_and_with_every_default_uncommented_is_the_defaults() -> None:
    assert parse(SAMPLE) == Settings()
    assert parse(re.sub(r"^#(?=[a-z_]+ = )", "", SAMPLE, flags=re.MULTILINE)) == Settings()


def test_every_key_is_in_the_sample() -> None:
    default = Settings()
    for section in fields(Settings):
        assert f"[{section.name}]" in SAMPLE
        if section.name in ("processes", "environments", "cron"):
            continue
        part = SAMPLE.partition(f"\n[{section.name}]\n")[2].partition("\n\n")[0]
        for one in fields(getattr(default, section.name)):
            assert re.search(
                rf"^#{one.name} = |^# Example: (\[{section.name}\.{one.name}\]|{one.name} = )",
                part,
                re.MULTILINE,
            ), one


def test_the_examples_of_the_sample_are_legal() -> None:
    text = re.sub(r"^#   ", "", SAMPLE, flags=re.MULTILINE)
    text = re.sub(r"^# Example: (\[content\.\w+\]|never = .*)$", r"\1", text, flags=re.MULTILINE)
    read = parse(text)
    assert set(read.processes) == {"web", "worker", "release", "console"}
    assert read.environments["staging"].branch == "staging"
    assert (
        read.content.groups
        and read.content.mask
        and read.content.replace
        and read.content.never
        and read.cron
    )
