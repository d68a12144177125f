"""The no-U-turn sampler, by Pyro."""

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from skbasics._arrays import SEED_BOUND
from skbasics._gaussian import spread

N_CHAINS = 4
"""Chains, one after another: what they disagree on has not converged."""

WARMUP = 300
"""Steps of each chain that adapt the sampler and are not kept."""

MIXED = 1.05
"""The R-hat up to which chains count as mixed."""


def check_pyro() -> None:
    """Raise if Pyro is not installed."""
    if importlib.util.find_spec("pyro") is None:
        raise ImportError(
            "inference='nuts' needs Pyro, which is not installed. Install it by "
            "\"pip install 'skbasics[mcmc]'\" (or pip install pyro-ppl), or take "
            "inference='auto'."
        )


@dataclass
class Draws:
    """Draws of a posterior, and how far they are to be trusted.

    Attributes
    ----------
    draws : Tensor of shape (n, D)
        All chains, one after another.
    r_hat, effective_sample_size : Tensor of shape (D,)
    """

    draws: Tensor
    r_hat: Tensor
    effective_sample_size: Tensor


def sample_nuts(
    log_density: Callable[[Tensor], Tensor],
    mean: Tensor,
    scale: Tensor,
    n_draws: int,
    random_state: np.random.RandomState,
    verbose: Any = False,
) -> Draws:
    """Draw from a density by four chains, which start from a Gaussian and use its coordinates.

    References
    ----------
    Hoffman and Gelman, "The no-U-turn sampler", JMLR 15, 2014.
    Gelman and Rubin, "Inference from iterative simulation using multiple sequences",
    Statistical Science 7, 1992 (R-hat, of halved chains).
    """
    from pyro.ops.stats import effective_sample_size, split_gelman_rubin

    def potential(position: dict[str, Tensor]) -> Tensor:
        return -log_density(spread(mean, scale, position["u"])[None])[0]

    each = -(-n_draws // N_CHAINS)
    chains = torch.stack(
        [_chain(potential, mean, each, random_state, verbose) for _ in range(N_CHAINS)]
    )
    chains = spread(mean, scale, chains)
    r_hat = split_gelman_rubin(chains)
    if r_hat.max() > MIXED:
        warnings.warn(
            f"The chains of NUTS disagree: the largest R-hat is {float(r_hat.max()):.3f}, which is "
            f"above {MIXED}. Raise n_draws, or scale the features.",
            ConvergenceWarning,
            stacklevel=2,
        )
    size = effective_sample_size(chains).clamp(max=4.0 * N_CHAINS * each)
    return Draws(chains.flatten(0, 1)[:n_draws], r_hat, size)


def _chain(
    potential: Callable[[dict[str, Tensor]], Tensor],
    like: Tensor,
    n_draws: int,
    random_state: np.random.RandomState,
    verbose: Any,
) -> Tensor:
    """Return the draws of one chain, ``(n, D)``; torch's own generator is as it was."""
    from pyro.infer import MCMC, NUTS

    start = torch.from_numpy(random_state.standard_normal(len(like))).to(like)
    seed, devices = int(random_state.randint(SEED_BOUND)), [like.device] if like.is_cuda else []
    with torch.random.fork_rng(devices=devices), torch.enable_grad():
        torch.random.default_generator.manual_seed(seed)
        if devices:
            torch.cuda.manual_seed(seed)
        chain = MCMC(
            NUTS(potential_fn=potential),
            num_samples=n_draws,
            warmup_steps=WARMUP,
            initial_params={"u": start},
            disable_progbar=not verbose,
        )
        chain.run()
    return chain.get_samples()["u"].detach()
