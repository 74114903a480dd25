"""`/metrics`, for Prometheus: a token that may see every site, or the unix socket."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

from gitdeploy.service.metrics import TYPE, Metrics
from gitdeploy.web.api.asking import Who
from gitdeploy.web.route import unlisted

router = unlisted()


@router.get("/metrics")
def read(who: Who, request: Request) -> Response:
    metrics: Metrics = request.app.state.metrics
    return Response(metrics.text(who), media_type=TYPE)
