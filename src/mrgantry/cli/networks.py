"""The verbs for generators: recipes, training, and what a trained run can draw."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrgantry.cli.options import Seed
from mrgantry.cli.output import print_table, say, say_next, say_preview

if TYPE_CHECKING:
    from mrgantry.generate import AnyRecipe


def train(
    slices: Annotated[
        Path, typer.Argument(help="Set of slices or volumes; its split 'train' is used.")
    ],
    run: Annotated[Path, typer.Argument(help="Folder of the run.")],
    recipe: Annotated[
        str, typer.Option(help="A name that `mrgantry recipes` lists.")
    ] = "gantry-64",
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change a value: images=20000 (slices, where heads are drawn slice by slice), "
            "lr=1e-4; of a GAN also its loss: loss=dragan, original, lsgan, wgan, wgangp or "
            "relativistic.",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            help="Begin with these weights: a run's folder, heads-64, heads-128, heads-64x72x64, "
            "a file, its https:// address with #sha256= behind it, or none; as the recipe says "
            "unless given."
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only slices with column=value, as tumour=yes.")
    ] = None,
    devices: Annotated[int, typer.Option(help="Processes, one a GPU.", min=1)] = 1,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the networks; pays on a GPU.")
    ] = False,
) -> None:
    """Train a generative network on a set of slices, or of whole heads.

    The same command resumes a run that was interrupted, exactly where it stopped. With more
    images (--set images=...) it makes a run longer.
    """
    from mrgantry.generate import train
    from mrgantry.papers import find_recipe

    begin_with = [] if start is None else [f"start={'null' if start == 'none' else start}"]
    chosen = find_recipe(recipe).set([*(changes or []), *begin_with])
    done = train(slices, run, chosen, only=only or [], devices=devices, compiled=compiled)
    if done.stopped:
        say(done.stopped)
    say(f"{run} has seen {done.images:,} images; look at the pictures in {run / 'samples'}.")
    heads = bool(done.recipe.voxels)
    say_next("sample", run, *(["cohort"] if heads else ["synthetic", "--count", "1000"]))


def sample(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run.")],
    out: Annotated[
        Path, typer.Argument(help="Folder to write the set of slices, or the cohort of heads, to.")
    ],
    count: Annotated[
        int | None,
        typer.Option(help="How many images; 1000 slices or 20 heads unless given.", min=1),
    ] = None,
    seed: Annotated[int, typer.Option(help="Image i is drawn from seed SEED + i.", min=0)] = 0,
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="Of a conditional run: tumour=yes; as frequent as in training unless given."
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Of a flow, how to draw: steps=40, method=heun, guidance=2."),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            help="Of a flow that has learnt label maps: draw images for the maps of this set."
        ),
    ] = None,
    masks_split: Annotated[
        str, typer.Option(help="Whose maps: those of train, validation, test or all.")
    ] = "train",
    near: Annotated[
        Path | None,
        typer.Option(help="Draw near real slices: the folder that `project` wrote of them."),
    ] = None,
    spread: Annotated[
        float,
        typer.Option(help="How far from them: 0 draws the projections, 1 forgets the slices."),
    ] = 0.5,
) -> None:
    """Draw a set of synthetic slices from a run, or a cohort of synthetic heads.

    What was trained on volumes draws whole heads and writes them as scans, which `prepare` cuts
    into slices as any others.
    """
    from mrgantry.data.formats import times
    from mrgantry.generate import Run, sample, sample_cohort

    if voxels := Run.open(run).recipe.voxels:
        if near:
            raise typer.BadParameter("--near is for runs that draw slices")
        sample_cohort(
            run,
            out,
            count or 20,
            seed,
            labels=label or [],
            how=changes or [],
            masks=masks,
            masks_split=masks_split,
        )
        say(f"{out} holds {count or 20} synthetic heads of {times(voxels)} voxels.")
        say(f"See in {out / 'preview.png'} whether they look like heads.")
        say_next("prepare", out, "synthetic", "--sequence", Run.open(run).facts.sequence)
        return
    data = sample(
        run,
        out,
        count or 1000,
        seed,
        labels=label or [],
        how=changes or [],
        masks=masks,
        masks_split=masks_split,
        near=near,
        spread=spread,
    )
    say(f"{out} holds {len(data):,} synthetic slices.")
    say_preview(data, "look like brains")
    say_next("evaluate", "slices", "scores", "--synthetic", out)


def walk(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run.")],
    out: Annotated[Path, typer.Argument(help="Folder to write pictures to.")],
    seeds: Annotated[
        list[int] | None,
        typer.Option(help="Where to start, pass and end; repeat. 0 and 1 unless given.", min=0),
    ] = None,
    steps: Annotated[
        int, typer.Option(help="Images from one seed to the next, both included.", min=2)
    ] = 20,
    method: Annotated[
        str | None,
        typer.Option(
            help="spherical or linear; unless given, linear where latents are uniform, else "
            "spherical."
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="Of a conditional run, as tumour=yes. One label holds for the whole walk: where "
            "several are left, that of the first seed."
        ),
    ] = None,
    gif_seconds: Annotated[
        float, typer.Option(help="How long the animation takes, there and back.", min=0.1)
    ] = 4.0,
) -> None:
    """Walk through latent space from the image of one seed to that of another.

    Smooth changes speak for what was learnt; rests and jumps hint at memorised images.
    """
    from mrgantry.generate import walk

    done = walk(run, out, seeds or (0, 1), steps, method, label or (), gif_seconds)
    say(
        f"{out} holds {len(done.table)} images of a {done.method} walk; look at "
        f"{out / 'walk.gif'} and {out / 'strip.png'}."
    )
    say(
        f"The largest change between neighbours is {done.jump:.1f} times the median one; far more "
        "than 1 is a jump."
    )
    say_next("project", run, "slices", "projection")


def project(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run.")],
    slices: Annotated[Path, typer.Argument(help="The set of slices that it was trained on.")],
    out: Annotated[Path, typer.Argument(help="Folder to write to.")],
    count: Annotated[
        int, typer.Option(help="Slices of each split, of as many subjects as possible.", min=1)
    ] = 8,
    split: Annotated[
        list[str] | None,
        typer.Option(help="train, validation, test or all; repeat. train and test unless given."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            help="Of a GAN's search, 300 unless given; of a flow, there and back, 50.", min=1
        ),
    ] = None,
    restarts: Annotated[
        int, typer.Option(help="Random starts of a GAN's search; the best is kept.", min=1)
    ] = 4,
    id: Annotated[
        list[str] | None,
        typer.Option(help="Project this slice, whatever its split; repeat for several."),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Find the latents whose images come nearest to real slices.

    Held-out slices that a GAN reconstructs worse than training slices, or that a flow takes noise
    off less well, are a sign of overfitting. Interrupted, the same command goes on.
    """
    from mrgantry.generate import project

    splits = split or ("train", "test")
    done = project(run, slices, out, count, splits, steps, restarts, id or (), seed)
    heads = ("split", "slices", "subjects", "median RMSE", "median correlation")
    medians = done.medians()
    print_table(
        heads + ("median velocity error",) * (len(medians.columns) > 4),
        [
            (name or "none", str(n), str(people), *(f"{error:.3f}" for error in errors))
            for name, n, people, *errors in medians.itertuples()
        ],
    )
    say(done.verdict)
    say(f"{out / 'projection.csv'} lists the slices; look at {out / 'project.png'}.")
    say_next("walk", run, "walked")


def refine(
    slices: Annotated[
        Path, typer.Argument(help="Set to refine: simulated slices, or what a generator drew.")
    ],
    out: Annotated[Path, typer.Argument(help="Folder to write the refined set to.")],
    towards: Annotated[
        Path | None,
        typer.Option(help="Real slices; a small network learns from their split 'train'."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(help="Instead: a flow that was trained on such slices, as gantry-64."),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(
            help="How far to go, from 0 to 1. Unless given, as far as anatomy stays as between "
            "two visits of one person."
        ),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(help="That the network of --towards is shown; 12000 unless given.", min=1),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Make images look more like real ones, and leave in place what they show.

    Simulated slices have every label for nothing and look like nobody's scanner: this brings them
    nearer to yours. Labels, label maps and ids stay, and so does anatomy, as far as the brain
    network sees it. Interrupted, the same command goes on.
    """
    from mrgantry.refinement import refine

    data = refine(slices, out, towards, run=run, strength=strength, images=images, seed=seed)
    facts = data.about.notes.refined
    if facts["chosen"]:
        print_table(
            ("", "tissue", "worst slices", "lesions", "worst lesions"),
            [
                (name, *("" if share is None else f"{share:.2f}" for share in facts[key].values()))
                for name, key in (
                    (f"kept at strength {facts['strength']:g}", "kept"),
                    ("shared by two visits of one person", "two_visits"),
                )
            ],
        )
        say(f"Look at {out / 'strengths.png'}: slices at every strength that was tried.")
    else:
        say(f"Whether anatomy stays at strength {strength:g} was not looked at.")
    say_preview(data, "look like the real ones")
    say_next("evaluate", towards or "slices", "scores", "--synthetic", out)


def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this one whole.")] = None,
) -> None:
    """List the recipes, or print one whole.

    SIZE stands for one of the sizes. The name alone is the published recipe; another variant
    is written behind it: delplace2020-dcgan-dragan-256-coded. `train --set` changes any value:
    --set loss=wgangp.
    """
    from mrgantry.papers import RECIPES, find_recipe

    if name:
        typer.echo(find_recipe(name).model_dump_json(indent=2))
        return
    families: dict[tuple[str, bool], list[AnyRecipe]] = {}
    for recipe in RECIPES.values():
        family = recipe.name.partition(f"-{recipe.size_name}")[0], bool(recipe.voxels)
        families.setdefault(family, []).append(recipe)
    print_table(
        ("recipe", "sizes", "variants", "network", "loss", "images", "batch"),
        [
            (
                f"{family}-SIZE" if group[0].size_name in group[0].name else family,
                " ".join(dict.fromkeys(member.size_name for member in group)),
                " ".join(dict.fromkeys(member.variant or "" for member in group)),
                group[0].network.kind,
                group[0].objective,
                f"{max(member.images for member in group if member.variant == group[0].variant):,}",
                str(group[0].batch),
            )
            for (family, _), group in families.items()
        ],
    )
