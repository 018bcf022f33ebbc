"""The two ways in which lfcore refuses to go on. Each message is one sentence: the cause, then the cure."""


class InputError(ValueError):
    """A file, a name or a number that the user gave can't be used."""


class Diverged(FloatingPointError):
    """Training or unlearning left the finite numbers, so there is no model to return."""
