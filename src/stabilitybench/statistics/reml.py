"""Restricted maximum likelihood for crossed random effects, through statsmodels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stabilitybench.statistics.results import Floats


def fit_reml(values: Floats, places: Sequence[npt.NDArray[np.intp]]) -> tuple[list[float], float, str]:
    """Fit scores = mean + one crossed random effect per factor or interaction + residual, by REML.

    Parameters
    ----------
    values : numpy.ndarray, shape (n,)
        Scores, not all equal.
    places : sequence of numpy.ndarray of int, each of shape (n,)
        For each effect the level number of each run, from 0.

    Returns
    -------
    variances : list of float
        The variance of each effect, in squared units of the scores.
    residual : float
        The residual variance.
    note : str
        What went wrong in the fit; empty if nothing did.
    """
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

    designs = [(place[:, None] == np.arange(place.max() + 1)).astype(np.float64) for place in places]
    # statsmodels sorts effects by name: numbers keep ours
    names = [f"{k:03d}" for k in range(len(designs))]
    levels = [[[str(c) for c in range(z.shape[1])]] for z in designs]
    scale = float(np.std(values, ddof=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a variance of 0 warns; whether the fit converged is asked below
        model = MixedLM(
            (values - values.mean()) / scale,
            np.ones((len(values), 1)),
            groups=np.zeros(len(values)),
            exog_vc=VCSpec(names, levels, [[z] for z in designs]),
        )
        fit = model.fit(reml=True, method=["bfgs", "powell"])
    # a millionth of the variance of the scores is the limit 0, as near as the search comes to it
    variances = [float(v) * scale**2 if v > 1e-6 else 0.0 for v in fit.vcomp]
    note = "" if fit.converged else "the fit did not converge; read the numbers with care"
    return variances, float(fit.scale) * scale**2, note
