"""The errors that mean: the user's input is at fault, and here is how to mend it."""


class InputError(ValueError):
    """Input that cannot be used: the message says what was seen and what was wanted.

    The command lines print it as one line and exit with status 2.
    """


class FormatError(InputError):
    """A file that is not what it should be: foreign, cut short, altered, or of another version."""
