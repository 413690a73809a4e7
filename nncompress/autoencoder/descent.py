"""Optimizers that the kernels implement: Chainer's Adam and SGD, with weight decay and clipping.

Source of Adam: Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from nncompress.chainer_support.compatibility import chainer

_RATES = {chainer.optimizers.Adam: "alpha", chainer.optimizers.SGD: "lr"}
_HOOKS = {
    chainer.optimizer_hooks.WeightDecay: "rate",
    chainer.optimizer_hooks.GradientClipping: "threshold",
}
_ADAM_VARIANTS = {"eta": 1.0, "weight_decay_rate": 0, "amsgrad": False, "adabound": False}


@dataclass(frozen=True)
class Descent:
    """An optimizer's step, except for the learning rate.

    Attributes:
        is_adam: Whether the step is Adam's; if not, it is that of SGD.
        beta1: Adam's decay of the first moment.
        beta2: Adam's decay of the second moment.
        eps: Adam's eps.
        max_grad_norm: Global norm to which gradients are clipped, or None.
        decay: Share of the parameters that is added to their gradients; 0 for none.
        decays_first: Whether the share is added before clipping.
    """

    is_adam: bool
    beta1: float = 0.0
    beta2: float = 0.0
    eps: float = 0.0
    max_grad_norm: float | None = None
    decay: float = 0.0
    decays_first: bool = False

    def corrected(self, rates: np.ndarray, updates: int) -> np.ndarray:
        """Returns learning rates of consecutive steps with Adam's bias corrections (section 3).

        Args:
            rates: float64 ``(steps,)``.
            updates: Number of updates made before.

        Returns:
            float64 ``(steps,)``; SGD's rates do not change.
        """
        if not self.is_adam:
            return rates
        times = updates + 1.0 + np.arange(len(rates))
        return rates * np.sqrt(1 - self.beta2**times) / (1 - self.beta1**times)


def descent_of(optimizer: chainer.GradientMethod) -> Descent:
    """Reads the current settings of an optimizer that ``reason_against_kernels`` accepts.

    Args:
        optimizer: Chainer's Adam or SGD, set up.
    """
    hooks = {type(hook): hook for hook in optimizer._hookable._pre_update_hooks.values()}
    clipping, decay = (
        hooks.get(kind)
        for kind in (
            chainer.optimizer_hooks.GradientClipping,
            chainer.optimizer_hooks.WeightDecay,
        )
    )
    is_adam = type(optimizer) is chainer.optimizers.Adam
    names = ("beta1", "beta2", "eps") if is_adam else ()
    return Descent(
        is_adam,
        **{name: float(getattr(optimizer, name)) for name in names},
        max_grad_norm=None if clipping is None else float(clipping.threshold),
        decay=0.0 if decay is None else float(decay.rate),
        decays_first=next(iter(hooks), None) is chainer.optimizer_hooks.WeightDecay,
    )


def rate_name(optimizer: chainer.Optimizer) -> str:
    """Returns an optimizer's name for its learning rate; Adam's is ``alpha``, as in the paper."""
    return _RATES.get(type(optimizer), "lr")


def reason_against_kernels(optimizer: chainer.Optimizer, chain: chainer.Chain) -> str | None:
    """Returns the reason why only Chainer itself can train a chain; None if kernels can.

    Args:
        optimizer: The optimizer, set up.
        chain: The autoencoder.
    """
    if type(optimizer) not in _RATES:
        return f"the optimizer is {type(optimizer).__name__}"
    if optimizer.target is not chain:
        return "the optimizer is set up on another link"
    if type(optimizer) is chainer.optimizers.Adam:
        for name, value in _ADAM_VARIANTS.items():
            if getattr(optimizer, name) != value:
                return f"Adam's {name} is {getattr(optimizer, name)}"
    if optimizer._loss_scale is not None:
        return "the optimizer scales the loss"
    return (
        _reason_of_hooks(optimizer._hookable)
        or _reason_of_rules(optimizer, chain)
        or _reason_of_links(chain)
    )


def adam_moments(
    parameters: Iterable[chainer.Parameter],
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Returns Adam's m and v of parameters, from their update rules; creates them if needed."""
    states = []
    for parameter in parameters:
        if parameter.update_rule.state is None:
            parameter.update_rule._init_states(parameter)
        states.append(parameter.update_rule.state)
    return [state["m"] for state in states], [state["v"] for state in states]


def _reason_of_hooks(hooks: chainer.optimizer._Hookable) -> str | None:
    seen: set[type] = set()
    for name, hook in [*hooks._pre_update_hooks.items(), *hooks._post_update_hooks.items()]:
        setting = _HOOKS.get(type(hook))
        if (
            setting is None
            or type(hook) in seen
            or name in hooks._post_update_hooks
            or set(vars(hook)) != {setting}
            or (setting == "threshold" and not hook.threshold > 0)
        ):
            return f"the optimizer has the hook {name}"
        seen.add(type(hook))
    return None


def _reason_of_rules(optimizer: chainer.GradientMethod, chain: chainer.Chain) -> str | None:
    parameters = dict(chain.namedparams())
    wanted: Sequence[chainer.Parameter] = chain.kernel_parameters()
    if {id(parameter) for parameter in parameters.values()} != set(map(id, wanted)):
        return "the chain has parameters of its own"
    if (reason := chain.reason_of_arrays()) is not None:
        return reason
    kind = type(optimizer.create_update_rule())
    for name, parameter in parameters.items():
        rule = parameter.update_rule
        if type(rule) is not kind or rule.hyperparam.parent is not optimizer.hyperparam:
            return f"{name} has another update rule than the optimizer's"
        if not rule.enabled:
            return f"updates of {name} are disabled"
        if set(vars(rule.hyperparam)) != {"_parent"}:
            return f"{name} has hyperparameters of its own"
        if rule._hookable._pre_update_hooks or rule._hookable._post_update_hooks:
            return f"the update rule of {name} has hooks"
    if len({parameter.update_rule.t for parameter in wanted}) > 1:
        return "some parameters have been updated more often than others"
    return None


def _reason_of_links(chain: chainer.Chain) -> str | None:
    hooks = [
        *chainer._get_link_hooks(),
        *(name for link in chain.links() for name in link.local_link_hooks),
    ]
    if hooks:
        return f"there is the link hook {hooks[0]}"
    functions = list(chainer.get_function_hooks())
    return f"there is the function hook {functions[0]}" if functions else None
