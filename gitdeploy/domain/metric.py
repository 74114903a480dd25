"""Numbers in the text format of Prometheus (prometheus.io/docs/instrumenting/exposition_formats)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Metric:
    """`kind` is gauge, counter or histogram; `values` are by labels, such as `(("state", "built"),)`."""

    name: str
    kind: str
    help: str
    values: Mapping[tuple[tuple[str, str], ...], float]


@dataclass
class Histogram:
    """How many took how long: `bounds` are seconds, `counts` one more, for what took longer."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, seconds: float) -> None:
        self.counts[sum(seconds > one for one in self.bounds)] += 1
        self.seconds += seconds


def one(name: str, kind: str, help: str, value: float) -> Metric:
    return Metric(name, kind, help, {(): value})


def by(name: str, kind: str, help: str, label: str, values: Mapping[str, float]) -> Metric:
    return Metric(name, kind, help, {((label, key),): value for key, value in values.items()})


def text(metrics: Iterable[Metric]) -> str:
    lines = []
    for metric in metrics:
        lines += [f"# HELP {metric.name} {_escaped(metric.help)}", f"# TYPE {metric.name} {metric.kind}"]
        lines += [f"{metric.name}{_labels(labels)} {value:.12g}" for labels, value in metric.values.items()]
    return "\n".join(lines) + "\n"


def histogram(name: str, help: str, counted: Histogram) -> str:
    lines, total = [f"# HELP {name} {_escaped(help)}", f"# TYPE {name} histogram"], 0
    for bound, count in zip((*counted.bounds, None), counted.counts, strict=True):
        total += count
        lines.append(f'{name}_bucket{{le="{"+Inf" if bound is None else f"{bound:g}"}"}} {total}')
    return "\n".join([*lines, f"{name}_sum {counted.seconds:.6f}", f"{name}_count {total}"]) + "\n"


def _labels(labels: tuple[tuple[str, str], ...]) -> str:
    said = ",".join(
        f'{name}="{_escaped(value).replace(chr(34), chr(92) + chr(34))}"' for name, value in labels
    )
    return f"{{{said}}}" if said else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
