"""Nearest pairs by two similarities: which are near-duplicates, and which random confident examples?"""

import pandas as pd
import streamlit as st

from kernel_core.findings import pairs
from kernel_core.findings.twins import pixels_last
from kernel_core.report import pair_quality
from kernel_core.similarities import PENULTIMATE
from kernel_core.spec import KernelSpec, run_count_steps
from pages.ui import lists, load, paired, shell
from pages.ui.badges import Badges
from pages.ui.charts import table_height
from pages.ui.components.gallery import Cell, gallery, tile
from pages.ui.controls import choose_similarity, control_row, stop_unless_built
from pages.ui.panels import neighbor_lists
from pages.ui.panels.list_tools import Listed, command, list_tools, python
from pages.ui.panels.ranks import choose_ranks, stop_if_reversed
from pages.ui.wording import escape

shell.guard()
results = load.results()

STEPS = 2  # run counts to try the kernel with, beside all
SHOWN = pairs.WINDOW  # pairs drawn and counted per side
# Numbers of `pair_quality.describe_pairs` → their columns.
SHARES = {
    "same_label": "Same label",
    "nearest_by_pixels": "Nearest by Pixels too",
    "alike": "Alike",
    "confidence": "Ensemble's probability",
}

shell.heading(results, "Kernel or features?", "The nearest pairs by two similarities, side by side.")
total = len(load.ranking(results.id, "kernel"))
neighbor_lists.say_if_no_features(results)
run_counts = run_count_steps(results.run_count)[:-1][:STEPS]
fewer_runs = {count: KernelSpec("kernel", run_count=count).name for count in run_counts}
with control_row():
    first, last = choose_ranks(total, home=pairs.default_rank_window(total))
    one = choose_similarity(results, "First similarity", "by", more=list(fewer_runs.values()))
    other = choose_similarity(results, "Second similarity", "other", default=PENULTIMATE, without=one)
stop_if_reversed(first, last)
stop_unless_built(results, one, other)
rankings = {name: paired.ranking(results, name, paired.SIMILARITY) for name in (one, other)}

left, right = st.columns([2, 1], gap="large")
with left:
    st.header("Measured, not judged by eye")
    last_counted = min(last, first + SHOWN - 1)
    measured = {
        results.title_of(name): load.pair_numbers(results.id, name, first, last_counted) for name in rankings
    }
    measured[pair_quality.RANDOM] = load.random_numbers(results.id, last_counted - first + 1)
    rows = []
    for title, numbers in measured.items():
        row = {"By": title} | {c: f"{numbers[name]:.0%}" for name, c in SHARES.items() if name in numbers}
        if results.has_images:
            row["Pixel correlation"] = f"{numbers['pixel_correlation']:.2f}"
        rows.append(row)
    st.dataframe(pd.DataFrame(rows), hide_index=True, height=table_height(len(rows)))
with right:
    st.header("Does the kernel hold with fewer runs?")
    top, whole = min(SHOWN, total), load.ranking(results.id, "kernel")
    rows = []
    for count, name in [*fewer_runs.items(), (results.run_count, "kernel")]:
        held = "not built"
        if name in results.names:
            held = f"{pairs.count_shared_pairs(whole, load.ranking(results.id, name), SHOWN)} of {top}"
        runs = f"{count:,} (all)" if name == "kernel" else f"{count:,}"
        rows.append({"Runs": runs, f"Of the kernel's {top} nearest pairs": held})
    st.dataframe(pd.DataFrame(rows), hide_index=True, height=table_height(len(rows)))
    if not set(fewer_runs.values()) <= set(results.names):
        st.caption("Choose the kernel of fewer runs above to build its pairs.")
by_pixels = (
    " Nearest by Pixels too: the second example is also the nearest by Pixels. Alike: the pixels correlate "
    f"by at least {pair_quality.ALIKE} after the best shift of up to {pair_quality.SHIFT} pixels, with or "
    "without mirroring."
)
st.caption(
    "Below each test example: the class that the ensemble predicts, with its probability averaged over the "
    f"runs. The numbers are of the pairs shown below: ranks {first:,} to {last:,} of each ranking, or the "
    f"first {SHOWN} of them.{by_pixels if results.has_images else ''} "
    f"{pair_quality.RANDOM.capitalize()}: the test "
    f"examples of which the ensemble is surest, each with a random {results.spec.database_example} of its "
    "label; features that look no better have found the label and nothing else. A pair holds if fewer runs "
    f"have the same two examples among their first {SHOWN}."
)


badges = Badges(results)


def cell(rank: int, similarity: float, query: int, database: int) -> Cell:
    """Return a pair under its rank and similarity, with the ensemble's prediction for the test example."""
    predicted = results.class_names[results.predictions.predicted[query]]
    note = f"{results.predictions.confidence[query]:.0%} {predicted}"
    label = int(results.examples[results.query].labels[query])
    tiles = [
        tile(results, results.query, query, note=note),
        tile(results, results.database, database, beside=label, note=f"{results.database} {database}"),
    ]
    head = f"#{rank}  ·  {similarity:.3f}"
    made: Cell = {"id": query, "head": head, "groups": [{"title": "", "tiles": tiles}]}
    badges.on_pair(made, (results.query, query), (results.database, database))
    return made


for column, (name, ranking) in zip(st.columns(2, gap="small"), rankings.items(), strict=True):
    with column:
        title = results.title_of(name)
        st.header(f"By {escape(title)}")
        window = pairs.rank_window(ranking, first, last).head(SHOWN)
        cells = [
            cell(pair.rank, pair.similarity, pair.query_index, pair.database_index)
            for pair in window.itertuples()
        ]
        carried = lists.carried(results, "near_duplicates", name)
        label = f"pairs by {title}"
        gallery(results, cells, layout="pairs", key=f"pairs_{name}", label=label, carried=carried)


def listed(name: str) -> Listed:
    """Return the pairs by one of the two similarities."""
    rows = pairs.rank_window(rankings[name], first, last).head(SHOWN)
    end = first + len(rows) - 1
    return Listed(
        len(rows),
        "pair",
        lambda: pixels_last(pairs.with_class_names(rows, results.class_names)),
        command(results, "pairs", name, "--ranks", f"{first}-{end}"),
        python(results, "pairs", first, end, by=name),
        f"by {results.title_of(name)}",
    )


list_tools(results, "feature_pairs", listed(one), listed(other))
