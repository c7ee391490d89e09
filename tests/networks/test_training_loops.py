"""Each example of docs/training_loops.md, run unchanged in its own process, on tiny images, offline."""

import os
import re
from importlib.util import find_spec

import pytest

from kernel_core.pipeline import build
from kernel_core.sources.source import SourceRequest
from tests.support import forked
from tests.support.command import ROOT

DOCUMENT = (ROOT / "docs/training_loops.md").read_text()
RUNS, SIZES, CLASSES = 3, {"train": 24, "test": 10}, 3

# What the document assumes that a reader has: images, transform, make_model, loader and numbers.
PREAMBLE = f"""
import numpy as np, torch
rng = np.random.default_rng(0)
pixels = {{s: rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8) for s, n in {SIZES}.items()}}
images = {{s: (p, np.arange(len(p)) % {CLASSES}) for s, p in pixels.items()}}
runs, epochs, device = {RUNS}, 1, "cpu"
transform = lambda x: x.float() / 128 - 1
as_input = lambda image: transform(torch.from_numpy(image).permute(2, 0, 1))
sets = {{s: [(as_input(image), int(y)) for image, y in zip(*images[s])] for s in images}}
loader = torch.utils.data.DataLoader(sets["train"], batch_size=8, shuffle=True)

class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = torch.nn.Conv2d(3, 6, 3), torch.nn.Linear(6, {CLASSES})

    def forward(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3)))

make_model = Network
"""
OTHERS = {
    "PyTorch": "",
    "Lightning": """
import lightning
class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.network = Network()
    def forward(self, x):
        return self.network(x)
    def training_step(self, batch, _):
        return torch.nn.functional.cross_entropy(self(batch[0]), batch[1])
    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters())
make_model = Module
""",
    "Hugging Face Trainer": f"""
from transformers import ResNetConfig, ResNetForImageClassification
config = ResNetConfig(
    num_labels={CLASSES}, embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic"
)
make_model = lambda: ResNetForImageClassification(config)
train_set, test_set = ([{{"pixel_values": x, "labels": y}} for x, y in sets[s]] for s in ("train", "test"))
augmented_train_set = train_set
""",
    "Checkpoints": """
import pathlib
pathlib.Path("checkpoints").mkdir()
for seed in range(runs):
    torch.manual_seed(seed)
    torch.save(Network().state_dict(), f"checkpoints/{seed}.pt")
""",
    "Several processes": f"""
def train_and_run(seed):
    rng = np.random.default_rng(seed)
    return {{s: rng.normal(size=(n, {CLASSES})) for s, n in {SIZES}.items()}}
""",
}
NEEDS = {"Lightning": "lightning", "Hugging Face Trainer": "accelerate"}
WITH_FEATURES = {"PyTorch": ("fc:input", 6), "Checkpoints": ("fc:input", 6)}


def blocks(heading):
    """Return the blocks of Python below a heading."""
    section = DOCUMENT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


def run(code, folder, *arguments):
    environment = dict(os.environ, HF_HUB_OFFLINE="1", HF_HOME=str(folder / "hf"), CUDA_VISIBLE_DEVICES="")
    done = forked.run(forked.code, code, *arguments, env=environment, cwd=folder)
    assert done.returncode == 0, done.stderr


def test_every_section_with_code_is_run():
    with_code = {h for h in re.findall(r"^## (.*)$", DOCUMENT, re.MULTILINE) if blocks(h)}
    assert with_code == set(OTHERS)


@pytest.mark.parametrize("heading", OTHERS)
def test_example_makes_an_ensemble_that_opens(heading, tmp_path, cache):
    needed = NEEDS.get(heading)
    if needed and not find_spec(needed):  # importorskip would load the module in this process too
        pytest.skip(f"{needed} is not installed")
    code, *rest = blocks(heading)
    before = PREAMBLE + OTHERS[heading]
    if heading == "Several processes":
        for number in range(RUNS):
            run(before + code, tmp_path, str(number))
        run(rest[0], tmp_path)
    else:
        run(before + code, tmp_path)
    path = tmp_path / "my-ensemble" / "source.toml"
    features = WITH_FEATURES.get(heading)
    similarities = ("kernel", "penultimate") if features else ("kernel",)
    results = build(SourceRequest(str(path), similarities=similarities))
    assert results.neighbors_by("kernel").indices.shape == (SIZES["test"], SIZES["train"])
    assert results.predictions.single.shape == (RUNS,)
    assert results.neighbors_by("kernel").values.max() > 0, "the runs differ"
    if features:
        from kernel_core.sources.features import load_features
        from kernel_core.sources.source import penultimate

        stored = load_features(penultimate(path.with_name("penultimate.safetensors")))
        assert (stored.layer, stored.values["test"].shape[1]) == features
