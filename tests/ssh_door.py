"""A real sshd on this machine."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from support import eventually


class SshDoor:
    """Lets in whom the file `known` names, who may do what it says there and nothing else."""

    def __init__(self, folder: Path, known: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.key("host")
        Path("/run/sshd").mkdir(exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {known}\nStrictModes no\nAcceptEnv GIT_PROTOCOL\n"
            "PasswordAuthentication no\nPermitRootLogin forced-commands-only\n"
        )
        self.log = folder / "sshd.log"
        self.open()

    def open(self) -> None:
        self._process = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-f", str(self.folder / "sshd_config"), "-E", str(self.log)]
        )
        eventually(self._answers, why="sshd does not answer")

    def close(self) -> None:
        """Nobody is let in any more; who is in stays."""
        self._process.terminate()
        self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def key(self, name: str) -> None:
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(self.folder / name)]
        subprocess.run(words, check=True)

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
