"""The kernel of plain convolutional networks of infinitely many channels at their start, in closed form.

The networks: convolutions of 3 × 3 pixels with zeros around the image, each followed by ReLU; the mean over
the pixels; one dense layer. Weights have variance 2 / fan-in, and there are no biases. As channels grow many,
the values of each layer at the pixels p and p' of two images x and x' are jointly normal. Their covariance
K(x, p; x', p') starts as the sum over the channels of the product of the two pixels. Up to a factor that all
pairs share, and that the correlation of the outputs does not depend on, a convolution sums it over the nine
offsets d,

    K(x, p; x', p') ← Σ_d K(x, p + d; x', p' + d)

and ReLU takes it to √(v v') (sin θ + (π − θ) cos θ) / π, where v and v' are the two variances, and cos θ is
their correlation; the variances stay. The outputs' covariance is the sum over all pairs of pixels, so all of
these are needed: H²W² numbers for each pair of images.

Source: Novak et al., "Bayesian Deep Convolutional Networks with Many Channels are Gaussian Processes", 2019.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from kernel_core.progress import Progress, no_progress

Values = npt.NDArray[np.float64]
Images = npt.NDArray[np.floating]
BLOCK = 65_536  # covariances computed at a time, which fit a core's cache


def cnn_nngp_correlation(
    query: Images, database: Images, convolutions: int, *, progress: Progress = no_progress
) -> Values:
    """Return the correlation of the outputs of each pair of images, (n, m), in [0, 1].

    query, database: images as the networks see them, (n, H, W, C) and (m, H, W, C), of the floating dtype in
    which to compute. The outputs of an image of zeros are all 0; its correlation with all others counts as 0.
    """
    x, y = (torch.from_numpy(np.ascontiguousarray(images)) for images in (query, database))
    size = max(1, BLOCK // int(np.prod(query.shape[1:3])) ** 2)
    parts = [torch.split(of, size) for of in (x, y)]
    own = [torch.cat([_covariances(part, part, convolutions) for part in of]) for of in parts]
    found = torch.empty(len(x), len(y), dtype=x.dtype)
    for number, image in enumerate(x):
        progress("closed form of convolutional networks", number, len(x))
        rows = [_covariances(image.expand_as(part), part, convolutions) for part in parts[1]]
        found[number] = torch.cat(rows)
    lengths = (own[0][:, None] * own[1]).sqrt()
    return torch.where(lengths > 0, found / lengths, 0.0).double().numpy()


def _covariances(x: Tensor, y: Tensor, convolutions: int) -> Tensor:
    """Return the covariance of the outputs of pairs of images (b, H, W, C), each x with its y, (b,)."""
    k = torch.einsum("bhwc,bijc->bhwij", x, y)
    of_x, of_y = (image.square().sum(3) for image in (x, y))  # variances, (b, H, W)
    for _ in range(convolutions):
        k, of_x, of_y = _over_offsets(k), _around(of_x), _around(of_y)
        k = _after_relu(k, of_x.sqrt()[:, :, :, None, None], of_y.sqrt()[:, None, None])
    return k.sum((1, 2, 3, 4))


def _after_relu(k: Tensor, of_x: Tensor, of_y: Tensor) -> Tensor:
    """Return the covariances after ReLU. k: overwritten. of_x, of_y: deviations, shaped to go with k."""
    for deviation in (of_x, of_y):
        k.mul_(torch.where(deviation > 0, 1 / deviation, 0.0))
    cosine = k.clamp_(-1, 1)
    angle = cosine.neg().acos_()  # π − θ
    sine = cosine.square().neg_().add_(1).sqrt_()
    return cosine.mul_(angle).add_(sine).mul_(of_x / torch.pi).mul_(of_y)


def _over_offsets(k: Tensor) -> Tensor:
    """Return the sum of k (b, H, W, H, W) over the nine offsets, the same for both pixels."""
    for rows in (1, 2):  # along the height, then along the width
        total, length = k.clone(), k.shape[rows] - 1
        for to, of in ((0, 1), (1, 0)):
            _shifted(total, rows, to, length).add_(_shifted(k, rows, of, length))
        k = total
    return k


def _shifted(k: Tensor, rows: int, start: int, length: int) -> Tensor:
    return k.narrow(rows, start, length).narrow(rows + 2, start, length)


def _around(variances: Tensor) -> Tensor:
    """Return the sum of variances (b, H, W) over each pixel and those around it."""
    return functional.avg_pool2d(variances, 3, 1, 1, divisor_override=1)
