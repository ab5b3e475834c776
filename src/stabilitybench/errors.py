"""The two ways in which stabilitybench stops: the user can mend it, or the machine must."""


class UserError(Exception):
    """Bad input: one sentence that names the thing, the value and what is allowed (exit code 2)."""

    exit_code = 2


class EnvironmentFailure(Exception):
    """The machine failed (disk full, folder not writable): finished runs are kept (exit code 1)."""

    exit_code = 1


def suggest(unknown: str, known: list[str]) -> str:
    """Return ``'; did you mean "x"?'`` for the closest known name, or an empty string.

    >>> suggest("mixuot", ["mixout", "reinit"])
    '; did you mean "mixout"?'
    >>> suggest("zzz", ["mixout", "reinit"])
    ''
    """
    import difflib

    near = difflib.get_close_matches(unknown, known, n=1)
    return f'; did you mean "{near[0]}"?' if near else ""
