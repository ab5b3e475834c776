"""The two ways in which stabilitybench stops: the user can fix it, or the machine must."""

import re


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


def shown(value: object, width: int = 200) -> str:
    """Write `value` as a study file would, shortened.

    >>> shown(True), shown("x"), shown({"layers": 1}), shown(float("nan"))
    ('true', '"x"', '{ layers = 1 }', 'nan')
    """
    if isinstance(value, dict):
        text = "{ " + ", ".join(f"{key} = {shown(item)}" for key, item in value.items()) + " }" if value else "{}"
    elif isinstance(value, (list, tuple)):
        text = "[" + ", ".join(shown(item) for item in value) + "]"
    elif isinstance(value, bool):
        text = str(value).lower()
    else:
        text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= width else text[: width - 3] + "..."


def requirement(message: str) -> str:
    """Put what pydantic says of a value into this project's words.

    >>> requirement("Input should be a valid integer"), requirement("Input should be greater than or equal to 1")
    ('must be a whole number', 'must be at least 1')
    """
    message = re.sub(r"^.*? should (be|have)", r"must \1", message, count=1)
    for theirs, ours in _WORDS.items():
        message = message.replace(theirs, ours)
    return re.sub(r"( after validation)?, not \d+$", "", message)


_WORDS = {
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a finite number": "a finite number",
    "a valid string": "a text",
    "a valid boolean": "true or false",
    "a valid list": "a list",
    "a valid tuple": "a list",
    "a valid array": "a list",
    "an object": "a table",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "greater than": "above",
    "less than": "below",
}
