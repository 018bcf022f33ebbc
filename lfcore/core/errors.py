"""The ways in which lfcore refuses to go on. Each message is one sentence: the cause, then the cure."""


class InputError(ValueError):
    """A file, a name or a number that the user gave can't be used."""


class Damaged(InputError):
    """A file that a stage wrote is not what it wrote. The message begins with its path and "is"."""


class Diverged(FloatingPointError):
    """Training or unlearning left the finite numbers, so there is no model to return."""
