"""Named random streams.

Every random number of a run comes from one of five streams, each owned by the run and never by the process:
no global generator is read or set, and no stream's draws depend on what another stream consumed.
Stream ``k`` of study seed ``s`` is ``numpy.random.SeedSequence(ROOT, spawn_key=(k, s))``; draws for different
purposes inside one stream are separated by appending a checksum of their name to the spawn key.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, get_args

import numpy as np

from stabilitybench.argument_checks import choice, count, text
from stabilitybench.errors import UserError, plain, shown

Stream = Literal["init", "order", "dropout", "subset", "prepare"]
STREAMS: tuple[Stream, ...] = get_args(Stream)

#: Entropy shared by all studies; changing it would change every number ever recorded.
ROOT = 20_230_109
#: Seeds that choose settings start here, so that they never meet the seeds that report them.
TUNING_OFFSET = 10_000


@dataclass(frozen=True)
class Seeds:
    """The seed of each stream of one run.

    Attributes
    ----------
    init : int, default 0
        Seed of new weights: the head, re-initialised layers.
    order : int, default 0
        Seed of the order of the batches.
    dropout : int, default 0
        Seed of all training noise.
    subset : int, default 0
        Seed that chooses which examples are kept.
    prepare : int, default 0
        Seed of the stages before fine-tuning.

    Raises
    ------
    UserError
        For a seed that is no integer from 0.

    Examples
    --------
    >>> a, b = Seeds(init=1), Seeds(init=1, order=5)
    >>> bool((a.generator("init").random(3) == b.generator("init").random(3)).all())
    True
    """

    init: int = 0
    order: int = 0
    dropout: int = 0
    subset: int = 0
    prepare: int = 0

    def __post_init__(self) -> None:
        for stream, given in asdict(self).items():
            seed = plain(given)
            if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
                raise UserError(f"seeds.{stream} = {shown(seed)}: must be a whole number of at least 0")
            object.__setattr__(self, stream, seed)

    def sequence(self, stream: Stream, *names: str) -> np.random.SeedSequence:
        """Return the seed sequence of a stream, branched once per name.

        Parameters
        ----------
        stream : {"init", "order", "dropout", "subset", "prepare"}
            The stream.
        *names : str
            Purposes inside the stream, outermost first; the draws of different ones are independent.

        Returns
        -------
        numpy.random.SeedSequence
            The same for the same seed, stream and names, always.
        """
        if not isinstance(stream, str) or stream not in STREAMS:
            raise UserError(f"stream = {shown(stream)}: must be one of {', '.join(STREAMS)}")
        branch = (zlib.crc32(text("names", name).encode(errors="surrogatepass")) for name in names)
        return np.random.SeedSequence(ROOT, spawn_key=(STREAMS.index(stream), getattr(self, stream), *branch))

    def generator(self, stream: Stream, *names: str) -> np.random.Generator:
        """Return a fresh generator of a stream, branched once per name.

        Parameters
        ----------
        stream : {"init", "order", "dropout", "subset", "prepare"}
            The stream.
        *names : str
            Purposes inside the stream, as in `sequence`.

        Returns
        -------
        numpy.random.Generator
            A PCG64 generator at its start.
        """
        return np.random.Generator(np.random.PCG64(self.sequence(stream, *names)))

    def key(self, stream: Stream, *names: str) -> int:
        """Return an integer key of a stream, for counter-based noise.

        Parameters
        ----------
        stream : {"init", "order", "dropout", "subset", "prepare"}
            The stream.
        *names : str
            Purposes inside the stream, as in `sequence`.

        Returns
        -------
        int
            A key in [0, 2^31).
        """
        return int(self.sequence(stream, *names).generate_state(1)[0] >> 1)


def grid(design: int | dict[str, int], *, first: int = 0) -> tuple[Seeds, ...]:
    """Turn the ``seeds`` entry of a study file into seeds.

    Parameters
    ----------
    design : int or dict of str to int
        A number n gives n runs in which init, order, dropout and prepare vary together and subset stays fixed, as the
        literature does. A table such as ``{"init": 5, "order": 5}`` crosses its streams.
    first : int, default 0
        The first seed; the streams that a table leaves out stay at it (subset: at 0).

    Returns
    -------
    tuple of Seeds
        One entry per run, the last stream of a table varying fastest.

    Examples
    --------
    >>> grid(2)
    (Seeds(init=0, order=0, dropout=0, subset=0, prepare=0), Seeds(init=1, order=1, dropout=1, subset=0, prepare=1))
    >>> len(grid({"init": 5, "order": 5, "dropout": 2}))
    50
    """
    count("first", first, 0)
    if not isinstance(design, Mapping):
        together = range(first, first + count("design", design, 0))
        return tuple(Seeds(init=s, order=s, dropout=s, prepare=s) for s in together)
    held: dict[str, int] = {stream: 0 if stream == "subset" else first for stream in STREAMS}
    points = [held]
    for stream, runs in design.items():
        values = range(held[choice("design", stream, STREAMS)], held[stream] + count(f"design.{stream}", runs, 0))
        points = [{**point, stream: value} for point in points for value in values]
    return tuple(Seeds(**point) for point in points)
