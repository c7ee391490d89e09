"""Nearest pairs: by the kernel near-duplicates, by penultimate features random confident examples?"""

import pandas as pd
import streamlit as st

from kernel_core.errors import NotBuilt
from kernel_core.findings import pairs
from kernel_core.report import pair_quality
from kernel_core.spec import SIMILARITIES
from pages.ui import jobs, lists, load, shell
from pages.ui.controls import choose_ranks, stop_if_reversed
from pages.ui.gallery import Cell, gallery, tile
from pages.ui.panels import neighbor_lists

shell.guard()
results = load.results()

FEWER = (10, 20)  # runs that the kernel's pairs are tried with, beside all
SHOWN = pairs.PAGE  # pairs drawn and counted a side

st.header("Nearest pairs: kernel or features?")
total = len(load.ranking(results.id, "kernel"))
M = len(results.predictions.single)  # runs
features = [name for name in ("penultimate", "penultimate-euclidean") if name in results.neighbors]
if not features:
    neighbor_lists.say_no_features(results, "the kernel's pairs stand alone")
with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
    first, last = choose_ranks(total)
    words = {str(n): n for n in FEWER if n < M} | {"all": M}
    chosen = st.segmented_control(
        "Kernel of the first … runs", list(words), default="all", required=True, key="by_runs", wrap=True,
        bind="query-params", help=f"The ensemble has {M:,} runs. A good kernel of few runs would show the same pairs.",
    )  # fmt: skip
    beside = ""
    if features:
        beside = st.segmented_control(
            "Features compared by", features, default=features[0], required=True, key="features", wrap=True,
            bind="query-params", help="Cosine, or minus the Euclidean distance, of one run's activations before its "
            "last layer.",
        )  # fmt: skip
stop_if_reversed(first, last)


def by_runs(runs: int) -> pd.DataFrame | None:
    """The kernel's ranking by the first so many runs, None where it is not built."""
    try:
        return load.ranking_by_runs(results.id, runs) if runs < M else load.ranking(results.id, "kernel")
    except NotBuilt:
        return None


def cell(pair: object) -> Cell:
    """A pair with rank, similarity, and the ensemble's prediction for the test example."""
    query, database = pair.query_index, pair.database_index
    said, confidence = results.predictions.predicted[query], results.predictions.confidence[query]
    return {
        "id": query,
        "head": f"#{pair.rank}  ·  {pair.similarity:.3f}",
        "groups": [
            {"title": "", "tiles": [
                tile(results, results.query, query, note=f"{confidence:.0%} {results.class_names[said]}"),
                tile(results, results.database, database, beside=pair.query_label, note=f"{results.database} {database}"),
            ]},
        ],
    }  # fmt: skip


def title(name: str, runs: int) -> str:
    """What is said of a ranking."""
    return SIMILARITIES[name] + (f" of the first {runs:,} runs" if runs < M else "")


def held(runs: int) -> dict[str, str]:
    """How many of the nearest pairs by all runs are among those by fewer."""
    top = min(SHOWN, total)
    ranking = kernels[runs]
    found = "not built" if ranking is None else f"{pairs.pairs_held(kernels[M], ranking, SHOWN)} of {top}"
    return {
        "Runs": f"{runs:,}" + " (all)" * (runs == M),
        f"Of the kernel's {top} nearest pairs": found,
    }


def numbers_table(rows: pd.DataFrame) -> pd.DataFrame:
    """The numbers as people read them."""
    shares = {
        "same_label": "Same label",
        "nearest_by_pixels": "Nearest by pixels too",
        "alike": "Alike",
        "confidence": "Ensemble's probability",
    }
    table = pd.DataFrame({"By": rows["by"]})
    for name, text in shares.items():
        table[text] = [f"{value:.0%}" for value in rows[name]]
    table["Pixel correlation"] = [f"{value:.2f}" for value in rows["pixel_correlation"]]
    return table


kernels = {n: by_runs(n) for n in words.values()}
rankings = {("kernel", words[chosen]): kernels[words[chosen]]}
if beside:
    rankings[beside, M] = load.ranking(results.id, beside)
left, right = st.columns([2, 1], gap="large")
with left:
    st.subheader("Numbers that need no eye")
    rows = [
        {"by": title(*which), **load.pair_numbers(results.id, *which, first, min(last, first + SHOWN - 1))}
        for which, ranking in rankings.items()
        if ranking is not None
    ]
    rows.append({"by": pair_quality.RANDOM, **load.random_numbers(results.id, min(last - first + 1, SHOWN))})
    st.dataframe(numbers_table(pd.DataFrame(rows)), hide_index=True)
with right:
    st.subheader("Do they hold with fewer runs?")
    st.dataframe(pd.DataFrame([held(n) for n in kernels]), hide_index=True)
    if any(ranking is None for ranking in kernels.values()):
        st.caption("Choose a number of runs above to build its pairs.")
st.caption(
    "Below each test example: the ensemble's prediction and that class's probability averaged over the runs. "
    f"Numbers are of the pairs drawn below: those of rank {first:,} to {last:,} of each ranking, the first {SHOWN} of "
    "a longer window. Nearest by pixels too: the second example is also the one nearest by pixels. Alike: pixels "
    f"correlate by at least {pair_quality.ALIKE} when moved by up to {pair_quality.SHIFT} pixels and mirrored as fits best. "
    f"{pair_quality.RANDOM.capitalize()}: test examples of which the ensemble is surest, each with any "
    f"{results.spec.database_example} of its label; features that show these have found the label and no more. A pair holds if fewer runs have the same "
    f"two examples among their first {SHOWN}."
)

for column, (which, ranking) in zip(st.columns(len(rankings), gap="small"), rankings.items(), strict=True):
    with column:
        st.subheader(f"By {title(*which)}")
        if ranking is None:
            jobs.offer(
                load.of_runs(which[1]),
                f"Neighbors by the kernel of the first {which[1]} runs are not built yet.",
            )
            continue
        shown = [cell(pair) for pair in pairs.rank_window(ranking, first, last).head(SHOWN).itertuples()]
        gallery(
            results, shown, layout="pairs", key=f"pairs_{which[0]}", label=f"pairs by {title(*which)}",
            carried=lists.carried("near_duplicates", which[0]) if which[1] == M else "",
        )  # fmt: skip
