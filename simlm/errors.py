"""How work ends that cannot be done: by a user's mistake, or by a stage that failed."""


class UserError(Exception):
    """A mistake that the user can mend: one line that says what is wrong, where, and how to mend it.

    Takes exactly one string, so that it survives the way between processes. A command prints the line
    without a traceback and leaves with exit status 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)


class StageFailed(Exception):
    """A stage's process ended with an error that is no user's mistake; the text says where its log lies."""
