"""Changes that users make to an optimizer, with what the updaters over kernels say of each."""

from importlib import import_module

from nncompress.chainer_support.compatibility import chainer

TimerHook = import_module("chainer.link_hooks").TimerHook  # once Chainer can be imported
hooks, optimizers = chainer.optimizer_hooks, chainer.optimizers


def halve(optimizer):
    """A hook of the user's own."""
    for parameter in optimizer.target.params():
        parameter.grad *= 0.5


def add(*added):
    def change(updater):
        for hook in added:
            updater.get_optimizer("main").add_hook(hook)

    return change


def set_beta1(updater):
    updater.get_optimizer("main").beta1 = 0.5


def set_eps_and_beta2(updater):
    updater.get_optimizer("main").eps = 1e-3
    updater.get_optimizer("main").beta2 = 0.9


def disable_l1(updater):
    updater.chain.l1.disable_update()


def set_own_rate_of_l2(updater):
    updater.chain.l2.W.update_rule.hyperparam.alpha = 0.1


def add_hook_to_a_rule(updater):
    updater.chain.codebook.update_rule.add_hook(hooks.WeightDecay(0.1))


def set_amsgrad(updater):
    updater.get_optimizer("main").amsgrad = True


def set_decoupled_decay(updater):
    updater.get_optimizer("main").weight_decay_rate = 0.05


def add_timer_to_l1(updater):
    updater.chain.l1.add_hook(TimerHook())


def scale_the_loss(updater):
    updater.get_optimizer("main").set_loss_scale(8.0)


DECAY, CLIPPING = hooks.WeightDecay(0.5), hooks.GradientClipping(0.3)
# What the kernels do themselves, by Chainer's optimizer...
KNOWN = {
    "Adam, decay": ("Adam", add(DECAY)),
    "Adam, heavy decay": ("Adam", add(hooks.WeightDecay(100))),
    "Adam, clipping": ("Adam", add(CLIPPING)),
    "Adam, decay and clipping": ("Adam", add(DECAY, CLIPPING)),
    "Adam, clipping and decay": ("Adam", add(CLIPPING, DECAY)),
    "Adam, another beta1": ("Adam", set_beta1),
    "Adam, another eps and beta2": ("Adam", set_eps_and_beta2),
    "SGD, decay": ("SGD", add(DECAY)),
    "SGD, clipping": ("SGD", add(CLIPPING)),
    "SGD, decay and clipping": ("SGD", add(DECAY, CLIPPING)),
    "SGD, clipping and decay": ("SGD", add(CLIPPING, DECAY)),
}
# ...and what Chainer does, with the reason that is given.
UNKNOWN = {
    "a hook": (lambda: optimizers.Adam(0.01), add(halve), "the optimizer has the hook halve"),
    "noise": (lambda: optimizers.Adam(0.01), add(hooks.Lasso(0.01)), "has the hook Lasso"),
    "momentum": (lambda: optimizers.MomentumSGD(0.01), None, "the optimizer is MomentumSGD"),
    "AMSGrad": (lambda: optimizers.AMSGrad(0.01), None, "the optimizer is AMSGrad"),
    "Adam's amsgrad": (lambda: optimizers.Adam(0.01), set_amsgrad, "Adam's amsgrad is True"),
    "Adam's decay": (
        lambda: optimizers.Adam(0.01),
        set_decoupled_decay,
        "Adam's weight_decay_rate is 0.05",
    ),
    "a fixed l1": (lambda: optimizers.Adam(0.01), disable_l1, "updates of /l1/[Wb] are disabled"),
    "a rate of its own": (
        lambda: optimizers.Adam(0.01),
        set_own_rate_of_l2,
        "/l2/W has hyperparameters of its own",
    ),
    "a rule's hook": (
        lambda: optimizers.SGD(0.01),
        add_hook_to_a_rule,
        "the update rule of /codebook has hooks",
    ),
    "a link hook": (
        lambda: optimizers.Adam(0.01),
        add_timer_to_l1,
        "there is the link hook TimerHook",
    ),
    "a scaled loss": (
        lambda: optimizers.Adam(0.01),
        scale_the_loss,
        "the optimizer scales the loss",
    ),
}
