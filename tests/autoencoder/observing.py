"""What a chain computes for a batch."""

import numpy as np

from nncompress.chainer_support.compatibility import chainer


def observe(chain, *arguments):
    """Returns the objective and what was reported, by name, and the gradients, on the host."""
    reporter = chainer.Reporter()
    reporter.add_observer("main", chain)
    observation = {}
    chain.cleargrads()
    with reporter.scope(observation):
        objective = chain(*arguments)
        objective.backward()
    values = [float(objective.array), *(float(observation[key]) for key in sorted(observation))]
    to_cpu = chainer.backends.cuda.to_cpu
    return np.array(values), {name: to_cpu(p.grad) for name, p in chain.namedparams()}


def distance(one, other):
    """Returns by how much two arrays differ, by norm."""
    return float(np.linalg.norm(one - other)) / max(float(np.linalg.norm(one)), 1e-300)
