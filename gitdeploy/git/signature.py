"""Who signed something with an SSH key, as git does it with `gpg.format = ssh` (ssh-keygen(1), -Y verify)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from gitdeploy import process
from gitdeploy.process import Command


def signer(payload: bytes, signature: bytes, keys: Iterable[tuple[str, str, str]]) -> str | None:
    """The name that goes with the key that signed `payload`; None when that is none of `keys` (name, kind, base64), or
    the signature does not hold. Raises Failed where ssh-keygen is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="gitdeploy-") as folder:
        allowed, signed = Path(folder, "allowed"), Path(folder, "signature")
        names = {}
        lines = []
        for number, (name, kind, body) in enumerate(keys):
            names[f"key{number}"] = name
            lines.append(f'key{number} namespaces="git" {kind} {body}\n')
        allowed.write_text("".join(lines))
        signed.write_bytes(signature)
        common = ("-f", str(allowed), "-s", str(signed))
        found = process.run(Command(("ssh-keygen", "-Y", "find-principals", *common)))
        principal = found.text.split("\n")[0]
        if found.code != 0 or principal not in names:
            return None
        verify = Command(("ssh-keygen", "-Y", "verify", "-n", "git", "-I", principal, *common))
        return names[principal] if process.run(verify, stdin=payload).code == 0 else None
