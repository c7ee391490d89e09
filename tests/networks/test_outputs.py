"""Logits and features of a network, against computations by hand; the network is left unchanged."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from kernel_core.errors import DataError, RequestError
from kernel_core.networks.outputs import layer_names, outputs

IMAGES = np.random.default_rng(0).integers(0, 256, (11, 6, 5, 3), dtype=np.uint8)


class Net(nn.Module):
    """A convolution, the mean over pixels, and a linear head; `wrap` makes what is returned of the logits."""

    def __init__(self, wrap=lambda logits: logits):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.unused = nn.Linear(1, 1)
        self.tokens = nn.Identity()
        self.fc = nn.Linear(4, 7)
        self.wrap = wrap

    def forward(self, x):
        x = self.norm(self.conv(x).relu())
        self.tokens(x.flatten(2).transpose(1, 2))  # (b, tokens, D)
        return self.wrap(self.fc(self.drop(x.mean((2, 3)))))


def by_hand(images):
    """Compute logits and penultimate features of `Net()`, in float64, one image at a time."""
    model = Net().double().eval()
    features = []
    for image in images:
        x = torch.from_numpy(image).permute(2, 0, 1)[None].double() / 255
        features.append(model.norm(model.conv(x).relu()).mean((2, 3))[0])
    features = torch.stack(features)
    return model.fc(features).detach().numpy(), features.detach().numpy()


@pytest.mark.parametrize("layer", ["fc:input", "drop", "norm", "tokens", "tokens:input", "fc"])
@pytest.mark.parametrize("batch", [3, 500])
def test_logits_and_features_equal_those_by_hand(layer, batch):
    model = Net()
    logits, features = outputs(model, IMAGES, layer=layer, batch=batch)
    expected_logits, expected_features = by_hand(IMAGES)
    assert (logits.dtype, features.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(logits, expected_logits, atol=1e-6)
    np.testing.assert_allclose(
        features, expected_logits if layer == "fc" else expected_features, atol=1e-6
    )  # pixels and tokens are averaged


@pytest.mark.parametrize(
    "wrap",
    [
        lambda logits: SimpleNamespace(logits=logits, loss=None),
        lambda logits: {"loss": torch.zeros(()), "logits": logits},
        lambda logits: (logits, "more"),
        lambda logits: [logits],
        lambda logits: logits.half(),
    ],
)
def test_logits_are_found_in_what_a_model_returns(wrap):
    logits, features = outputs(Net(wrap), IMAGES)
    assert features is None
    np.testing.assert_allclose(logits, by_hand(IMAGES)[0], atol=1e-3)


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda logits: {"scores": logits}, "returned a dict with the keys scores; expected logits"),
        (lambda logits: None, "returned a NoneType"),
        (lambda logits: logits[:, :, None], r"whose logits have the shape \(11, 7, 1\)"),
        (lambda logits: logits[1:], "logits of 10 examples for 11 images"),
        (lambda logits: logits.index_fill(0, torch.tensor([4]), torch.nan), "logits of example 4 are NaN"),
        (lambda logits: logits / 0, "logits of example 0 are NaN or infinite"),
    ],
)
def test_anything_but_logits_is_refused(wrap, message):
    with pytest.raises(DataError, match=message):
        outputs(Net(wrap), IMAGES)


def test_example_that_is_not_finite_is_named_by_its_index_in_the_split():
    with pytest.raises(DataError, match="logits of example 8 are NaN"):
        outputs(Net(lambda z: z * torch.nan if len(z) == 3 else z), IMAGES, batch=4)


def test_layer_that_does_not_exist_lists_those_that_do_close_ones_first():
    with pytest.raises(
        RequestError, match=r"no layer 'norn'\. Its layers: norm, conv, drop, unused, tokens, fc\."
    ):
        outputs(Net(), IMAGES, layer="norn")
    for layer in ("", ":input", "fc:output"):
        with pytest.raises(RequestError, match=f"no layer '{layer}'"):
            outputs(Net(), IMAGES, layer=layer)


def test_layer_that_is_never_called_or_gives_no_numbers_is_refused():
    with pytest.raises(DataError, match="never calls the layer 'unused'"):
        outputs(Net(), IMAGES, layer="unused")
    model = Net()
    model.tokens.forward = lambda x: "words"
    with pytest.raises(DataError, match="'tokens' gave str; expected floating-point numbers"):
        outputs(model, IMAGES, layer="tokens")


def test_model_is_left_as_it_was():
    model = Net().train()
    model.norm.eval()  # frozen, as in fine-tuning
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for layer in ("fc:input", "fc", "unused"):
        try:
            outputs(model, IMAGES, layer=layer)
        except DataError:
            assert layer == "unused"
        assert [m.training for m in (model, model.drop, model.norm)] == [True, True, False]
        assert not model.fc._forward_hooks
        assert not model.fc._forward_pre_hooks
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_transform_gets_the_bytes_channels_first():
    seen = []

    def transform(x):
        seen.append((x.dtype, tuple(x.shape), x.numpy().copy()))
        return x.float() / 255

    logits, _ = outputs(Net(), IMAGES, transform=transform, batch=6)
    assert [s[:2] for s in seen] == [(torch.uint8, (6, 3, 6, 5)), (torch.uint8, (5, 3, 6, 5))]
    np.testing.assert_array_equal(np.concatenate([s[2] for s in seen]), IMAGES.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(logits, outputs(Net(), IMAGES, batch=6)[0])


def test_images_of_another_dtype_or_shape_are_refused():
    for images in (IMAGES / 255, IMAGES[..., :1], IMAGES[0], IMAGES[:0]):
        with pytest.raises(DataError, match="expected uint8"):
            outputs(Net(), images)


def test_half_precision_network_and_progress():
    steps = []
    outputs(Net().bfloat16(), IMAGES, batch=4, progress=lambda *step: steps.append(step))
    assert steps == [("running the network", done, 11) for done in (4, 8, 11)]


def test_layers_are_named_as_pytorch_names_them():
    model = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(90, 4), nn.ReLU()), nn.Linear(4, 2))
    assert layer_names(model) == ["0", "1", "1.0", "1.1", "2"]
    _, features = outputs(model, IMAGES, layer="1.1")
    np.testing.assert_array_equal(features, outputs(model, IMAGES, layer="2:input")[1])


def test_layer_before_an_in_place_one_is_recorded_unchanged():
    model = nn.Sequential(nn.Flatten(), nn.Linear(90, 4), nn.ReLU(inplace=True), nn.Linear(4, 2))
    for layer in ("1", "2:input"):
        assert (outputs(model, IMAGES, layer=layer)[1] < 0).any()


def test_head_of_a_deep_network_is_listed():
    deep = nn.Sequential(
        *(nn.Sequential(*(nn.Identity() for _ in range(9))) for _ in range(9)), nn.Linear(1, 1)
    )
    with pytest.raises(RequestError, match=r"Its layers: 0, 1, .* 8, 9, 0\.0, .*, and 31 more\. Name one"):
        outputs(deep, IMAGES, layer="fc")
