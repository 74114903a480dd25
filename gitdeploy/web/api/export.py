from __future__ import annotations

from gitdeploy.domain.names import PRODUCTION
from gitdeploy.service import export
from gitdeploy.service.export import Exported
from gitdeploy.web.api.asking import Ctx, ThisSite, Who
from gitdeploy.web.api.route import noun

router = noun("export")


@router.get("/sites/{site}/export/kubernetes")
def kubernetes(ctx: Ctx, who: Who, site: ThisSite, env: str = PRODUCTION, image: str = "") -> Exported:
    """What is live as manifests of Kubernetes; `secrets` are named and never told."""
    return export.to_kubernetes(ctx, who, site, env, image)
