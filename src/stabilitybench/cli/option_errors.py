"""Errors in the words of the command line: an argument of the library is told as the option that gave it."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

from stabilitybench.errors import Argument, UserError


class SpeakingGroup(TyperGroup):
    """Commands whose errors name their options.

    The words come from the commands themselves: an argument is told as the parameter of the same name.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command; raises UserError in its own words."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            if not isinstance(command, TyperCommand):
                raise
            raise UserError(in_options(error, command)) from None


def in_options(error: UserError, command: TyperCommand) -> str:
    """Return the sentence of an error with the options of a command in place of the arguments that they give.

    Parameters
    ----------
    error : UserError
        What the library said.
    command : typer.core.TyperCommand
        The command that was given; its parameters bear the names of the arguments.
    """
    options = {parameter.name: parameter.opts[0] for parameter in command.params}

    def words(argument: Argument) -> str:
        option = options.get(argument.name, "")
        if not option.startswith("-"):
            return str(argument)
        return option if argument.said in ("", "True") else f"{option} {argument.said}"

    return error.told(words)
