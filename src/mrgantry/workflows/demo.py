"""The demonstration: everything, small, on a laptop, in minutes.

Nothing in it is special: it calls the same functions as the command line, and the
report lists the commands that do the same by hand.
"""

from collections.abc import Callable
from pathlib import Path

from mrgantry.common.files import AnyPath
from mrgantry.data import SlicePlan, prepare
from mrgantry.evaluation import evaluate
from mrgantry.generate import sample, train
from mrgantry.pages import report
from mrgantry.papers.gantry import DEMO
from mrgantry.simulation import simulate

# Some eighteen T1 slices of each subject, from the base of the frontal lobes to
# the roof of the ventricles, close enough to fill the image.
PLAN = SlicePlan(slices="0.45:0.70:2", field_mm=192)
SUBJECTS = 48
SAMPLES = 250


def demo(out: AnyPath, say: Callable[[str], None] = print) -> Path:
    """Simulate, prepare, train, sample, evaluate and report; give the page's path.

    Interrupted, the same call goes on where it stopped.

    Args:
        out: Folder to write everything to.
        say: Told what is about to happen, a sentence at a time.
    """
    out = Path(out)
    cohort, slices, run, synthetic, scores = (
        out / name for name in ("cohort", "slices", "run", "synthetic", "scores")
    )
    say(f"1/6  Simulating {SUBJECTS} subjects in {cohort}")
    simulate(cohort, SUBJECTS, healthy=0.5, sequences=("t1",))
    say(f"2/6  Cutting them into slices in {slices}")
    prepare(cohort, slices, PLAN)
    say(f"3/6  Training the recipe 'demo' in {run}")
    train(slices, run, DEMO)
    say(f"4/6  Drawing {SAMPLES:,} synthetic slices into {synthetic}")
    sample(run, synthetic, SAMPLES)
    say(f"5/6  Measuring them; scores in {scores}")
    evaluate(slices, scores, [synthetic])
    page = out / "report.html"
    say(f"6/6  Writing {page}")
    return report([cohort, slices, run, synthetic, scores], page)
