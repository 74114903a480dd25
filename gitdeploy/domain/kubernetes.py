"""What is live, as manifests of Kubernetes: for those who run that. Pure values; nothing is applied anywhere."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gitdeploy.domain.app import WEB, AppSpec, Check, Program

PORT = 8080
"""Where an image answers visitors."""
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Export:
    """`spec` is None for a site of files. `variables` are those whose values may be shown, `secrets` the names of the
    others; `cron` is shell lines by schedule (UTC); `hosts` the names visitors use.
    """

    name: str
    release: str
    commit: str
    artifact: str
    image: str
    hosts: tuple[str, ...]
    spec: AppSpec | None
    check: Check
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    cron: Mapping[str, str] = field(default_factory=dict)


def manifests(export: Export) -> list[Manifest]:
    """In the order in which they are applied. Secrets are named and never part of it."""
    found: list[Manifest] = []
    spec = export.spec
    if export.variables:
        found.append(_object(export, "v1", "ConfigMap", "env", data=dict(export.variables)))
    if spec is None or spec.has_web:
        program = spec.programs[WEB] if spec else Program("")
        found += [_deployment(export, WEB, program), _service(export), _ingress(export), _budget(export)]
    for name, program in (spec.programs if spec else {}).items():
        if name != WEB:
            found.append(_deployment(export, name, program))
    for number, (when, line) in enumerate(export.cron.items(), 1):
        found.append(_cron_job(export, number, when, line))
    return found


def notes(export: Export) -> list[str]:
    """What the manifests do not say, or cannot."""
    return list(_notes(export))


def secret_name(export: Export) -> str:
    return f"{export.name}-secrets"


# Private


def _notes(export: Export) -> Iterator[str]:
    if export.secrets:
        given = " ".join(f"--from-literal={name}=…" for name in export.secrets)
        yield f"Make the secrets first: kubectl create secret generic {secret_name(export)} {given}"
    if export.spec and export.spec.release:
        yield f"Before a new release, once: {export.spec.release}"
    if "@" not in export.image:
        yield "The image is not named by its digest: what its tag means may change."
    check = export.check
    if export.spec and (check.contains or not set(check.expect) <= set(range(200, 400))):
        yield "The probe takes any answer from 200 to 399; the health check here asks for more."
    if export.spec and not export.spec.has_web:
        yield "The app has no web: it gets no Service and no Ingress."


def _object(export: Export, version: str, kind: str, part: str = "", **body: Any) -> Manifest:
    labels = {**_selector(export, part if kind in ("Deployment", "CronJob") else ""),
              "app.kubernetes.io/version": export.release, "app.kubernetes.io/managed-by": "gitdeploy"}  # fmt: skip
    name = f"{export.name}-{part}" if part and part != WEB else export.name
    told = {"gitdeploy/commit": export.commit, "gitdeploy/artifact": export.artifact}
    metadata = {"name": name, "labels": labels, "annotations": told}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **body}


def _selector(export: Export, part: str) -> dict[str, str]:
    found = {"app.kubernetes.io/name": export.name}
    return {**found, "app.kubernetes.io/component": part} if part else found


def _deployment(export: Export, name: str, program: Program) -> Manifest:
    """A new release is started and ready before an old one is stopped."""
    container = _container(export, name, program.command, program)
    if name == WEB:
        container["ports"] = [{"name": "http", "containerPort": PORT}]
        container |= _probes(export)
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    pod = {"containers": [container], "terminationGracePeriodSeconds": program.stop_timeout}
    template = {"metadata": {"labels": _selector(export, name)}, "spec": pod}
    spec = {
        "replicas": program.count, "strategy": rolling, "selector": {"matchLabels": _selector(export, name)},
        "template": template,
    }  # fmt: skip
    return _object(export, "apps/v1", "Deployment", name, spec=spec)


def _container(export: Export, name: str, line: str, program: Program | None = None) -> Manifest:
    found: Manifest = {"name": name, "image": export.image}
    if line:
        found |= {"command": _shell(line), "workingDir": "/app"}
    if export.variables:
        found["envFrom"] = [{"configMapRef": {"name": f"{export.name}-env"}}]
    ours = {"GITDEPLOY_RELEASE": export.release} | ({"PORT": str(PORT)} if name == WEB else {})
    found["env"] = [{"name": key, "value": value} for key, value in ours.items()]
    for key in export.secrets:
        kept = {"secretKeyRef": {"name": secret_name(export), "key": key}}
        found["env"].append({"name": key, "valueFrom": kept})
    if program and program.memory:
        found["resources"] = {
            "requests": {"memory": str(program.memory)},
            "limits": {"memory": str(program.memory)},
        }
    found["securityContext"] = {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    return found


def _shell(line: str) -> list[str]:
    """Kubernetes makes `$` of `$$`, and a value of `$(NAME)`, before any shell sees the line."""
    return ["/bin/sh", "-c", re.sub(r"\$+(?=\()|\${2,}", lambda found: 2 * found[0], line)]


def _probes(export: Export) -> Manifest:
    """It has `timeout` seconds to become healthy at its start; later it gets no visitors while it is not."""
    check, action = export.check, _action(export)
    every = max(1, math.ceil(check.interval))
    tries = max(1, math.ceil(check.timeout / every))
    return {
        "startupProbe": {**action, "periodSeconds": every, "failureThreshold": tries, "timeoutSeconds": 5},
        "readinessProbe": {
            **action,
            "periodSeconds": max(every, 5),
            "failureThreshold": 2,
            "timeoutSeconds": 5,
        },
    }


def _action(export: Export) -> Manifest:
    check = export.check
    if export.spec is not None and check.command:
        return {"exec": {"command": _shell(check.command)}}
    if not check.path:
        return {"tcpSocket": {"port": PORT}}
    host = {"name": "Host", "value": export.hosts[0]}
    return {"httpGet": {"path": check.path, "port": PORT, "httpHeaders": [host]}}


def _service(export: Export) -> Manifest:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    return _object(export, "v1", "Service", spec={"selector": _selector(export, WEB), "ports": ports})


def _ingress(export: Export) -> Manifest:
    backend = {"service": {"name": export.name, "port": {"name": "http"}}}
    http = {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}
    rules = [{"host": host, "http": http} for host in export.hosts]
    return _object(export, "networking.k8s.io/v1", "Ingress", spec={"rules": rules})


def _budget(export: Export) -> Manifest:
    """A node that is emptied takes one copy at a time."""
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": _selector(export, WEB)}}
    return _object(export, "policy/v1", "PodDisruptionBudget", spec=spec)


def _cron_job(export: Export, number: int, when: str, line: str) -> Manifest:
    """As here: in UTC, and not while the one before still runs."""
    name = f"cron-{number}"
    pod = {"restartPolicy": "Never", "containers": [_container(export, name, line)]}
    template = {"metadata": {"labels": _selector(export, name)}, "spec": pod}
    job = {"spec": {"backoffLimit": 0, "template": template}}
    spec = {"schedule": when, "timeZone": "Etc/UTC", "concurrencyPolicy": "Forbid", "jobTemplate": job}
    return _object(export, "batch/v1", "CronJob", name, spec=spec)
