"""The laws of the layout, read from the source text."""

import ast
import subprocess
import sys

import pytest

from tests.conftest import ROOT

# A module of kernel_core imports only from lower floors.
FLOORS = {
    "errors": 0, "files": 0, "recipes": 0,
    "records": 1, "machine": 1,
    "descriptions": 2,
    "images": 3, "ensembles": 3, "hub": 3, "store": 3, "progress": 3, "tables": 3, "alignment": 3, "synthetic": 3,
    "identity": 3, "rows": 3, "runs": 3, "source_files": 3, "weights": 3,
    "inference": 4, "moments": 4, "products": 4, "selection": 4, "blocks": 4, "run_files": 4,
    "mlp": 4, "evaluate": 4, "comparison": 4, "duplicates": 4, "explain": 4, "certainty": 4,
    "nearness": 4, "pixels": 4, "projection": 4, "distribution": 4, "source_toml": 4,
    "embed": 5, "topk": 5, "failures": 5, "networks": 5, "cnn": 5, "disagreement": 5,
    "certify": 6, "sources": 6,
    "plan": 7, "serving": 7, "rivals": 7, "features": 7, "given": 7,
    "results": 8, "bench_child": 8, "writer": 8,
    "figures": 9, "training": 9, "likeness": 9, "checkpoints": 9,
    "pipeline": 10,
    "options": 11, "report": 11,
    "bench": 12, "report_verb": 12, "features_verb": 12, "train_verb": 12, "maps": 12,
    "cli": 13,
    "__main__": 14,
}  # fmt: skip
CORE = sorted((ROOT / "kernel_core").glob("*.py"))
WEB = [ROOT / "app.py", *sorted((ROOT / "pages").rglob("*.py"))]


def imports(path):
    """Dotted names that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(path):
    """The modules of kernel_core that a file imports."""
    parts = (name.split(".") for name in imports(path) if name.startswith("kernel_core."))
    return {part[1] for part in parts if part[1] in FLOORS}


def test_every_module_has_its_floor():
    assert {path.stem for path in CORE} - {"__init__"} == set(FLOORS)


@pytest.mark.parametrize(
    "path", [path for path in CORE if path.stem != "__init__"], ids=lambda path: path.stem
)
def test_module_imports_only_from_lower_floors(path):
    higher = {name for name in own(path) if FLOORS[name] >= FLOORS[path.stem]}
    assert not higher, f"{path.name} (floor {FLOORS[path.stem]}) imports {higher}"


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_core_never_imports_streamlit_or_pages(path):
    assert not [name for name in imports(path) if name.split(".")[0] in {"streamlit", "pages", "app"}]


@pytest.mark.parametrize("path", WEB, ids=lambda path: path.stem)
def test_pages_never_import_torch_or_what_needs_it(path):
    assert not [name for name in imports(path) if name.split(".")[0] in {"torch", "torchvision"}]
    assert not own(path) & {
        "machine", "moments", "products", "selection", "embed", "topk", "certify", "training", "mlp", "cnn", "inference",
        "weights", "networks", "features", "source_files", "run_files", "given", "writer", "checkpoints",
        "ensembles", "pipeline",
    }  # fmt: skip


@pytest.mark.parametrize("path", [*CORE, *WEB], ids=lambda path: path.stem)
def test_module_can_be_read_in_one_sitting(path):
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            length = node.end_lineno - node.lineno + 1
            assert length <= 45, f"{path.name}: {node.name} is {length} lines long"
    limit = 150 if path.parent.name == "pages" else 320
    assert len(path.read_text().splitlines()) <= limit


def test_only_the_straight_line_touches_the_store():
    users = {path.stem for path in CORE if "store" in own(path)}
    # serving and sources name its folder, cli lists and clears it.
    assert users == {"plan", "results", "pipeline", "serving", "sources", "cli"}


def test_every_page_calls_the_guard_first():
    for path in (ROOT / "pages").glob("*.py"):
        calls = [
            node
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.Expr | ast.Assign | ast.With)
        ]
        first = next(node for node in calls if not isinstance(getattr(node, "value", None), ast.Constant))
        assert ast.unparse(first) == "shell.guard()", path.name


def test_importing_the_web_side_loads_no_torch_and_touches_no_file(tmp_path):
    code = "import sys, kernel_core.results, kernel_core.cli; print([m for m in ('torch', 'torchvision', 'streamlit', 'sklearn', 'scipy', 'umap', 'numba') if m in sys.modules])"  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "KERNEL_EXPLORER_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
    assert list(tmp_path.iterdir()) == []
