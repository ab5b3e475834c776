r"""Squared loss: every leave-one-out iterate in closed form, at a cost that does not depend on the number of steps.

With :math:`H` the Hessian of a run and :math:`b` its linear term, t steps from :math:`w_0` give

.. math:: w_t = f(H) w_0 + g(H) b, \quad f(v) = (1 - \eta v)^t, \quad g(v) = (1 - f(v)) / v,

and both are contour integrals of the resolvent, :math:`w_t = \frac{1}{2\pi i} \oint f(s) (s - H)^{-1} (w_0 - b/s) ds`.
In the eigenbasis of all rows, leaving row z out takes the rank-one matrix :math:`c z z^T` from a diagonal one, so the
Sherman-Morrison formula gives the resolvent of every leave-one-out Hessian at once,

.. math:: (s - H_i)^{-1} (w_0 - b_i/s) = R u + c R z \frac{y_i/s - z^T R u}{1 + c\, z^T R z}, \quad u = w_0 - b/s,

with R the diagonal resolvent.  Substituting :math:`s = (1 - e^{\zeta/t})/\eta` turns f into :math:`e^\zeta`, for which
a hyperbola of 16 pairs of nodes around the negative axis is exact to rounding (Weideman & Trefethen 2007, Math. Comp.
76:1341).  No eigenvalue of a leave-one-out Hessian is ever computed, so repeated ones are no special case.

A few steps, and rates at which the iteration barely contracts, are left to the iteration itself, which in the
eigenbasis costs n d a step.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from stabilitybench.theory.distances import Measured, audit_error, distances
from stabilitybench.theory.inputs import Floats, Ints
from stabilitybench.theory.problem import ConvexProblem

Complexes = npt.NDArray[np.complex128]

#: Up to this many steps the iteration is run; the contour needs its image to stay on one sheet of the logarithm.
FEW = 64
#: Pairs of nodes on the hyperbola.
NODES = 16
#: Eigenvalues above 1 / rate lie outside the contour: what f leaves of them must be below rounding.
NEGLIGIBLE = 1e-18


def run(problem: ConvexProblem, steps: tuple[int, ...], audited: int, max_memory: int) -> Measured:
    """Measure every leave-one-out run of the squared loss in closed form.

    Parameters
    ----------
    problem : ConvexProblem
        K data sets under the squared loss.
    steps : tuple of int
        Increasing numbers of steps at which the runs are measured.
    audited : int
        How many runs, evenly spaced over i, are doubled by an eigen-decomposition of their own.
    max_memory : int
        Bytes for the runs held at once.

    Returns
    -------
    Measured
        At `steps`, for every data set, start and row.
    """
    sets, starts, count = len(problem.into), problem.start.shape[1], problem.count
    doubled = np.unique(np.linspace(0, count - 1, min(audited, count)).astype(np.intp))
    weights = np.empty((len(steps), sets, 1, starts, problem.into.shape[2]))
    distance, direction = np.empty((2, len(steps), sets, starts, count))
    error, gap = np.empty((2, len(steps), sets, starts, len(doubled)))
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(sets):
            basis, rows = _eigenbasis(problem.out[k])
            # per run: its moves and what measuring makes of them, and its scores at the nodes
            together = max(1, int(max_memory // (8 * (8 * rows.shape[1] + 12 * NODES))))
            parts = [np.arange(first, min(first + together, count)) for first in range(0, count, together)]
            for s in range(starts):
                inside = problem.start[0, s] @ basis
                # what the rows do not reach only decays, alike in every run: one more coordinate holds its length
                outside = problem.start[0, s] - basis @ inside
                left = [problem.decay[k] ** t * outside for t in steps]
                system = _System(problem, k, rows, inside)
                full = [system.on_all_rows(t) for t in steps]
                weights[:, k, 0, s] = [basis @ w + rest for w, rest in zip(full, left, strict=True)]
                for part in parts:
                    for place, moves in enumerate(system.moves(steps, part)):
                        longer = np.append(full[place], np.linalg.norm(left[place]))
                        pair = distances(longer[None, None, None], np.pad(moves, ((0, 0), (0, 1)))[None, None])
                        distance[place, k, s, part], direction[place, k, s, part] = pair[0][0], pair[1][0]
                fast = system.moves(steps, doubled)
                exact = system.decomposed(steps, doubled)
                for place, (moves, double) in enumerate(zip(fast, exact, strict=True)):
                    gap[place, k, s] = np.linalg.norm(double - full[place], axis=1)
                    error[place, k, s] = np.linalg.norm(double - full[place] - moves, axis=1)
        norms = np.linalg.norm(weights[:, :, 0], axis=-1)
        checked = audit_error(error, gap, norms) if audited else None
    return Measured(weights, distance, direction, None, checked)


def _eigenbasis(rows: Floats) -> tuple[Floats, Floats]:
    """Return orthonormal columns [d, r] that diagonalise rows^T rows, and the rows in them, [n, r], r = min(n, d)."""
    count, width = rows.shape
    if count < width:
        span, triangle = np.linalg.qr(rows.T)
        _, vectors = np.linalg.eigh(triangle @ triangle.T)
        return span @ vectors, triangle.T @ vectors
    _, vectors = np.linalg.eigh(rows.T @ rows)
    return vectors, rows @ vectors


class _System:
    """One data set in its eigenbasis: rows z [n, r], eigenvalues of the runs on all rows with either weight."""

    def __init__(self, problem: ConvexProblem, k: int, rows: Floats, start: Floats) -> None:
        self.rows, self.start, self.targets = rows, start, problem.offset[k]
        self.rate, self.l2, self.kept = float(problem.rate[k]), problem.l2, problem.kept
        self.squares = np.einsum("nr,nr->r", rows, rows)
        self.pull = self.targets @ rows
        self.everyone = self.squares / problem.count + self.l2
        self.others = self.squares * self.kept + self.l2

    def has_contour(self, t: int) -> bool:
        """Say whether the contour integral is exact to rounding."""
        beyond = self.rate * float(self.others.max()) - 1.0
        return t > FEW and (beyond <= 0 or t * np.log(beyond) <= np.log(NEGLIGIBLE))

    def on_all_rows(self, t: int) -> Floats:
        """Return the iterate [r] of the run on all rows."""
        power, grown = _powers(self.rate, self.everyone, t)
        return np.asarray(power * self.start + grown * self.pull / len(self.rows))

    def moves(self, steps: tuple[int, ...], left_out: Ints) -> Iterator[Floats]:
        """Yield the moves [k, r] of the runs without each of the rows `left_out`, at each of the increasing `steps`."""
        few = [t for t in steps if not self.has_contour(t)]
        yield from self._iterated(few, left_out)
        for t in steps[len(few) :]:
            yield self._contour(t, left_out)

    def _iterated(self, steps: list[int], left_out: Ints) -> Iterator[Floats]:
        rows, targets = self.rows[left_out], self.targets[left_out]
        moves = np.zeros_like(rows)
        hold, pace = 1.0 - self.rate * self.others, self.rate * self.kept
        for t in range(steps[-1] + 1 if steps else 0):
            if t in steps:
                yield moves.copy()
            full = self.on_all_rows(t)
            residual = np.einsum("nr,nr->n", moves, rows) + rows @ full - targets
            drift = (self.everyone - self.others) * full + (self.kept - 1.0 / len(self.rows)) * self.pull
            moves *= hold
            moves += (pace * residual)[:, None] * rows + self.rate * drift

    def _contour(self, t: int, left_out: Ints) -> Floats:
        rows, targets = self.rows[left_out], self.targets[left_out]
        spacing = 1.081792140 / NODES
        angle = 1j * (np.arange(NODES) + 0.5) * spacing - 1.172104229
        zeta = 4.492075287 * NODES * (1 + np.sin(angle))
        slope = 4.492075287j * NODES * np.cos(angle)
        s = -np.expm1(zeta / t) / self.rate
        # the conjugate nodes add the conjugate: twice the real part of spacing / (2 pi i) times the integrand
        factor = spacing / (1j * np.pi) * np.exp(zeta) * slope * (-np.exp(zeta / t) / (self.rate * t))
        resolvent = 1.0 / (s - self.others[:, None])
        own = 1.0 + self.kept * _times(rows**2, resolvent)
        common = resolvent * (self.start[:, None] - self.kept * self.pull[:, None] / s)
        strength = factor * (targets[:, None] / s - _times(rows, common)) / own
        pulled = np.hstack([strength.real, -strength.imag]) @ np.vstack([resolvent.real.T, resolvent.imag.T])
        power, grown = _powers(self.rate, self.others, t)
        shared = power * self.start + self.kept * grown * self.pull - self.on_all_rows(t)
        return np.asarray(self.kept * rows * pulled + shared)

    def decomposed(self, steps: tuple[int, ...], left_out: Ints) -> Floats:
        """Return the iterates [T, k, r] without each of the rows `left_out`, each by its own eigen-decomposition."""
        found = np.empty((len(steps), len(left_out), self.rows.shape[1]))
        for place, i in enumerate(left_out):
            z = self.rows[i]
            values, vectors = np.linalg.eigh(np.diag(self.others) - self.kept * np.outer(z, z))
            start, pull = self.start @ vectors, self.kept * (self.pull - self.targets[i] * z) @ vectors
            for when, t in enumerate(steps):
                power, grown = _powers(self.rate, values, t)
                found[when, place] = vectors @ (power * start + grown * pull)
        return found


def _powers(rate: float, eigenvalues: Floats, t: int) -> tuple[Floats, Floats]:
    """Return (1 - rate v)^t and its complement over v, rate * sum of (1 - rate v)^s over s < t."""
    power = (1.0 - rate * eigenvalues) ** t
    small = rate * eigenvalues < 0.5
    exponent = t * np.log1p(-rate * np.where(small, eigenvalues, 0.0))
    complement = np.where(small, -np.expm1(exponent), 1.0 - power)
    flat = np.abs(rate * eigenvalues) * t < 1e-14
    return power, np.where(flat, rate * t, complement / np.where(flat, 1.0, eigenvalues))


def _times(rows: Floats, columns: Complexes) -> Complexes:
    """Return the product of a real and a complex matrix by one real product."""
    product = rows @ np.hstack([columns.real, columns.imag])
    half = columns.shape[1]
    return np.asarray(product[:, :half] + 1j * product[:, half:])
