"""Numeric datasets with known constants, drawn by name and seed.

>>> from stabilitybench.synthetic import generate
>>> data = generate("quadratic", n=30, d=4, mu=0.1, beta=1.0, seed=3)
>>> data.problem, data.constants["mu"]
('regression', 0.1)
"""

from stabilitybench.synthetic import classification as _classification
from stabilitybench.synthetic import regression as _regression
from stabilitybench.synthetic.dataset import Dataset, ProblemKind
from stabilitybench.synthetic.registry import GENERATORS, Generator, Parameter, Range, generate, generator

# importing the two modules registers their generators
_ = (_classification, _regression)

__all__ = ["GENERATORS", "Dataset", "Generator", "Parameter", "ProblemKind", "Range", "generate", "generator"]
