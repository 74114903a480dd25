"""Do the builders answer? Silent where there are none."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from gitdeploy.domain.builder import Builder
from gitdeploy.errors import GitdeployError
from gitdeploy.service import builder
from gitdeploy.service.context import Context
from gitdeploy.service.finding import Finding


def builders(ctx: Context) -> Iterator[Finding]:
    rows = ctx.ledger.builders.where(order="name")
    if not rows:
        return

    def tried(row: Builder) -> GitdeployError | None:
        try:
            builder.check(ctx, row, patience=5)
        except GitdeployError as error:
            ctx.crew.lost(row.name, error.message)
            return error
        ctx.crew.found(row.name)
        return None

    with ThreadPoolExecutor(len(rows)) as pool:
        wrong = {row.name: error for row, error in zip(rows, pool.map(tried, rows), strict=True) if error}
    for name, error in wrong.items():
        hint = error.hint or f"Try: gitdeploy builder remove {name}, then add it again."
        yield Finding("builders", "problem", f"The builder {name}: {error.message}", hint)
    if not wrong:
        yield Finding(
            "builders", "ok", f"all {len(rows)} builders answer" if len(rows) > 1 else "the builder answers"
        )
