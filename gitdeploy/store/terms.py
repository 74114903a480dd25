"""Who may act and who follows, in a place that all of them reach.

terms/<number>-<server>    {"host": …, "lease": seconds}: a claim. Each has a key of its own that its server alone
                           writes, and none is ever removed: nothing depends on conditional writes
followers/<server>         {"host": …, "applied": the shipment it has}
"""

from __future__ import annotations

import contextlib
import json

from gitdeploy.domain.term import Claim
from gitdeploy.errors import NotFound, NotProven
from gitdeploy.store.elsewhere import Elsewhere


class Terms:
    """Every method raises Failed when the place cannot be reached."""

    def __init__(self, place: Elsewhere) -> None:
        self.name = place.name
        self._place = place

    def claims(self) -> list[Claim]:
        """All of them, the greatest last; without their hosts and leases, see `read`. Raises NotProven."""
        return sorted(Claim.named(key.rpartition("/")[2]) for key in self._place.keys("terms"))

    def read(self, claim: Claim) -> Claim:
        """With its host and lease. Raises NotFound, NotProven."""
        try:
            said = json.loads(b"".join(self._place.get(f"terms/{claim.name}")))
            return Claim.named(claim.name, str(said["host"]), float(said["lease"]))
        except (ValueError, LookupError, TypeError) as error:
            raise NotProven(
                f"The claim {claim.name} in {self.name} cannot be read.", "Look at terms/ there."
            ) from error

    def write(self, claim: Claim) -> None:
        text = json.dumps({"host": claim.host, "lease": claim.lease})
        self._place.put_bytes(f"terms/{claim.name}", text.encode())

    def follows(self, holder: str, host: str, applied: str) -> None:
        self._place.put_bytes(f"followers/{holder}", json.dumps({"host": host, "applied": applied}).encode())

    def followers(self) -> dict[str, tuple[str, str]]:
        """By server its host and the shipment that it has."""
        found = {}
        for key in self._place.keys("followers"):
            # One that was given up meanwhile, or that nobody can read, keeps nothing from going on.
            with contextlib.suppress(NotFound, ValueError, LookupError, TypeError):
                said = json.loads(b"".join(self._place.get(key)))
                found[key.rpartition("/")[2]] = (str(said["host"]), str(said["applied"]))
        return found

    def forget(self, holder: str) -> None:
        """It follows no more."""
        self._place.remove([f"followers/{holder}"])
