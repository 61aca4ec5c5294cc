"""The error family: every message names the file, the field and the remedy.

An `InputError` ends a command with one line. A `Rejected` ends one photograph or sample only: the caller turns it
into a row in `rejects/`, and the run goes on.
"""


def first_line(error: BaseException) -> str:
    """What a library's error says, as far as it fits into a message of ours."""
    return (str(error) or type(error).__name__).splitlines()[0]


class RssnError(Exception):
    """Base of every error that this project raises on purpose."""


class InputError(RssnError):
    """Something that the user gave (a path, an option, a recipe) cannot be used."""


class DamagedError(InputError):
    """A file that this package wrote is not as it was written; the message names it and the remedy."""


class DependencyError(RssnError):
    """An optional package is missing; the message says which extra installs it."""


class RemoteError(RssnError, OSError):
    """A bucket did not do what it was asked, as often as it was tried; the message names the URL and the remedy."""


class Rejected(RssnError):
    """One photograph or sample is refused; becomes a row in `rejects/`.

    Args:
        stage: Where it happened, one word: `read`, `foreground`, `denoise`, `compose`, ...
        reason: A stable snake_case name that people filter by, for instance `truncated`.
        message: What was found and what was expected, in one sentence.
    """

    def __init__(self, stage: str, reason: str, message: str) -> None:
        super().__init__(stage, reason, message)
        self.stage = stage
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.stage}: {self.reason}: {self.message}"
