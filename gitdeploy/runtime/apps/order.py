"""What a keeper is told when it is started, over its stdin: it holds secrets, and is written down nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gitdeploy.domain.app import AppSpec


@dataclass(frozen=True)
class Order:
    """What a keeper is told. `home`, `layout` and `logs` are absolute. `is_unit`: it is a unit of systemd by itself."""

    slot: str
    home: str
    layout: str
    logs: str
    spec: AppSpec
    is_unit: bool

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "spec": self.spec.as_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Order:
        return cls(**{**data, "spec": AppSpec.from_json(data["spec"])})
