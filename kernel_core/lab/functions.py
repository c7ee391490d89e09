"""Functions of the logits that the kernel can be made of, beside its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Logits = npt.NDArray[np.floating]  # (…, n, C), in memory


@dataclass(frozen=True)
class Function:
    """A function of the logits.

    name: on the command line and in cache keys. title: the name that people see. transform: what the kernel
    does to the values, a key of `TRANSFORMS`. first: what is done to the logits before, if anything.
    shift_weight: 0 … 1, weight of the kernel of the common shift in a mean with that of the transform.
    """

    name: str
    title: str
    transform: str
    first: Callable[[Logits], Logits] | None = None
    shift_weight: float = 0.0

    @property
    def has_classes(self) -> bool:
        """Whether the kernel can be made of some of the classes alone."""
        return self.transform != "shift" and not self.shift_weight

    def __call__(self, logits: Logits) -> Logits:
        """Return what the kernel's own transform is given, (m, n, C); float32 if it is not the logits."""
        if self.first is None:
            return logits
        found = np.empty(logits.shape, np.float32)
        for of_run, raw in zip(found, logits, strict=True):  # as some take float64 on the way
            of_run[:] = self.first(raw)
        return found


def log_odds(logits: Logits) -> Logits:
    """Return log p / (1 − p) of the softmax probabilities, float32 of the same shape.

    It is the logit minus the log-sum-exp of the other classes' logits, which loses no digits where p is
    near 1.
    """
    x = logits.astype(np.float64)
    odds = np.empty_like(x)
    for c in range(x.shape[-1]):
        others = np.delete(x, c, -1)
        most = others.max(-1)
        odds[..., c] = x[..., c] - most - np.log(np.exp(others - most[..., None]).sum(-1))
    return odds.astype(np.float32)


def tempered(temperature: float) -> Callable[[Logits], Logits]:
    """Return what divides logits by a temperature, in float32."""
    return lambda logits: logits.astype(np.float32) / np.float32(temperature)


FUNCTIONS = {
    function.name: function
    for function in (
        Function("log_softmax", "log-softmax", "log_softmax"),
        Function("none", "raw logits", "none"),
        Function("centred", "centered logits", "centred"),
        Function("shift", "the common shift alone", "shift"),
        Function("with-shift", "log-softmax with shift", "log_softmax", shift_weight=0.2),
        Function("log_odds", "log p/(1−p)", "none", log_odds),
        Function("temperature-0.5", "temperature 0.5", "log_softmax", tempered(0.5)),
        Function("temperature-2", "temperature 2", "log_softmax", tempered(2)),
    )
}
