"""The layout's laws, read from the source text: which room imports from which, and how long a file may be."""

import ast
import re
import subprocess
import sys

import pytest

from tests.support.command import ROOT

GROUND = (
    "errors", "printable", "did_you_mean", "held", "files", "looks_like", "library_caches", "memory",
    "memory_watch", "shortage", "crash", "progress", "spec", "similarities", "machine", "threads",
    "tensor_layout", "tensor_files", "array_files", "run_hashes", "torch_places", "block_array",
    "class_probabilities", "training_masks", "predicted", "class_labels", "records", "nngp", "oddities",
    "recipes", "checks",
)  # fmt: skip
# A package of kernel_core → what it may import beside the ground and itself. Nothing else, so no circles.
MAY_IMPORT = {
    "sources": set(),
    "similarity": set(),
    "search": set(),
    "findings": set(),
    "explain": set(),
    "review": set(),
    "ensembles": {"sources"},
    "results": {"sources", "findings", "explain", "review", "ensembles"},
    "engines": {"sources", "similarity", "search", "ensembles", "results"},
    "networks": {"ensembles", "sources", "engines"},
    "report": {"results", "findings", "explain", "sources", "review"},
    "exports": {"results", "findings", "explain", "sources", "review"},
    "static_copy": {"results", "findings", "explain", "sources", "review", "report"},
    "pipeline": {
        "sources", "similarity", "search", "findings", "explain", "ensembles", "results", "engines",
        "networks",
    },
    "notebook": {"sources", "findings", "explain", "review", "results", "exports", "pipeline"},
    "bench": {
        "sources", "similarity", "search", "findings", "explain", "ensembles", "results", "networks",
        "pipeline",
    },
    "lab": {
        "sources", "similarity", "search", "findings", "review", "ensembles", "results", "networks",
        "pipeline",
    },
    "pages": {"sources", "findings", "explain", "review", "results", "report", "exports"},
    "cli": {
        "sources", "similarity", "search", "findings", "explain", "ensembles", "results", "engines",
        "networks", "report", "pipeline", "bench", "lab", "review", "exports", "static_copy",
    },
}  # fmt: skip
TORCH = {
    "machine",
    "threads",
    "similarity",
    "search",
    "ensembles",
    "engines",
    "networks",
    "pipeline",
    "bench",
    "lab",
}

CORE = sorted((ROOT / "kernel_core").rglob("*.py"))
WEB = [ROOT / "app.py", ROOT / "server.py", *sorted((ROOT / "pages").rglob("*.py"))]
FRONT_END = [
    path
    for folder in ("pages", "kernel_core/static_copy/browser")
    for path in sorted((ROOT / folder).rglob("*.*"))
    if path.suffix in {".js", ".css"}
]


def room(path):
    """The package or ground module that a file of kernel_core is in; pages for all of the web side."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[1] if parts[0] == "kernel_core" else "pages"


def name(path):
    return path.relative_to(ROOT).as_posix()


def imports(path):
    """Dotted names that a file imports, wherever in it."""
    return [name for node in ast.walk(ast.parse(path.read_text())) for name in names_of(node)]


def imports_at_load(path):
    """Dotted names that loading a file imports: those outside functions and `if TYPE_CHECKING`."""
    waiting, found = list(ast.parse(path.read_text()).body), []
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        ):
            continue
        found += names_of(node)
        waiting += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
    return found


def names_of(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "no relative imports"
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def rooms_imported(path):
    """The packages and ground modules of kernel_core that a file imports."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("kernel_core.")}


@pytest.mark.parametrize("path", [*CORE, *WEB], ids=name)
def test_a_room_imports_only_what_the_table_allows(path):
    home = room(path)
    if home in GROUND:
        allowed = set(GROUND[: GROUND.index(home)])  # each in its order of need
    elif home in MAY_IMPORT:
        allowed = {*GROUND, home, *MAY_IMPORT[home]}
        allowed -= {"machine"} if home == "pages" else set()
    else:
        return
    assert rooms_imported(path) - {"__version__"} <= allowed


@pytest.mark.parametrize("path", CORE, ids=name)
def test_core_never_imports_streamlit_or_pages(path):
    assert not [name for name in imports(path) if name.split(".")[0] in {"streamlit", "pages", "app"}]


@pytest.mark.parametrize("path", [*CORE, *WEB], ids=name)
def test_only_rooms_that_compute_load_torch(path):
    found = imports(path) if room(path) == "pages" else imports_at_load(path)
    assert room(path) in TORCH or not {name.split(".")[0] for name in found} & {"torch", "torchvision"}


@pytest.mark.parametrize("path", [*CORE, *WEB], ids=name)
def test_module_can_be_read_in_one_sitting(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            length = node.end_lineno - node.lineno + 1
            assert length <= 40, f"{name(path)}: {node.name} is {length} lines long"
    limit = 150 if path.parent.name == "pages" else 300
    assert len(path.read_text().splitlines()) <= limit


def test_every_page_calls_the_guard_first():
    for path in (ROOT / "pages").glob("*.py"):
        calls = [
            node
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.Expr | ast.Assign | ast.With)
        ]
        first = next(node for node in calls if not isinstance(getattr(node, "value", None), ast.Constant))
        assert ast.unparse(first) == "shell.guard()", path.name


def test_no_page_shows_a_text_by_mistake():
    """Streamlit writes bare expressions of a page's file onto the page, a constant's explanation too."""
    for path in (ROOT / "pages").glob("*.py"):
        statements = ast.parse(path.read_text()).body[1:]
        shown = [n for n in statements if isinstance(n, ast.Expr) and not isinstance(n.value, ast.Call)]
        assert not shown, f"{path.name}: {ast.unparse(shown[0])}"


def test_importing_the_web_side_loads_no_torch_and_touches_no_file(tmp_path):
    heavy = "torch", "torchvision", "streamlit", "sklearn", "scipy", "umap", "numba", "huggingface_hub"
    code = (
        "import sys, kernel_core.results.nearby, kernel_core.cli.main;"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "KERNEL_EXPLORER_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", FRONT_END, ids=name)
def test_script_or_style_can_be_read_in_one_sitting(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= 300
    assert not [line for line in lines if len(line) > 110]


def test_scripts_use_every_function_and_constant():
    """The linter sees one file at a time, but a script is several, one after the other."""
    text = "".join(path.read_text() for path in FRONT_END if path.suffix == ".js")
    defined = re.findall(r"^(?:function|const) (\w+)", text, re.MULTILINE)
    assert len(defined) > 80
    assert not [name for name in defined if len(re.findall(rf"\b{name}\b", text)) == 1]


@pytest.mark.parametrize("path", WEB, ids=name)
def test_scripts_and_styles_stand_in_files_of_their_own(path):
    """A long text that reads as JavaScript or CSS: statements, arrow functions, or rules in braces."""
    texts = [
        n.value
        for n in ast.walk(ast.parse(path.read_text()))
        if isinstance(n, ast.Constant) and isinstance(n.value, str)
    ]
    looks_like_code = re.compile(r"=>|\bfunction \w*\(|\bconst \w|<style>\s*\S|[.#\w\])]\s*\{[^}]*:[^}]*;")
    assert not [text for text in texts if "\n" in text and looks_like_code.search(text)]
