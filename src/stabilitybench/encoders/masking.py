"""Which words a masked-language model has to fill in (Devlin et al. 2019)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: Where nothing is to be predicted.
IGNORED = -100


def hide_words(
    tokens: npt.NDArray[np.int64], words: npt.NDArray[np.bool_], mask_token: int, vocabulary: tuple[int, int],
    share: float, rng: np.random.Generator,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:  # fmt: skip
    """Choose a share of the words: 80 % hidden by the mask token, 10 % replaced by a random one, 10 % left as they are.

    Parameters
    ----------
    tokens : numpy.ndarray, shape (rows, length)
        Token ids.
    words : numpy.ndarray of bool, shape (rows, length)
        What may be chosen.
    mask_token : int
        Id of the mask token.
    vocabulary : tuple of (int, int)
        Random words are drawn from the first id up to below the second.
    share : float
        Chance of each word to be chosen, in (0, 1].
    rng : numpy.random.Generator
        Source of the choices.

    Returns
    -------
    seen : numpy.ndarray, shape (rows, length)
        What the model reads.
    targets : numpy.ndarray, shape (rows, length)
        The ids to be predicted, `IGNORED` where nothing is.

    Examples
    --------
    >>> ids = np.full((1, 6), 9)
    >>> seen, targets = hide_words(ids, ids > 5, 4, (5, 20), 1.0, np.random.default_rng(0))
    >>> targets.tolist(), bool((seen == 4).any())
    ([[9, 9, 9, 9, 9, 9]], True)
    """
    draw = rng.random(tokens.shape)
    swap = rng.integers(*vocabulary, tokens.shape)
    chosen = words & (draw < share)
    part = draw / share
    seen = np.where(chosen & (part < 0.8), mask_token, np.where(chosen & (part >= 0.8) & (part < 0.9), swap, tokens))
    return seen, np.where(chosen, tokens, IGNORED)
