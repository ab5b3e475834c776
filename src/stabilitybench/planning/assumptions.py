"""What a plan takes the scores to be like: as asked for, as in a pilot, or as assumed, with words that say which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from stabilitybench.argument_checks import choice, number, whole
from stabilitybench.errors import Argument, UserError
from stabilitybench.planning.effects import percentage
from stabilitybench.planning.pilot import ENOUGH_SCORES, Pilot
from stabilitybench.power.simulated_studies import SHAPES, Conditions, Shape

#: Where nothing is known: no gain from pairs, and an SD and a loss through failing as small tasks show them.
ASSUMED = Conditions()
SHAPE_WORDS = {
    "normal": "normal",
    "t3": "heavy-tailed (Student's t, 3 df)",
    "contaminated": "contaminated (5 % with five times the SD)",
}


@dataclass(frozen=True)
class Assumed:
    """What the scores are taken to be like.

    Attributes
    ----------
    conditions : Conditions
        For the powers.
    words : str
        The same in a sentence, with where each number comes from.
    notes : tuple of str
        What a reader must know, one sentence each.
    """

    conditions: Conditions
    words: str
    notes: tuple[str, ...] = ()


def assumed(
    pilot: Pilot | None, baseline: str | None, *, scores: str | None, correlation: float | None, paired: bool,
    sd: float | None, rows: int | None, failures: tuple[float, float] | None,
) -> Assumed:  # fmt: skip
    """Return what the scores are taken to be like.

    Parameters
    ----------
    pilot : Pilot or None
        Runs done before.
    baseline : str or None
        The arm whose runs tell SD and failures; None takes the pilot's first.
    scores, correlation, paired, sd, rows
        As in `stabilitybench.planning.plan.plan`.
    failures : (float, float) or None
        Failure rates of arm and baseline; None takes the pilot's for both.

    Raises
    ------
    UserError
        For a value out of range, and for a pilot that lacks what is asked of it.
    """
    shape, shape_words, notes = _shape(scores, pilot)
    known = None if pilot is None else pilot.of_baseline(baseline)
    words = []
    if not paired:
        if correlation is not None:
            raise UserError(Argument("correlation", correlation), ": arms without shared seeds have none")
        words.append("independent arms")
    else:
        found = known.correlation if known else None
        if correlation is not None:
            number("correlation", correlation, "must lie between -1 and 1", lambda rho: -1 < rho < 1)
            rho, origin = correlation, ""
        elif found is not None:
            rho, origin = found, " (pilot)"
        else:
            rho, origin = 0.0, " (assumed)"
        correlation = rho
        words.append(f"pairs of equal seeds, correlation {rho:.2g}{origin}")
    if sd is not None:
        number("sd", sd, "must lie above 0 and below 100 points", lambda points: 0 < points < 100)
        width, origin = sd, ""
    elif known and known.sd:
        width, origin = known.sd, " (pilot)"
    else:
        width, origin = ASSUMED.sd, " (assumed)"
    words.append(f"SD {width:.2g} {'point' if width == 1 else 'points'}{origin}, {shape_words}")
    if rows is not None:
        whole("rows", rows, "must be at least 2", lambda count: count >= 2)
        words.append(f"accuracy on {rows} test rows ({100 / rows:.2g} points each)")
    drop = known.drop if known and known.drop else ASSUMED.drop
    if failures is None:
        rate = known.failure_rate if known and known.failure_rate else 0.0
        failures, origin = (rate, rate), " (pilot)"
    else:
        origin = ""
    if any(failures):
        rates = percentage(failures[0])
        rates += f" and {percentage(failures[1])}" if failures[0] != failures[1] else ""
        words.append(f"{rates} of runs fail{origin}, {drop:.3g} points lower")
    return Assumed(Conditions(correlation, shape, width, rows, failures, drop), "; ".join(words), notes)


def _shape(asked: str | None, pilot: Pilot | None) -> tuple[Shape, str, tuple[str, ...]]:
    """Return the shape of the scores: the pilot's where it holds enough, else normal."""
    if asked is not None:
        choice("scores", asked, (*SHAPES, "pilot"))
    if asked == "pilot" and pilot is None:
        raise UserError(Argument("scores", asked), ": needs ", Argument("pilot"), ", a results folder or a CSV file")
    if asked is not None and asked != "pilot":
        return cast("Shape", asked), SHAPE_WORDS[asked], ()
    if pilot is not None and len(pilot.scores) >= ENOUGH_SCORES:
        return tuple(pilot.scores.tolist()), f"the shape of the pilot's {len(pilot.scores)} scores", ()
    if asked == "pilot":
        raise UserError(
            Argument("scores", asked),
            f": {pilot.source if pilot else ''} has {0 if pilot is None else len(pilot.scores)} scores "
            f"to draw from, in groups of 3 or more that differ; needs {ENOUGH_SCORES}",
        )
    few = f"the pilot has fewer than {ENOUGH_SCORES} scores to draw from: scores are taken as normal"
    return "normal", SHAPE_WORDS["normal"], (few,) if pilot else ()
