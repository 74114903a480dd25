"""What a request that carried an `Idempotency-Key` was answered, so that the same request again acts no second time."""

from __future__ import annotations

from dataclasses import dataclass

KEY_MAX = 255
DAYS = 7
"""How long an answer is kept."""


@dataclass(frozen=True)
class Answer:
    """A row of the ledger. `id` is made of who asked and their key, `request` the SHA-256 of method, address and body.
    States: `running`, `done`, and `lost` when the server was stopped meanwhile. `status` and `body` are the answer's.
    """

    id: str
    request: str
    created_at: str
    state: str = "running"
    status: int = 0
    body: bytes = b""


def is_final(status: int) -> bool:
    """Whether an answer stands for good. After a refusal nothing has changed, and the same request may fare better."""
    return status not in (401, 403, 404, 405, 409, 413, 415, 422, 429)
