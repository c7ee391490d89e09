"""Many visitors at once on cached pages: the server's time per click, and its memory while and after.

The limits are for two cores.
"""

import asyncio
import time
from functools import partial

from tests.support.browser import served
from tests.trials.processes import megabytes_of
from tests.trials.sessions import crowd, warm_up
from tests.trials.sources import built

CROWDS = {20: 0.5, 40: 2.0}
"""Number of visitors → seconds in which 95 % of their clicks are answered."""
CALM = 120  # seconds after the last visitor has left
GROWTH = 1.1  # memory after that, as a multiple of before


def quantile(values, share):
    """Return the value below which a share of the values lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def judge(count, seen):
    """Return what is wrong with what `count` visitors saw."""
    faults = list(dict.fromkeys(seen.wrong))
    if not seen.seconds:
        return [*faults, "no click was answered"]
    p95 = quantile(seen.seconds, 0.95)
    return (
        [*faults, f"p95 {p95:.2f} s, expected {CROWDS[count]} s at most"] if p95 > CROWDS[count] else faults
    )


def judge_memory(before, after):
    """Return what is wrong with the megabytes after all visitors have left."""
    return f"memory {after:.0f} MB, {before:.0f} MB before" if after > GROWTH * before else []


def run(trial):
    """Let the crowds click one after the other; a click counts as a case."""
    environment = built(trial.folder)
    calm = min(CALM, trial.seconds / 3)
    each = max(1.0, (trial.seconds - calm - 30) / len(CROWDS))
    with served(environment, trial.folder / "log") as (url, process):
        trial.fail("one visitor", asyncio.run(warm_up(url)))
        memory = partial(megabytes_of, process.pid, "VmRSS")
        before = memory()
        for count in CROWDS:
            used = [before]
            seen = asyncio.run(crowd(url, count, each, trial.seed, lambda used=used: used.append(memory())))
            trial.tried += len(seen.seconds)
            trial.fail(f"{count} visitors", judge(count, seen))
            p50, p95, top = (quantile(seen.seconds or [0], share) for share in (0.5, 0.95, 1))
            trial.measured.append(
                f"{count} visitors: p50 {p50:.2f}, p95 {p95:.2f}, at most {top:.2f} s, {max(used):.0f} MB"
            )
        time.sleep(calm)
        after = memory()
        trial.fail("memory", judge_memory(before, after))
        trial.measured.append(f"memory {before:.0f} MB before, {after:.0f} MB {calm:.0f} s after")
