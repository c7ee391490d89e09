"""What the comparison of attributions says, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

from kernel_core.lab.attributions.asked import Asked
from kernel_core.lab.attributions.comparison import Comparison
from kernel_core.lab.attributions.halves import REMOVED_FOR
from kernel_core.lab.attributions.intervals import Estimate
from kernel_core.lab.attributions.judged import FIRST
from kernel_core.lab.attributions.methods import KERNEL

BANDS = (
    "Margin: how sure a network is of the label, its logit minus the log of the others' summed exponentials. "
    "LDS: linear datamodeling score. Signed: negative where labels differ. Effects: the mean margin with an "
    "example minus that without. Datamodels: a regression of margins on which examples networks had. TRAK: "
    "by gradients of networks. Bands and brackets: 95% intervals by a bootstrap over the held-out sets and "
    "the query examples at once; {lost} Memory: allocated at most while a method was computed, with its "
    "weights for a part of the query examples; files do not count."
)
LOST_IN_HELD = "margin lost: by how many of its top {first} each held-out set has, the others at random."
LOST_WITHOUT = "margin lost: by networks trained without them, Student's interval over {count} examples."


def bands(asked: Asked) -> str:
    """Return what the bands are."""
    lost = LOST_IN_HELD if asked.runs.are_own else LOST_WITHOUT
    return BANDS.format(lost=lost.format(first=FIRST, count=REMOVED_FOR))


def sentences(found: Comparison, lost: Mapping[str, Estimate]) -> tuple[str, ...]:
    """Return what was seen, the plainest first."""
    return (*_predicting(found), _ceiling(found), *_losing(found, lost), _runs(found.asked))


def _predicting(found: Comparison) -> tuple[str, ...]:
    titles = {of.method.name: of.method.title for of in found.judged}
    best, second, *others = sorted(found.scores, key=lambda name: found.scores[name].value, reverse=True)
    lead = found.scores[best].minus(found.scores[second])
    also = "" if lead.low > 0 else " The two cannot be told apart."
    winner = (
        f"{_first(titles[best])} predicts best what networks on held-out parts of the training set do: its "
        f"linear datamodeling score is {found.scores[best].value:.2f}, 1 would be perfect. "
        f"{_first(titles[second])} comes next, lower by {lead.words(3)}.{also}"
    )
    words = [f"{titles[name]} {found.scores[name].value:.2f}" for name in others]
    return (winner, f"Then come {', '.join(words)}.") if words else (winner,)


def _first(title: str) -> str:
    """Return a title as a sentence begins with it."""
    return title[0].upper() + title[1:]


def _ceiling(found: Comparison) -> str:
    most = found.most_there_could_be
    if most.high <= 0:
        return "How high a score could be cannot be told from these runs."
    return (
        f"No score above about {most.words(2)} is possible: the rest of what differs between held-out "
        "networks is chance, or no sum over training examples."
    )


def _losing(found: Comparison, lost: Mapping[str, Estimate]) -> tuple[str, ...]:
    titles = {of.method.name: of.method.title for of in found.judged}
    hardest = max(lost, key=lambda name: lost[name].value)
    of_hardest, of_kernel = lost[hardest].words(2), lost[KERNEL].words(2)
    if not found.asked.runs.are_own:
        falls = (
            f"Without its top {FIRST} training examples, the margin falls most for {titles[hardest]}: by "
            f"{of_hardest} more than without random ones; for the kernel by {of_kernel}."
        )
        return (falls,)
    falls = (
        f"Without the {FIRST} training examples that {titles[hardest]} names first, a held-out network's "
        f"margin is {of_hardest} lower than with all of them, the most of all methods; for the kernel "
        f"{of_kernel}."
    )
    return (falls, f"No network was trained for that: which of the {FIRST} a held-out network had is chance.")


def _runs(asked: Asked) -> str:
    fitted, held = len(asked.runs.fitted), len(asked.runs.held)
    N = asked.runs.held_masks.example_count
    share = asked.runs.held_masks.example_counts.mean() / N
    if asked.runs.are_own:
        return (
            f"These are the source's own runs, each trained on {share:.0%} of {N:,} training examples: "
            f"{fitted} to find weights from, the kernel's too, and {held} others, drawn at random, to judge "
            "them."
        )
    return (
        f"These are small networks trained for the question on {share:.0%} of {N:,} training examples each: "
        f"{fitted} to find weights from, and {asked.runs.each} on each of {held} held-out parts. The kernel "
        f"is that of the source's {asked.setting.ensemble.run_count} runs, trained on all."
    )
