"""A study in parts, for several machines."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stabilitybench.errors import Argument, UserError


@dataclass(frozen=True)
class Shard:
    """A part of a study's runs, split by run id, for machines that share a store.

    Attributes
    ----------
    index : int
        Which part, from 1.
    count : int
        Of how many.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read "3/16": the third of sixteen parts.

        Parameters
        ----------
        text : str
            Part and number of parts, such as "3/16".

        Raises
        ------
        UserError
            For anything else.

        Examples
        --------
        >>> Shard.parse("3/16")
        Shard(index=3, count=16)
        """
        written = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text) if isinstance(text, str) else None
        first, second = map(int, written.groups()) if written else (0, 0)
        if not 1 <= first <= second:
            raise UserError(Argument("shard", text), ": must look like 3/16, the first number between 1 and the second")
        return cls(first, second)

    def holds(self, run_id: str) -> bool:
        """Tell whether a run belongs to this part.

        Parameters
        ----------
        run_id : str
            Id of the run, hexadecimal.
        """
        return int(run_id, 16) % self.count == self.index - 1
