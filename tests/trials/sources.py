"""The planted source for trials that need it whole, with its results."""

from tests.support.planted import plant, write_source
from tests.trials.processes import command, environment, faults_of, forked_work


def written(folder, *, features=True):
    """Write the planted source, with features or without; return its folder."""
    write_source(folder, plant())
    if not features:
        (folder / "penultimate.safetensors").unlink()
        description = folder / "source.toml"
        text = description.read_text()
        description.write_text(text[: text.index("[features]")])
    return folder


def built(folder):
    """Write the source below `folder` and build all of it; return the environment that serves it."""
    source = written(folder / "source")
    env = environment(folder / "cache", KERNEL_EXPLORER_SOURCE=str(source))
    for work, *arguments in ((command, "build", str(source)), (lay_out_map, str(source))):
        outcome = forked_work(work, *arguments, env=env)
        assert not faults_of(outcome, (0,)), outcome
    return env


def lay_out_map(source):
    """Run the verb `map` with points where UMAP would start; UMAP takes half a minute and writes no file.

    Work for a process.
    """
    from kernel_core.findings import map_layout

    map_layout.layout = lambda indices, *_: map_layout.starting_points(indices)
    command("map", source)
