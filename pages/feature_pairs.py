"""Nearest pairs: are those by the kernel near-duplicates, and those by features random confident examples?"""

import pandas as pd
import streamlit as st

from kernel_core.errors import NotBuilt
from kernel_core.findings import pairs
from kernel_core.report import pair_quality
from kernel_core.spec import SIMILARITIES, run_count_steps
from pages.ui import jobs, lists, load, shell
from pages.ui.components.gallery import Cell, gallery, tile
from pages.ui.controls import choose_ranks, choose_similarity, stop_if_reversed
from pages.ui.panels import neighbor_lists

shell.guard()
results = load.results()

FEATURES = ("penultimate", "penultimate-euclidean")
STEPS = 2  # run counts to try the kernel with, beside all
SHOWN = pairs.WINDOW  # pairs drawn and counted per side
# Numbers of `pair_quality.describe_pairs` → their columns.
SHARES = {
    "same_label": "Same label",
    "nearest_by_pixels": "Nearest by Pixels too",
    "alike": "Alike",
    "confidence": "Ensemble's probability",
}

st.header("Nearest pairs: kernel or features?")
total = len(load.ranking(results.id, "kernel"))
all_runs = len(results.predictions.single)
has_features = any(name in results.neighbors for name in FEATURES)
if not has_features:
    neighbor_lists.say_no_features(results, "only the kernel's pairs are shown")
with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
    first, last = choose_ranks(total)
    run_counts = {str(count): count for count in run_count_steps(all_runs)[:-1][:STEPS]} | {"all": all_runs}
    chosen = st.segmented_control(
        "Kernel from first N runs",
        list(run_counts),
        default="all",
        required=True,
        key="by_runs",
        wrap=True,
        bind="query-params",
        help=f"The ensemble has {all_runs:,} runs. If few runs are enough, they show the same pairs.",
    )
    features = choose_similarity(results, "Features", "features", among=FEATURES) if has_features else ""
stop_if_reversed(first, last)


def ranking_by(run_count: int) -> pd.DataFrame | None:
    """Return the nearest pairs by the kernel from the first runs, or None where they are not built."""
    try:
        if run_count < all_runs:
            return load.ranking_by_runs(results.id, run_count)
        return load.ranking(results.id, "kernel")
    except NotBuilt:
        return None


def title_of(similarity: str, run_count: int) -> str:
    suffix = f", first {run_count:,} runs" if run_count < all_runs else ""
    return SIMILARITIES[similarity] + suffix


kernel_rankings = {run_count: ranking_by(run_count) for run_count in run_counts.values()}
rankings = {("kernel", run_counts[chosen]): kernel_rankings[run_counts[chosen]]}
if features:
    rankings[features, all_runs] = load.ranking(results.id, features)

left, right = st.columns([2, 1], gap="large")
with left:
    st.subheader("Measured, not judged by eye")
    last_counted = min(last, first + SHOWN - 1)
    measured = {
        title_of(*key): load.pair_numbers(results.id, *key, first, last_counted)
        for key, ranking in rankings.items()
        if ranking is not None
    }
    measured[pair_quality.RANDOM] = load.random_numbers(results.id, last_counted - first + 1)
    rows = []
    for title, numbers in measured.items():
        row = {"By": title} | {column: f"{numbers[name]:.0%}" for name, column in SHARES.items()}
        rows.append(row | {"Pixel correlation": f"{numbers['pixel_correlation']:.2f}"})
    st.dataframe(pd.DataFrame(rows), hide_index=True)
with right:
    st.subheader("Do they hold with fewer runs?")
    top = min(SHOWN, total)
    rows = []
    for run_count, ranking in kernel_rankings.items():
        held = "not built"
        if ranking is not None:
            held = f"{pairs.count_shared_pairs(kernel_rankings[all_runs], ranking, SHOWN)} of {top}"
        runs = f"{run_count:,} (all)" if run_count == all_runs else f"{run_count:,}"
        rows.append({"Runs": runs, f"Of the kernel's {top} nearest pairs": held})
    st.dataframe(pd.DataFrame(rows), hide_index=True)
    if any(ranking is None for ranking in kernel_rankings.values()):
        st.caption("Choose a number of runs above to build its pairs.")
st.caption(
    "Below each test example: the class that the ensemble predicts, with its probability averaged over the "
    f"runs. The numbers are of the pairs shown below: ranks {first:,} to {last:,} of each ranking, or the "
    f"first {SHOWN} of them. Nearest by Pixels too: the second example is also the nearest by Pixels. Alike: "
    f"the pixels correlate by at least {pair_quality.ALIKE} after the best shift of up to "
    f"{pair_quality.SHIFT} pixels, with or without mirroring. {pair_quality.RANDOM.capitalize()}: the test "
    f"examples of which the ensemble is surest, each with a random {results.spec.database_example} of its "
    "label; features that look no better have found the label and nothing else. A pair holds if fewer runs "
    f"have the same two examples among their first {SHOWN}."
)


def cell(rank: int, similarity: float, query: int, database: int) -> Cell:
    """Return a pair under its rank and similarity, with the ensemble's prediction for the test example."""
    predicted = results.class_names[results.predictions.predicted[query]]
    note = f"{results.predictions.confidence[query]:.0%} {predicted}"
    label = int(results.examples[results.query].labels[query])
    tiles = [
        tile(results, results.query, query, note=note),
        tile(results, results.database, database, beside=label, note=f"{results.database} {database}"),
    ]
    return {"id": query, "head": f"#{rank}  ·  {similarity:.3f}", "groups": [{"title": "", "tiles": tiles}]}


columns = st.columns(len(rankings), gap="small")
for column, ((similarity, run_count), ranking) in zip(columns, rankings.items(), strict=True):
    with column:
        title = title_of(similarity, run_count)
        st.subheader(f"By {title}")
        if ranking is None:
            jobs.offer(
                load.request_by_runs(run_count),
                f"Neighbors by the kernel from the first {run_count:,} runs are not built yet.",
            )
            continue
        window = pairs.rank_window(ranking, first, last).head(SHOWN)
        cells = [
            cell(pair.rank, pair.similarity, pair.query_index, pair.database_index)
            for pair in window.itertuples()
        ]
        carried = lists.carried("near_duplicates", similarity) if run_count == all_runs else ""
        label = f"pairs by {title}"
        gallery(results, cells, layout="pairs", key=f"pairs_{similarity}", label=label, carried=carried)
