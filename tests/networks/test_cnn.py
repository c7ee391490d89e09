"""The parts of the convolutional trainer against slow, independent computations."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from kernel_core.networks import cnn
from kernel_core.networks.batches import Batches
from kernel_core.recipes import CIFAR10, CIFAR10_SMALL, Diverged, TrainedRun
from kernel_core.records import ExampleSet

CPU = torch.device("cpu")


pytestmark = pytest.mark.usefixtures("one_thread")


def colored(count, size, classes=3, seed=0):
    """Make noisy images whose brightness shows their class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    pixels = rng.integers(0, 60, (count, size, size, 3)) + 60 * labels[:, None, None, None]
    return ExampleSet("train", pixels.astype(np.uint8), labels, tuple("abcdefgh")[:classes])


def batches(examples, recipe=CIFAR10_SMALL, dtype=torch.float32, seed=0):
    return Batches(examples, recipe, CPU, dtype, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("recipe", [CIFAR10, CIFAR10_SMALL], ids=["cifar10", "cifar10-small"])
def test_whitening_decorrelates_patches(recipe):
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.normal(size=(200, 32, 32, 3)), axis=1)
    x = torch.from_numpy((smooth - smooth.mean()) / smooth.std()).permute(0, 3, 1, 2).float()
    network = cnn.SmallCnn(recipe, 32, 10)
    network.whiten(x)
    half = network.filters
    with torch.no_grad():
        w = network.whitening.weight.double()
    torch.testing.assert_close(w[:half], -w[half:])
    patches = (
        functional.unfold(x.double(), w.shape[-1], stride=network.whitening.stride[0])
        .transpose(1, 2)
        .flatten(0, 1)
    )
    second = np.einsum("pi,pj->ij", patches.numpy(), patches.numpy()) / len(patches)
    out = w[:half].flatten(1).numpy()
    moments = out @ second @ out.T  # second moments of the filters' outputs
    np.testing.assert_allclose(moments, np.diag(np.diag(moments)), atol=1e-5)
    values = np.sort(np.linalg.eigvalsh(second))[::-1][:half]
    np.testing.assert_allclose(np.diag(moments), values / (values + 5e-4), rtol=1e-4)


def test_images_are_shifted_with_reflection_and_mirrored_in_alternate_epochs():
    examples = colored(50, 6)
    made = batches(examples, replace(CIFAR10_SMALL, translation=2))
    padded = np.pad(examples.images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    indices = torch.arange(50)

    def move_of(i, image):
        """Return by how many pixels an image was shifted down and right, and whether it was mirrored."""
        for mirrored in (False, True):
            for down in range(5):
                for right in range(5):
                    moved = padded[i, down : down + 6, right : right + 6]
                    if np.array_equal(moved[:, ::-1] if mirrored else moved, image):
                        return down, right, mirrored
        raise AssertionError("no such move")

    first = [move_of(i, image) for i, image in enumerate(made.shifted(indices).numpy())]
    made.epoch += 1
    second = [move_of(i, image) for i, image in enumerate(made.shifted(indices).numpy())]
    assert all(a[2] != b[2] for a, b in zip(first, second, strict=True))
    assert 10 < sum(move[2] for move in first) < 40
    assert {move[0] for move in first} == {move[1] for move in first} == set(range(5))


def test_an_epoch_sees_each_image_at_most_once():
    examples = colored(70, 8)
    made = batches(examples, replace(CIFAR10_SMALL, batch=32))
    labels = torch.cat([labels for _, labels in made])
    assert len(made) == 2
    assert len(labels) == 64
    assert (np.bincount(labels, minlength=3) <= np.bincount(examples.labels)).all()


@pytest.mark.parametrize("shape", [(16, 8, 3, 3), (8, 200, 1, 1)], ids=["tall", "wide"])
def test_orthogonal_step_has_equal_size_in_every_direction(shape):
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(shape, generator=generator).requires_grad_()
    # Singular values within a factor of 20: three iterations bring them close to 1.
    u, _, v = torch.linalg.svd(torch.randn(shape, generator=generator).flatten(1), full_matrices=False)
    weights.grad = (u * torch.linspace(0.05, 1, u.shape[1]) @ v).view(shape)
    scaled = weights.detach() * len(weights) ** 0.5 / weights.detach().norm()
    cnn.orthogonal_step(weights, torch.zeros(shape), 1.0)
    step = (scaled - weights.detach()).flatten(1)
    assert torch.linalg.matrix_norm(step, 2) < 1.3
    aligned = (step * (u @ v)).sum() / u.shape[1]
    assert 0.7 < aligned < 1.2, "in the directions of the gradient, by about the same amount each"


@pytest.mark.parametrize("size", [8, 28, 32, 64])
@pytest.mark.parametrize("recipe", [CIFAR10, CIFAR10_SMALL], ids=["cifar10", "cifar10-small"])
def test_images_of_any_size_are_trained_on(recipe, size):
    examples = colored(60, size)
    tiny = replace(recipe, widths=(8, 12), epochs=1, batch=20)
    (run,) = cnn.train_runs(tiny, {"train": examples, "test": examples}, [5], seed=0)
    assert isinstance(run, TrainedRun)
    assert run.logits["train"].shape == (60, 3)
    assert run.features["test"].shape == (60, 12)
    assert run.logits["test"].dtype == np.float16


def test_training_learns_and_one_seed_is_one_run():
    train, test = colored(300, 8), colored(100, 8, seed=1)
    recipe = replace(CIFAR10_SMALL, widths=(8, 16), epochs=6, batch=50)

    def logits(run, seed=0):
        torch.manual_seed(np.random.randint(1000))  # noqa: NPY002 (what happens outside must not matter)
        (made,) = cnn.train_runs(recipe, {"train": train, "test": test}, [run], seed)
        assert made.accuracy > 0.9
        assert made.accuracy == (made.logits["test"].argmax(1) == test.labels).mean()
        return made.logits["test"]

    np.testing.assert_array_equal(logits(0), logits(0))
    assert (logits(0) != logits(1)).mean() > 0.9
    assert (logits(0) != logits(0, seed=1)).mean() > 0.9


def test_a_loss_that_goes_to_nan_is_noticed():
    wild = replace(CIFAR10_SMALL, widths=(8, 8), epochs=4, batch=20, learning_rate=1e30, orthogonal=0.0)
    examples = colored(60, 8)
    (run,) = cnn.train_runs(wild, {"train": examples, "test": examples}, [4], seed=0)
    assert run == Diverged(4, "its loss went to NaN")


def test_a_step_in_half_precision_as_on_a_gpu():
    """Take a step with the dtypes of a GPU: float16 images and weights, float32 normalization."""
    examples = colored(64, 32)
    recipe = replace(CIFAR10, widths=(8, 16), batch=32)
    made = batches(examples, recipe, torch.float16)
    network = cnn.SmallCnn(recipe, 32, 3).to(torch.float16, memory_format=torch.channels_last)
    cnn.keep_norms_in_float32(network)
    network.whiten(made.normalize(torch.from_numpy(examples.images).permute(0, 3, 1, 2)))
    assert cnn.descend(
        network=network, batches=made, recipe=replace(recipe, epochs=2), progress=lambda *_: None
    )
    assert network.head.weight.dtype == torch.float16
    assert all(torch.isfinite(p).all() for p in network.parameters())


@pytest.mark.cuda
def test_one_seed_is_one_run_on_a_gpu():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    examples = colored(256, 32)
    recipe = replace(CIFAR10, epochs=2, batch=64)
    both = {"train": examples, "test": examples}
    first, second = (cnn.train_runs(recipe, both, [0], 0, device=torch.device("cuda"))[0] for _ in range(2))
    np.testing.assert_array_equal(first.logits["test"], second.logits["test"])
