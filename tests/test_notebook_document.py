"""docs/notebook.ipynb, executed as it stands, and the tables that docs/notebook.md promises."""

import json
import os

import pytest

from tests.support.command import ROOT
from tests.test_docs import inline_code, section

TABLES = ("neighbors", "pairs", "failures", "disagreement")
COLUMNS_OF_TABLES = f"""
import json, pandas
tables = {{name: globals()[name] for name in {TABLES}}}
assert all(isinstance(table, pandas.DataFrame) and len(table) for table in tables.values())
print(json.dumps({{name: list(table.columns) for name, table in tables.items()}}))
"""


@pytest.fixture
def kernel_environment(digits_cache, tmp_path):
    """The digits built, and Jupyter's own files in a folder of the test."""
    folders = ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")
    return {
        **os.environ, "PYTHONPATH": str(ROOT), "KERNEL_EXPLORER_CACHE": digits_cache["KERNEL_EXPLORER_CACHE"],
        **{name: str(tmp_path / name.lower()) for name in folders},
    }  # fmt: skip


def executed(notebook, environment):
    """The notebook's cells with new outputs; raises at the first cell that fails."""
    import nbclient
    from jupyter_client.manager import AsyncKernelManager

    kernel = AsyncKernelManager(
        transport="ipc", kernel_name="python3"
    )  # sockets as files: no port to race for
    client = nbclient.NotebookClient(notebook, timeout=200, km=kernel, record_timing=False)
    return client.execute(env=environment)


def test_notebook_runs_and_its_tables_have_the_documented_columns(kernel_environment):
    import nbformat

    notebook = nbformat.read(ROOT / "docs/notebook.ipynb", as_version=4)
    nbformat.validate(notebook)
    saved = [[output.output_type for output in cell.outputs] for cell in code_cells(notebook)]
    notebook.cells.append(nbformat.v4.new_code_cell(COLUMNS_OF_TABLES))
    *cells, last = code_cells(executed(notebook, kernel_environment))
    assert [[output.output_type for output in cell.outputs] for cell in cells] == saved
    assert all(cell.outputs for cell in cells)
    text = (ROOT / "docs/notebook.md").read_text()
    for name, columns in json.loads(last.outputs[0].text).items():
        documented = [
            code
            for row in rows(section(text, name).split("\n| `probability`")[0])  # the rest is of another order
            for code in inline_code(row.split("|")[1])
        ]
        assert sorted(documented) == sorted(columns), name


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def rows(text):
    return [line for line in text.splitlines() if line.startswith("|")]
