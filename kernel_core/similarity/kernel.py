"""The kernel: how alike two examples are to an ensemble of runs.

For logits L of shape (M, N, C), M runs, N examples, C classes:

    Z = log_softmax(L, -1)
    Z = (Z - Z.mean(0)) / Z.std(0)                                  unbiased standard deviation over the runs
    K[i, j] = 1/C * sum_c 1/M * sum_r Zq[r, i, c] * Zd[r, j, c]     query example i, database example j

So K = (M-1)/M * the mean over the classes of the Pearson correlation across the runs, and K[x, x] = (M-1)/M
is the largest value there is. A class whose output does not vary over the runs contributes 0.

Source: the card of the Hub dataset `kjj0/cifar10-multirun-logits`. The author's script sums over the classes
where this averages, so its values are C times larger.

Variants: without log_softmax (`transform="none"`); of the logits minus their mean over the classes
("centred"), or of that mean alone, one number per run ("shift"); and averaged over some of the classes alone
(`classes`), with log_softmax and mean over all classes even then. `whitening` has the whitened rows.

Below, the same, so that K is one matrix product: each example becomes a row of C * M numbers, and K[i, j] is
the inner product of two rows.

>>> logits = torch.randn(20, 5, 3, generator=torch.Generator().manual_seed(0))
>>> Z = logits.log_softmax(-1)
>>> Z = (Z - Z.mean(0)) / Z.std(0)
>>> K = torch.einsum("ric,rjc->ij", Z, Z) / (3 * 20)
>>> rows, _ = kernel_rows(logits.permute(1, 2, 0))
>>> torch.allclose(rows.flatten(1) @ rows.flatten(1).T, K, atol=1e-6)
True
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kernel_core.similarity.moments import Moments, center


def kernel_rows(
    logits: Tensor,
    transform: str = "log_softmax",
    classes: Sequence[int] | None = None,
    moments: Moments | None = None,
    out: Tensor | None = None,
) -> tuple[Tensor, Moments]:
    """Return rows whose inner product is the kernel, and the moments used.

    logits: (b, C, m), any float: b examples, C classes, m runs.
    transform: a key of `TRANSFORMS`. The shift counts as one class.
    classes: the classes averaged over, None for all.
    moments: of these examples over all runs; None if these m runs are all.
    out: float32 (b, C or fewer, m), contiguous: where to write the rows.

    The rows are float32 (b, C or fewer, m). A NaN or infinite logit gives a mean that is not finite.
    """
    M = logits.shape[2] if moments is None else moments.run_count
    C = 1 if transform == "shift" else logits.shape[1] if classes is None else len(classes)
    # From squares that sum to 1 over the runs to the kernel's factors 1/M and 1/C, half of each on either
    # side.
    length = ((M - 1) / (M * C)) ** 0.5
    if classes is None:
        return standardized(logits, transform, moments, length=length, out=out)
    Z, moments = standardized(logits, transform, moments, length=length)
    Z = Z[:, list(classes)]
    return Z if out is None else out.copy_(Z), moments


def standardized(
    logits: Tensor,
    transform: str,
    moments: Moments | None = None,
    *,
    length: float = 1.0,
    out: Tensor | None = None,
) -> tuple[Tensor, Moments]:
    """Return deviations from the mean over the runs, divided by their norm, and the moments used.

    Parameters are those of `kernel_rows`. The deviations are float32 (b, C, m). Over all runs, each class has
    the given length, or 0 if it does not vary.
    """
    Z = transformed(logits, transform, out=out)
    if moments is None:
        moments, delicate = _refined(center(Z), logits, transform)
    else:
        Z -= moments.mean[:, :, None].to(Z.dtype)
        delicate = moments.delicate
    scale = moments.scale * length
    Z *= scale[:, :, None].to(Z.dtype)
    if out is None:
        Z = Z.float()
    elif Z is not out:
        Z = out.copy_(Z)
    if delicate.any():
        exact = transformed(logits[delicate], transform, torch.float64)
        exact -= moments.mean[delicate, :, None]
        Z[delicate] = exact.mul_(scale[delicate, :, None]).float()
    return Z, moments


def transformed(
    logits: Tensor, transform: str, at_least: torch.dtype = torch.float32, out: Tensor | None = None
) -> Tensor:
    """Return the values that are standardized, in a new tensor: (b, C, m), or (b, 1, m) of the shift.

    logits: (b, C, m), any float. at_least: the least precision; that of the logits is kept if it is higher.
    out: (b, C, m), contiguous, used for the values if it has their precision.
    A mean over the classes is float64, as is what is subtracted from it: its terms may cancel.
    """
    if transform in ("centred", "shift"):
        shift = logits.mean(1, keepdim=True, dtype=torch.float64)
        return shift if transform == "shift" else logits - shift
    dtype = torch.promote_types(logits.dtype, at_least)
    if out is None or out.dtype != dtype:
        out = torch.empty(logits.shape, dtype=dtype, device=logits.device)
    _copy(logits, out)
    return log_softmax(out) if transform == "log_softmax" else out


def _copy(logits: Tensor, out: Tensor) -> None:
    """Copy logits (b, C, m) of any layout into a contiguous tensor.

    torch transposes whole float32 matrices a block at a time: three times as fast as in one step with the
    conversion, where the runs come first in memory.
    """
    b, C, m = logits.shape
    if logits.stride(2) == 1:
        out.copy_(logits)
    else:
        by_run = logits.permute(2, 0, 1).to(out.dtype).contiguous()  # (m, b, C)
        out.view(b * C, m).copy_(by_run.view(m, b * C).T)


def log_softmax(x: Tensor) -> Tensor:
    """Return the log-softmax over dim 1, in the place of x, exact for the winning class too.

    log(sum of exp) loses that class's value when the others vanish beside 1 (at 6e-8 in float32). log1p of
    the sum of the others keeps it, and with it the variation over runs that the kernel correlates.
    """
    x -= x.amax(1, keepdim=True)
    exponentials = x.exp()  # 1 for the winner, and for any that tie with it
    total = exponentials.sum(1, keepdim=True)
    others = exponentials.frac_().sum(1, keepdim=True)  # without those that are 1: half the time of a mask
    others += (total - others).round_() - 1  # all ones but the winner's
    return x.sub_(others.log1p_())


def moments_of(logits: Tensor, transform: str) -> Moments:
    """Return mean and spread over the runs of what is standardized; logits: (b, C, m), any float.

    Computed in float32 where that is enough (`moments.DELICATE`), else in float64. A NaN or infinite logit
    gives a mean that is not finite.
    """
    return _refined(center(transformed(logits, transform)), logits, transform)[0]


def exact_moments(logits: Tensor, transform: str) -> Moments:
    """Return the same, computed in float64."""
    return center(transformed(logits, transform, torch.float64))


def _refined(moments: Moments, logits: Tensor, transform: str) -> tuple[Moments, Tensor]:
    """Compute the moments again in float64, in place, for the examples where float32 is not enough.

    Return them, and which examples are delicate by them, bool (b,).
    """
    delicate = moments.delicate
    if delicate.any():
        moments[delicate] = exact_moments(logits[delicate], transform)
        delicate = moments.delicate
    return moments, delicate
