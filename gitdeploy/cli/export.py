from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from gitdeploy.cli import screen
from gitdeploy.cli.asking import Settings, as_json, env, settings, site


@click.group()
def export() -> None:
    """Tell another system what is live, in its own words."""


@export.command()
@site
@env
@click.option(
    "--image", default="", metavar="IMAGE", help="The image that holds the release; best by its digest."
)
@as_json
@settings
def kubernetes(asked: Settings, site: str, env: str, image: str, as_json: bool) -> None:
    """Print what is live on SITE as manifests of Kubernetes: Deployments with probes from [health], Service, Ingress,
    CronJobs, PodDisruptionBudget. Secrets are named, their values are not told.

    \b
      gitdeploy export kubernetes blog --image registry.example.org/blog@sha256:… | kubectl apply -f -
    """
    found = asked.client.get(f"/sites/{site}/export/kubernetes", env=env, image=image)
    if as_json:
        screen.facts(found)
        return
    for one in found["notes"]:
        click.echo(f"# {one}")
    for one in found["manifests"]:
        click.echo("---")
        for line in _yaml(one):
            click.echo(line)


def _yaml(value: Any, depth: int = 0) -> Iterator[str]:
    """Objects and lists in lines of their own; every text as JSON writes it, which is YAML too."""
    pad = "  " * depth
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _entry(f"{pad}{json.dumps(key) if '/' in key else key}:", one, depth + 1)
    else:
        for one in value:
            lines = list(_yaml(one, depth + 1)) if isinstance(one, dict | list) and one else [json.dumps(one)]
            yield f"{pad}- {lines[0].strip()}"
            yield from lines[1:]


def _entry(begins: str, value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, dict | list) and value:
        yield begins
        yield from _yaml(value, depth)
    else:
        yield f"{begins} {json.dumps(value, ensure_ascii=False)}"


COMMANDS = (export,)
