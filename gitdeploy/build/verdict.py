"""What a command's outcome means to the person who pushed: one sentence and the next step."""

from __future__ import annotations

from gitdeploy.build.run import Outcome
from gitdeploy.domain.recipe import Argv, Recipe
from gitdeploy.domain.settings import FILE
from gitdeploy.domain.units import print_duration, print_size
from gitdeploy.errors import Failed

_NOT_STARTED, _NOT_FOUND = 125, 127
_FILE_TOO_LARGE = (128 + 25, -25)  # SIGXFSZ, seen by a shell or by us


class Canceled(Failed):
    """The build was ended on request: by a person, or by a newer push."""


def of(
    outcome: Outcome, recipe: Recipe, argv: Argv, *, most_disk: int, most_processes: int = 0
) -> Failed | None:
    """None when it went well. `most_processes` is the bound, if the build ran into it."""
    if not outcome.clean:
        return Failed(
            "A process of the build could not be killed, so nothing it wrote is used.",
            "Run: gitdeploy doctor",
        )
    reason = "disk" if outcome.reason == "exit" and outcome.code in _FILE_TOO_LARGE else outcome.reason
    match reason:
        case "canceled":
            return Canceled("The build was canceled.")
        case "timeout":
            time = print_duration(recipe.timeout)
            return Failed(f"The build took longer than {time}.", f"Raise [build] timeout in {FILE}.")
        case "memory":
            memory = print_size(recipe.memory)
            return Failed(f"The build used more than {memory} of memory.", f"Raise [build] memory in {FILE}.")
        case "disk":
            disk = print_size(most_disk)
            return Failed(f"The build wrote more than {disk}.", "Write less, or remove what is not needed.")
        case "space":
            return Failed("The disk of the server is nearly full.", "Free space on the server: gitdeploy gc")
    return _exited(outcome.code, argv, most_processes)


def shown(argv: Argv) -> str:
    """A command as its writer knows it, on one line."""
    line = argv[2].strip() if argv[:2] == ("sh", "-c") else " ".join(argv)
    first = line.partition("\n")[0][:100]
    return first if first == line else f"{first} …"


def _exited(code: int, argv: Argv, most_processes: int) -> Failed | None:
    if code == 0:
        return None
    if code == _NOT_STARTED:
        return Failed("The build could not be started.", "Run: gitdeploy doctor")
    if code == _NOT_FOUND and argv[0] != "sh":
        return Failed(
            f"{argv[0]} is not installed on the server.", f"Install {argv[0]} there and push again."
        )
    hint = f"It reached the limit of {most_processes} processes." if most_processes else "Its log says why."
    return Failed(f"The build failed: {shown(argv)} ended with exit code {code}.", hint)
