"""Which runs of two arms make pairs: a rule fixed before any score is seen.

Runs of equal seeds share what the seeds decide, so they are compared in pairs, with methods that hold whatever the
correlation is. Where too few seeds are shared, pairs would leave out runs, and the arms are taken as independent.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Literal

import numpy as np
import numpy.typing as npt

from stabilitybench.statistics.crossed_contrast import FEWEST_VALUES

Key = tuple[Hashable, ...]
Kind = Literal["paired", "crossed", "independent"]

#: The share of the runs of either arm that must have a partner in the other.
SHARED = 0.8


@dataclass(frozen=True)
class Pairing:
    """How the runs of an arm stand against those of the baseline.

    Attributes
    ----------
    kind : {"paired", "crossed", "independent"}
        Pairs of equal seeds; the same where seed streams are crossed; or no pairs.
    pairs : tuple of (int, int)
        Places of the runs of each pair in the arm and in the baseline; empty for independent arms.
    dropped : int
        Runs of either arm that no pair holds; 0 for independent arms.
    streams : tuple of (str, tuple)
        Each crossed seed stream with its value in every pair; empty but for crossed designs.
    why : str
        Why the arms are independent; empty otherwise.
    """

    kind: Kind
    pairs: tuple[tuple[int, int], ...]
    dropped: int
    streams: tuple[tuple[str, Key], ...]
    why: str

    @property
    def reason(self) -> str:
        """What is compared with what, as a part of a sentence."""
        if self.kind == "independent":
            return f"independent runs ({self.why})"
        n = len(self.pairs)
        said = f"{n} {'pair' if n == 1 else 'pairs'} of equal seeds"
        if self.dropped:
            said += f", {self.dropped} {'run' if self.dropped == 1 else 'runs'} without a partner left out"
        if self.streams:
            said += f", {' and '.join(name for name, _ in self.streams)} crossed"
            few = [name for name, values in self.streams if len(set(values)) < FEWEST_VALUES]
            said += f": holds for these values of {' and '.join(few)}" if few else ""
        return said

    def finished(self, arm: npt.NDArray[np.bool_], baseline: npt.NDArray[np.bool_]) -> Pairing:
        """Return the pairing of the runs that are there; the partner of a missing run counts as dropped.

        Parameters
        ----------
        arm, baseline : numpy.ndarray of bool, shape (n,) and (m,)
            Which of the runs are there; the places of the result are those among them.

        Examples
        --------
        >>> made = pairing([(0,), (1,)], [(1,), (0,)])
        >>> made.finished(np.array([True, False]), np.array([True, True])).reason
        '1 pair of equal seeds, 1 run without a partner left out'
        """
        if self.kind == "independent":
            return self
        places = [np.cumsum(there) - 1 for there in (arm, baseline)]
        there = [bool(arm[i] and baseline[j]) for i, j in self.pairs]
        kept = tuple((int(places[0][i]), int(places[1][j])) for i, j in compress(self.pairs, there))
        streams = tuple((name, tuple(compress(values, there))) for name, values in self.streams)
        return replace(self, pairs=kept, dropped=int(arm.sum() + baseline.sum()) - 2 * len(kept), streams=streams)


def independent(why: str) -> Pairing:
    """Return the pairing of arms whose runs make no pairs.

    Parameters
    ----------
    why : str
        The reason, as it stands in parentheses.

    Examples
    --------
    >>> independent("unpaired, as asked for").reason
    'independent runs (unpaired, as asked for)'
    """
    return Pairing("independent", (), 0, (), why)


def pairing(arm: Sequence[Key | None], baseline: Sequence[Key | None], names: Sequence[str] = ()) -> Pairing:
    """Pair the runs of two arms by their keys.

    Runs of equal keys pair where at least 80 % of the runs of the smaller and of the larger arm have a partner; else
    the arms are independent. Where two or more parts of the keys vary apart and come back, the design is crossed.

    Parameters
    ----------
    arm, baseline : sequence of tuple or None
        The key of each run planned, such as its seeds and its number of training rows; None where it is not known. All
        keys have as many parts.
    names : sequence of str, optional
        What each part of a key is called.

    Returns
    -------
    Pairing
        Pairs in the order of the arm's runs.

    Examples
    --------
    >>> seeds = [(k,) for k in range(20)]
    >>> pairing(seeds, seeds[::-1]).reason
    '20 pairs of equal seeds'
    >>> pairing(seeds, seeds[2:] + [(77,)]).reason
    '18 pairs of equal seeds, 3 runs without a partner left out'
    >>> pairing(seeds, [(k + 9,) for k in range(20)]).reason
    'independent runs (11 of 20 seeds shared)'
    """
    if not arm or not baseline:
        return independent("an arm has no runs")
    places: dict[Key, int] = {}
    for place, key in enumerate(baseline):
        if key is not None:
            places[key] = place
    known = [key for key in arm if key is not None]
    lacking = len(arm) - len(known) + sum(key is None for key in baseline)
    if lacking:
        none = not known or all(key is None for key in baseline)
        return independent("no seeds known" if none else f"{lacking} of {len(arm) + len(baseline)} seeds missing")
    if len(places) < len(baseline) or len(set(known)) < len(known):
        return independent("an arm has a seed twice")
    pairs = tuple((i, places[key]) for i, key in enumerate(known) if key in places)
    if len(pairs) < SHARED * max(len(arm), len(baseline)):
        sizes = f"{len(arm)}" if len(arm) == len(baseline) else f"{len(arm)} and {len(baseline)}"
        return independent(f"{len(pairs) or 'none'} of {sizes} seeds shared")
    shared = [known[i] for i, _ in pairs]
    called = names or [f"part {part + 1}" for part in range(len(shared[0]))]
    streams = tuple((called[part], tuple(key[part] for key in shared)) for part in crossed_parts(shared))
    dropped = len(arm) + len(baseline) - 2 * len(pairs)
    return Pairing("crossed" if streams else "paired", pairs, dropped, streams, "")


def crossed_parts(keys: Sequence[Key]) -> tuple[int, ...]:
    """Return which parts of the keys vary apart from each other and come back.

    Parameters
    ----------
    keys : sequence of tuple
        One per run.

    Returns
    -------
    tuple of int
        Empty unless there are two or more; of parts that vary together the first counts.

    Examples
    --------
    >>> crossed_parts([(0, 0, 7), (0, 1, 7), (1, 0, 7), (1, 1, 7)]), crossed_parts([(0, 0), (1, 1)])
    ((0, 1), ())
    """
    columns = list(zip(*keys, strict=True))
    apart: list[int] = []
    for part, column in enumerate(columns):
        values = len(set(column))
        if values > 1 and not any(_together(column, columns[other]) for other in apart):
            apart.append(part)
    repeated = all(len(set(columns[part])) < len(keys) for part in apart)
    return tuple(apart) if len(apart) > 1 and repeated else ()


def _together(first: Key, second: Key) -> bool:
    """Tell whether two parts of keys vary together: each value of one goes with one value of the other."""
    return len(set(zip(first, second, strict=True))) == len(set(first)) == len(set(second))
