"""What the comparison of attributions says, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

from kernel_core.lab.asked import Asked
from kernel_core.lab.comparison import Comparison
from kernel_core.lab.halves import REMOVED_FOR
from kernel_core.lab.intervals import Estimate
from kernel_core.lab.judged import FIRST

BANDS = (
    "LDS: linear datamodeling score. Bands and brackets: 95% intervals by a bootstrap over the held-out sets "
    "and the query examples at once; {lost} Memory: allocated at most while a method was computed, with its "
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
    return (_predicting(found), _others(found), _ceiling(found), _losing(found, lost), _runs(found.asked))


def _predicting(found: Comparison) -> str:
    titles = _titles(found)
    best, second, *_ = sorted(found.scores, key=lambda name: found.scores[name].value, reverse=True)
    lead = found.scores[best].minus(found.scores[second])
    also = "" if lead.low > 0 else " The two cannot be told apart."
    return (
        f"{titles[best]} predicts best what networks on held-out parts of the training set do: linear "
        f"datamodeling score {found.scores[best].value:.2f}, above {titles[second]} by {lead.words(3)}.{also}"
    )


def _others(found: Comparison) -> str:
    titles = _titles(found)
    words = [f"{titles[name]} {drawn.estimate().words(2)}" for name, drawn in found.scores.items()]
    return f"The scores, 1 being perfect: {', '.join(words)}."


def _losing(found: Comparison, lost: Mapping[str, Estimate]) -> str:
    titles = _titles(found)
    hardest = max(lost, key=lambda name: lost[name].value)
    if found.asked.runs.are_own:
        how = f"A held-out network that had none of the {FIRST} training examples that a method names first, "
        return (
            f"{how}instead of all of them, has a margin lower by {lost[hardest].words(2)} for "
            f"{titles[hardest]}, the most, and by {lost['kernel'].words(2)} for the kernel."
        )
    return (
        f"Without its top {FIRST} training examples, the margin falls most for {titles[hardest]}: by "
        f"{lost[hardest].words(2)} more than without random ones; for the kernel by "
        f"{lost['kernel'].words(2)}."
    )


def _ceiling(found: Comparison) -> str:
    most = found.most_there_could_be
    if most.high <= 0:
        return "How high a score could be cannot be told from these runs."
    return (
        f"No method can score above about {most.words(2)}: the rest of what differs between held-out "
        "networks is chance, or no sum over training examples."
    )


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


def _titles(found: Comparison) -> dict[str, str]:
    return {of.method.name: of.method.title for of in found.judged}
