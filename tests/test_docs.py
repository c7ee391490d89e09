"""The documents and docstrings: examples run; every command, option, link and path named exists."""

import ast
import doctest
import importlib
import re
import shlex
import tomllib

import click
import pytest

from kernel_core.cli.main import main
from kernel_core.sources.source_toml import SCHEMA
from tests.support.command import ROOT

# The examples of kernel_core/notebook/ need the digits: tests/test_notebook.py runs them.
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in ("kernel_core", "pages")
    for path in (ROOT / folder).rglob("*.py")
    if ">>> " in path.read_text() and path.parent.name != "notebook"
)
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "cache/README.md", *(ROOT / "docs").glob("*.md")])
EXAMPLES = (
    "my-ensemble",
    "my-images",
    "checkpoints",
    "images",
    "runs",
    "path",
    "my",
)  # folders of a reader's own


def relative(path):
    return path.relative_to(ROOT).as_posix()


def blocks(text, language):
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def inline_code(text):
    """The code in running text and tables, without the blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE))


def section(text, heading):
    """The text below a heading of the second level."""
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def verbs():
    """Each verb, as the words that call it, and its command."""
    for name, command in main.commands.items():
        if isinstance(command, click.Group):
            yield from ((f"{name} {sub}", of_group) for sub, of_group in command.commands.items())
        else:
            yield name, command


def options(command):
    """The options that a verb shows in its help, but for --help itself."""
    shown = (p for p in command.params if isinstance(p, click.Option) and not p.hidden)
    return {name for option in shown for name in option.opts}


def commands():
    """Every call of kernel-explorer in the documents: the document and the call."""
    for path in DOCUMENTS:
        text = path.read_text()
        lines = [line for block in blocks(text, "bash") for line in block.splitlines()]
        calls = [call.replace("\\|", "|") for call in [*lines, *inline_code(text)]]
        yield from ((path, call) for call in calls if call.startswith("kernel-explorer "))


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_are_true(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(("path", "call"), list(commands()), ids=lambda value: str(value)[-60:])
def test_command_in_a_document_names_a_verb_options_and_values_that_exist(path, call):
    words, command = shlex.split(call, comments=True)[1:], main
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    if words == ["VERB", "--help"]:
        return
    context = click.Context(command)
    values, rest, _order = command.make_parser(context).parse_args(words)
    assert not rest, "every word is an argument or an option"
    takes_arguments = any(isinstance(parameter, click.Argument) for parameter in command.params)
    assert values or isinstance(command, click.Group) or not takes_arguments
    for parameter in command.params:
        value = values.get(parameter.name)
        if isinstance(value, str | list) and value != "SOURCE":
            parameter.type_cast_value(context, value)


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_option_named_in_a_document_belongs_to_a_verb(path):
    known = {option for _name, command in verbs() for option in options(command)} | {"--help"}
    named = {word for code in inline_code(path.read_text()) for word in re.findall(r"(?<!\S)--[a-z-]+", code)}
    assert named <= known


def test_command_line_document_has_every_verb_with_every_option():
    text = (ROOT / "docs/command_line.md").read_text()
    shared = section(text, "Options that verbs share")
    for name, command in verbs():
        own = section(text, name.split()[0])
        missing = {option for option in options(command) if not re.search(rf"{option}\b", own + shared)}
        assert not missing, name


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        assert linked.exists(), target
        headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE) if anchor else []
        assert not anchor or anchor in [heading.lower().replace(" ", "-") for heading in headings], target


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_paths_and_modules_named_in_a_document_exist(path):
    for code in inline_code(path.read_text()):
        if re.fullmatch(r"(kernel_core|pages)(\.\w+)+", code):
            module, _, name = code.rpartition(".")
            file = ROOT / code.replace(".", "/")
            exists = file.is_dir() or file.with_suffix(".py").exists()
            assert exists or hasattr(importlib.import_module(module), name), code
        elif re.fullmatch(r"[\w./]+/[\w./]*|[\w./]+\.(py|js|css)", code):
            if code.split("/")[0] in EXAMPLES:
                continue
            assert (ROOT / code).exists() or any(ROOT.glob(f"kernel_core/**/{code}")), code


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_python_in_a_document_is_python(path):
    for block in blocks(path.read_text(), "python"):
        ast.parse(block)


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_make_targets_in_a_document_exist(path):
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    text = path.read_text()
    calls = [*inline_code(text), *(line for b in blocks(text, "bash") for line in b.splitlines())]
    assert {call.split()[1] for call in calls if call.startswith("make ")} <= set(targets)


def test_source_toml_in_the_documents_has_every_key_and_no_other():
    text = "\n".join(blocks((ROOT / "docs/sources.md").read_text(), "toml"))
    for block in blocks((ROOT / "docs/sources.md").read_text(), "toml"):
        for name, table in sections(tomllib.loads(block)):
            assert set(table) <= SCHEMA[name], name
    for name, keys in SCHEMA.items():
        assert f"[{name}" in text
        for key in keys:
            assert re.search(rf"\b{key}\b", text), key


def sections(content):
    """The sections of a source.toml by the name that `SCHEMA` knows their keys by, the top level first."""
    yield "", content
    for name, table in content.items():
        if isinstance(table, dict):
            inner = [value for value in table.values() if isinstance(value, dict)]
            yield name, {key: value for key, value in table.items() if value not in inner}
            yield from ((name, section) for section in inner)


def test_readme_is_short():
    assert len((ROOT / "README.md").read_bytes()) <= 9_000


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_lines_of_a_document_fit_a_screen(path):
    prose = (line for line in path.read_text().splitlines() if not line.startswith(("|", "!")))
    assert not [line for line in prose if len(line) > 110]
