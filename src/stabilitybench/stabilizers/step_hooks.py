"""Which stabilizers take part in an optimizer step, and which of them only calculate there."""

from __future__ import annotations

from stabilitybench.stabilizers.base import Stabilizer

#: Hooks that are called within an optimizer step; `rate` is asked before the training, too.
STEP_HOOKS = ("forward_weights", "penalty", "gradient", "edit_gradient", "after_step", "members")


def changes_step(stabilizer: Stabilizer) -> bool:
    """Tell whether a stabilizer changes a hook that is called within an optimizer step.

    Parameters
    ----------
    stabilizer : Stabilizer
        Its class is asked.
    """
    return any(stabilizer.overrides(hook) for hook in STEP_HOOKS)


def steps_on_device(stabilizer: Stabilizer) -> bool:
    """Tell whether every hook of a step that a stabilizer changes comes under a declared `on_device`.

    Parameters
    ----------
    stabilizer : Stabilizer
        Its class is asked: one that changes a hook of a class that declares it has to declare it again.
    """
    order = type(stabilizer).__mro__
    declared = next(i for i, owner in enumerate(order) if "on_device" in vars(owner))
    changed = [
        next(i for i, owner in enumerate(order) if hook in vars(owner))
        for hook in STEP_HOOKS
        if stabilizer.overrides(hook)
    ]
    return not changed or (stabilizer.on_device and declared <= min(changed))
