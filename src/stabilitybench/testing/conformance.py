"""The battery: what every stabilizer must keep, shipped or a third party's."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stabilitybench.argument_checks import of_kind
from stabilitybench.encoders import Encoder, load_encoder
from stabilitybench.errors import UserError
from stabilitybench.finetuning import Outcome, finetune
from stabilitybench.finetuning.plain_steps import PlainSteps
from stabilitybench.finetuning.training import loop_of, prepared
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers import Context, Stabilizer, TaskFacts
from stabilitybench.stabilizers.step_hooks import changes_step, steps_on_device
from stabilitybench.testing.device_steps import WatchedSteps
from stabilitybench.testing.small import FAMILIES, small_encoder, small_task
from stabilitybench.testing.watching import HOOKS, global_generators, noting, numbers, watched

#: Short, with noise, decay and several evaluations: whatever a method may disturb is there.
TRAIN = Recipe(learning_rate=3e-3, batch_size=8, epochs=2, evaluations=2, weight_decay=0.1)
ROUNDS = 3


@dataclass(frozen=True)
class ConformanceFinding:
    """One check of the battery.

    Attributes
    ----------
    check : str
        Its name.
    ok : bool
        Whether it passed.
    text : str
        What was seen, with what to do where it did not.
    """

    check: str
    ok: bool
    text: str


@dataclass(frozen=True)
class Conformance:
    """What the battery found of one stabilizer.

    Attributes
    ----------
    name : str
        Name of the stabilizer.
    findings : tuple of ConformanceFinding
        In the order of the checks.
    time_ratio : float or None
        CPU time of a step over that of the plain recipe, evaluations included, medians of interleaved rounds; None
        where the method works nowhere.
    memory_ratio : float or None
        Bytes of weights, gradients, moments and the method's own state over the plain recipe's; None as above.
    """

    name: str
    findings: tuple[ConformanceFinding, ...]
    time_ratio: float | None
    memory_ratio: float | None

    @property
    def ok(self) -> bool:
        """True when every check passed."""
        return all(f.ok for f in self.findings)


class _Refused(Exception):
    """A check failed; the message says how and what to do."""


def check_stabilizer(stabilizer: Stabilizer) -> Conformance:
    """Put a stabilizer through the battery, on tiny encoders of five families made on the spot.

    It trains for a few steps on classification and regression, under full and head tuning, and is watched: it must
    repeat itself, change nothing it was given, draw from its own seeds, leave frozen tensors alone, have an effect,
    equal the plain recipe where `neutral` says so, and refuse in one sentence what it cannot do.

    Parameters
    ----------
    stabilizer : Stabilizer
        With the parameters under which it is to be checked.

    Returns
    -------
    Conformance
        A finding for each check, failed ones included, and the cost; nothing is raised.

    Examples
    --------
    >>> from stabilitybench.stabilizers import build
    >>> check_stabilizer(build("longer")).ok
    True
    """
    of_kind("stabilizer", stabilizer, "an instance, as build gives it", Stabilizer)
    with tempfile.TemporaryDirectory() as folder:
        battery = _Battery(stabilizer, Path(folder))
        findings = [battery.find(name, check) for name, check in battery.checks().items()]
        cost = battery.cost() if battery.home is not None else (None, None)
    return Conformance(stabilizer.name, tuple(findings), *cost)


class _Battery:
    def __init__(self, stabilizer: Stabilizer, folder: Path) -> None:
        self.method = stabilizer
        self.encoders = {f: load_encoder(str(small_encoder(folder / f, f))) for f in FAMILIES}
        self.home: tuple[Encoder, str, str] | None = None  # where the method works first: encoder, kind, mode
        self.refusals: list[str] = []

    def checks(self) -> dict[str, Callable[[], str]]:
        return {
            "says what it is": self.documented,
            "works or refuses in one sentence": self.supported,
            "repeats itself": self.repeats,
            "changes nothing it is given": self.pure,
            "draws by its seeds": self.seeded,
            "draws anew at each step": self.varied,
            "leaves frozen tensors alone": self.freezes,
            "is neutral where it says so": self.neutral,
            "has an effect": self.effective,
            "has the gradient of its loss": self.differentiates,
            "evaluates a plain classifier": self.plain_names,
            "steps on a device as it says": self.on_device,
        }

    def find(self, name: str, check: Callable[[], str]) -> ConformanceFinding:
        if self.home is None and name not in ("says what it is", "works or refuses in one sentence"):
            return ConformanceFinding(name, False, "not checked: the method works nowhere")
        try:
            return ConformanceFinding(name, True, check())
        except _Refused as refusal:
            return ConformanceFinding(name, False, str(refusal))
        except Exception as error:
            return ConformanceFinding(
                name, False, f"stops with {type(error).__name__}: {' '.join(str(error).split())[:200]}"
            )

    # -- the checks: each returns what it saw, or raises _Refused

    def documented(self) -> str:
        cls = type(self.method)
        if not cls.summary().endswith("."):
            raise _Refused("begin the docstring with one sentence that ends with a full stop; `list` prints it")
        if "Modifies:" not in (cls.__doc__ or ""):
            raise _Refused('say in the docstring what the method changes, after "Modifies:"')
        if not cls.paper:
            raise _Refused("set the class attribute `paper` to a citation; reports print it")
        lacking = [f.name for f in fields(cls) if getattr(cls, f.name, None) is None and f.default is not None]  # type: ignore[arg-type]
        if lacking:
            raise _Refused(f"give every parameter a default: {', '.join(lacking)}")
        return cls.summary()

    def supported(self) -> str:
        works = []
        for family, encoder in self.encoders.items():
            for kind in ("classification", "regression"):
                for mode in ("full", "head"):
                    try:
                        self.run(encoder, kind=kind, mode=mode)
                    except UserError as refusal:
                        if "\n" in str(refusal) or not str(refusal):
                            raise _Refused(f"refuses {family} {kind} in several lines: {refusal!r}") from None
                        self.refusals.append(str(refusal))
                        continue
                    except Exception as error:
                        said = " ".join(str(error).split())[:160]
                        raise _Refused(
                            f"stops on {family}, {kind}, {mode} tuning with {type(error).__name__}: {said}; "
                            "let `supports` raise UserError there, in one sentence"
                        ) from error
                    works.append(f"{family} {kind} {mode}")
                    self.home = self.home or (encoder, kind, mode)
        if not works:
            raise _Refused(f"works nowhere: {self.refusals[0]}")
        return f"works in {len(works)} of {4 * len(FAMILIES)} places, refuses the others"

    def repeats(self) -> str:
        with global_generators() as touched:
            first = self.run()
            self.run(method=None, seeds=Seeds(1, 1, 1, 0, 1))  # another run between, with other seeds
            again = self.run()
        if first.weights != again.weights or first.scores != again.scores:
            raise _Refused(
                "the same run twice gives other weights: keep no state on the class or module, and draw random "
                "numbers from ctx.generator, ctx.normal, ctx.bernoulli or ctx.row_noise"
            )
        if touched():
            raise _Refused(f"reads or sets the global generator of {touched()}: draw from ctx.generator instead")
        return "two runs, with another between them, end with the same weights"

    def pure(self) -> str:
        log: list[str] = []
        self.run(method=watched(self.method, log))
        if log:
            raise _Refused(f"{log[0]}: return a new tensor instead")
        seen = [h for h in ("phases", *HOOKS) if type(self.method).overrides(h)]
        return f"hooks: {', '.join(seen) or 'recipe only'}"

    def seeded(self) -> str:
        if not type(self.method).overrides("initialize"):
            return "draws no initial tensors"
        starts = [self.start(seeds) for seeds in (Seeds(0), Seeds(1))]
        shifted = self.start(Seeds(0), shift=0.5)
        plain = self.start(Seeds(0), method=None)
        for name, tensor in starts[0].items():
            drawn = tensor is not plain.get(name) and len(tensor.unique()) > 2  # type: ignore[no-untyped-call]
            of_params = name in shifted and not torch.equal(tensor, shifted[name])
            if drawn and not of_params and torch.equal(tensor, starts[1][name]):
                raise _Refused(f"{name} gets the same random numbers under every seed: draw them with ctx.normal")
        return "initial tensors follow the seeds"

    def varied(self) -> str:
        steps: dict[tuple[str, ...], set[int]] = {}
        self.run(method=noting(self.method, steps))
        for (hook, *names), seen in steps.items():
            if len(seen) > 1:
                raise _Refused(
                    f"{hook} draws the same numbers at every step ({', '.join(names)}): use ctx.normal, ctx.bernoulli "
                    "or ctx.row_noise, or put *ctx.moment among the names of ctx.generator; what is meant to stay "
                    "belongs in `initialize` or `setup`"
                )
        return f"{len(steps)} draws in steps" if steps else "draws nothing in a step"

    def freezes(self) -> str:
        returned: dict[str, Any] = {}
        outcome, plain = self.run(method=watched(self.method, [], returned)), self.start(Seeds())
        assert outcome.final_weights is not None
        # What training reads otherwise, such as a frozen weight with a trained change, may be evaluated otherwise.
        read = {**plain, **returned.get("forward_weights", {})}
        moved = [
            n
            for n in outcome.frozen
            if torch.equal(read[n], plain[n]) and not torch.equal(outcome.final_weights[n], plain[n])
        ]
        if moved:
            raise _Refused(
                f"{moved[0]} is declared frozen and ends changed: leave it alone in after_step and evaluation"
            )
        return f"{len(outcome.frozen)} tensors frozen"

    def neutral(self) -> str:
        neutral = self.method.neutral()
        if neutral is None:
            return "has no neutral strength"
        plain, same = self.run(method=None), self.run(method=neutral)
        if same.weights != plain.weights or same.evaluations != plain.evaluations:
            raise _Refused(
                "its neutral() differs from the plain recipe: at that strength return everything as it was given"
            )
        return "equals the plain recipe bit for bit"

    def effective(self) -> str:
        if self.method.neutral() == self.method:
            return "says that it is the plain recipe by name"
        plain, other = self.run(method=None), self.run()
        if (plain.weights, plain.evaluations) == (other.weights, other.evaluations):
            raise _Refused(
                "trains exactly like the plain recipe: check that its hooks are spelled as in the contract and that "
                "they return something new"
            )
        return "trains or evaluates otherwise than the plain recipe"

    def differentiates(self) -> str:
        if not (type(self.method).overrides("penalty") or type(self.method).overrides("forward_weights")):
            return "adds nothing to the loss"
        if not self.method.exact_gradient:
            return "says that its gradient is not that of its loss"
        encoder, kind, mode = self._home()
        recipe = TRAIN.replace(mode=mode)
        loss_at, params = prepared(encoder, small_task(kind=kind), recipe, (self.method,))  # type: ignore[arg-type]
        generator = torch.Generator().manual_seed(0)
        way = {n: torch.randn(t.shape, generator=generator, dtype=t.dtype) for n, t in params.items()}
        leaves = {n: t.clone().requires_grad_() for n, t in params.items()}
        grads = torch.autograd.grad(loss_at(leaves), list(leaves.values()), materialize_grads=True)
        slope = sum(float((g * way[n]).sum()) for n, g in zip(leaves, grads, strict=True))
        step = 1e-6
        up, down = (float(loss_at({n: t + s * way[n] for n, t in params.items()})) for s in (step, -step))
        numeric = (up - down) / (2 * step)
        if not abs(slope - numeric) <= 1e-4 * max(1.0, abs(numeric)):
            raise _Refused(
                f"along a random direction its loss changes by {numeric:.6g}, its gradient says {slope:.6g}: "
                "something is detached; if that is meant, set exact_gradient = False"
            )
        return "equals a central difference in double precision"

    def plain_names(self) -> str:
        plain, own = self.run(method=None).final_weights, self.run().final_weights
        assert plain is not None
        assert own is not None
        other = sorted(set(plain) ^ set(own))
        if other:
            raise _Refused(
                f"{other[0]} is missing or too many when the model is evaluated: let `evaluation` give a classifier"
            )
        return "what is evaluated can be saved as a normal classifier"

    def on_device(self) -> str:
        encoder, kind, mode = self._home()
        if mode == "head" or not changes_step(self.method):
            return "has no hook in a step"
        if not steps_on_device(self.method):
            return "steps one by one: does not declare on_device"
        task, where = small_task(kind=kind), torch.device("cpu")  # type: ignore[arg-type]
        one, other = (
            loop_of(encoder, task, TRAIN, (self.method,), Seeds(), where, torch.float64).training for _ in range(2)
        )
        plain, steps = PlainSteps(one), WatchedSteps(other)
        plain.advance(one.ctx.total_steps)
        steps.advance(one.ctx.total_steps)
        if steps.waits:
            raise _Refused(
                f"declares on_device, and a device would wait for {steps.waits[0]} in a step: calculate with tensors "
                "alone, or do not declare it"
            )
        if any((steps.params[n] - t).abs().max() > 1e-8 for n, t in one.params.items()):
            raise _Refused("declares on_device, and a step as one piece ends elsewhere than hook by hook")
        return "a step as one piece ends where it ends hook by hook"

    def cost(self) -> tuple[float, float]:
        """Return the time and memory ratios to the plain recipe."""
        ours: list[float] = []
        theirs: list[float] = []
        # as many steps as the plain recipe, or a method that trains longer would look slow
        for k in range(ROUNDS):
            for times, method in ((theirs, None), (ours, self.method)):
                started = time.process_time()
                # stages of another round are kept: their cost counts once in each
                steps = self.run(method=method, seeds=Seeds(prepare=k + 1)).total_steps
                times.append((time.process_time() - started) / steps)
        return statistics.median(ours) / statistics.median(theirs), self._memory(self.method) / self._memory(None)

    def _memory(self, method: Stabilizer | None) -> float:
        log: dict[str, Any] = {}
        kept = method if method is None else watched(method, [], log)
        outcome = self.run(method=kept)
        assert outcome.final_weights is not None
        trained = sum(t.numel() for n, t in outcome.final_weights.items() if n not in outcome.frozen)
        frozen = sum(t.numel() for n, t in outcome.final_weights.items() if n in outcome.frozen)
        networks = len(log.get("members", [None]))
        return float(4 * trained * networks + frozen + numbers(log.get("setup")))

    # -- small things

    def _home(self) -> tuple[Encoder, str, str]:
        assert self.home is not None
        return self.home

    def run(
        self, encoder: Encoder | None = None, *, kind: str | None = None, mode: str | None = None,
        method: Stabilizer | str | None = "", seeds: Seeds | None = None,
    ) -> Outcome:  # fmt: skip
        if encoder is None:
            encoder, kind, mode = self._home()
        method = self.method if isinstance(method, str) else method
        recipe, task = TRAIN.replace(mode=mode), small_task(kind=kind)  # type: ignore[arg-type]
        return finetune(encoder, task, recipe, () if method is None else (method,), seeds, keep_weights="last")

    def start(self, seeds: Seeds, *, shift: float = 0.0, method: Stabilizer | str | None = "") -> dict[str, Tensor]:
        """Return the tensors at step 0, from pretrained ones moved by `shift`."""
        encoder, kind, _ = self._home()
        task = small_task(kind=kind)  # type: ignore[arg-type]
        classifier = encoder.pretrained_classifier(task.outputs)
        params = {n: t + shift if shift else t for n, t in classifier.pretrained.items()}
        params |= {n: torch.full(s, 0.01 + shift) for n, s in classifier.newly_initialized.items()}
        method = self.method if isinstance(method, str) else method
        facts = TaskFacts(task.name, task.kind, task.outputs, len(task.train))
        labels = torch.from_numpy(np.asarray(task.train.labels))
        width = params[f"{encoder.layout.output(params)}.weight"].shape[1]

        def features(params: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            """Something that depends on the weights and on nothing else."""
            scale = 1 + sum(float(t.mean()) for t in params.values())
            return scale * torch.linspace(-1, 1, len(labels) * width).sin().reshape(len(labels), width), labels

        ctx = Context(TRAIN, encoder.layout, facts, classifier.pretrained, seeds, 6, training_features=features)
        return params if method is None else method.initialize(params, ctx)
