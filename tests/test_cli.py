"""The command line, as people call it: in a process of its own, or through its parser."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from mrgantry.cli import app, main
from mrgantry.cli.output import recipe_for
from mrgantry.papers import find_recipe

VERBS = [
    "guide",
    "simulate",
    "inspect",
    "prepare",
    "train",
    "sample",
    "refine",
    "walk",
    "project",
    "export",
    "import",
    "select",
    "evaluate",
    "sensitivity",
    "compare",
    "detect",
    "segment",
    "reproduce",
    "report",
    "recipes",
    "demo",
]


def run(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", "mrgantry", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


@pytest.mark.parametrize("verb", VERBS)
def test_help_teaches_with_an_example(verb):
    shown = CliRunner().invoke(app, [verb, "--help"], env={"COLUMNS": "200"}).output
    assert f"Example: mrgantry {verb}" in shown


@pytest.mark.parametrize(
    "verb", ["plan", "create", "serve", "score", "quiz", "backup", "pause", "resume"]
)
def test_help_of_the_reader_study_teaches_with_an_example(verb):
    shown = CliRunner().invoke(app, ["study", verb, "--help"], env={"COLUMNS": "200"}).output
    assert f"Example: mrgantry study {verb}" in shown
    assert verb in CliRunner().invoke(app, ["study", "--help"]).output


@pytest.mark.parametrize("verb", ["add", "remove", "relink", "links"])
def test_help_on_readers_teaches_with_an_example(verb):
    words = ["study", "readers", verb, "--help"]
    shown = CliRunner().invoke(app, words, env={"COLUMNS": "200"}).output
    assert f"Example: mrgantry study readers {verb} study" in shown


def test_a_missing_optional_part_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "mrgantry.study.server.serve", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.setattr(sys, "argv", ["mrgantry", "study", "serve", str(tmp_path)])
    with pytest.raises(SystemExit, match="1"):
        main()
    said = capsys.readouterr().err
    assert "needs uvicorn, which is not installed. Run: pip install 'mrgantry[study]'." in said


def test_every_verb_stands_in_the_help_and_in_this_test():
    shown = CliRunner().invoke(app, ["--help"]).output
    assert [command.name for command in app.registered_commands] == VERBS
    assert all(verb in shown for verb in VERBS)


def test_nothing_heavy_is_imported_for_help():
    code = (
        "import sys; import mrgantry.cli; "
        "print([m for m in ('torch','numpy','pandas','scipy','matplotlib','pydantic') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["prepare", "absent", "out"], "absent is not a folder"),
        (["train", "absent", "run"], "absent is not a set of slices"),
        (["train", "x", "run", "--recipe", "dmo"], "Did you mean 'demo'?"),
        (["train", "x", "run", "--set", "imges=5"], "Did you mean 'images'?"),
        (["sample", "absent", "out"], "absent is not a training run"),
        (["walk", "absent", "out"], "absent is not a training run"),
        (["project", "absent", "x", "out"], "absent is not a training run"),
        (["evaluate", "absent", "out", "--synthetic", "x"], "absent is not a set of slices"),
        (["select", "absent", "out", "--against", "x"], "absent is not a set of slices"),
        (["sensitivity", "absent", "out"], "absent is not a set of slices"),
        (["compare", "absent", "out", "--recipe", "dmo"], "Did you mean 'demo'?"),
        (["compare", "absent", "out", "--recipe", "demo"], "absent is not a set of slices"),
        (["detect", "absent", "out"], "absent is not a set of slices"),
        (["detect", "x", "out", "--set", "netwrk=small"], "Did you mean 'network'?"),
        (
            ["detect", "x", "out", "--condition", "clasical"],
            "no condition 'clasical'; there are 'none'",
        ),
        (["detect", "x", "out", "--condition", "synthetic"], "name a set with --synthetic"),
        (["reproduce", "han", "out"], "Did you mean 'han2018'?"),
        (["reproduce", "han2018", "out", "--scale", "smok"], "Did you mean 'smoke'?"),
        (["reproduce", "han2018", "out", "--scans", "absent"], "absent is not a folder"),
        (["reproduce", "han2018", "out", "--where", ""], "are for scans of your own"),
        (["reproduce", "han2018", "out", "--weights", "scratch"], "no detection experiment"),
        (["export", "absent", "out"], "absent is not a set of slices"),
        (["export", "absent", "out", "--format", "gif"], "Unknown format 'gif'"),
        (["import", "absent", "out"], "absent is not a folder"),
        (["import", "x", "out", "--range", "9:3"], "The range '9:3' is not understood"),
        (["report", "page.html", "absent"], "absent holds nothing to report"),
        (["recipes", "dcgan"], "Unknown recipe 'dcgan'"),
        (["study", "create", "out", "--protocol", "han"], "Did you mean 'han2018'?"),
        (["study", "create", "out", "--block", "T1"], "must read NAME=REAL,SYNTHETIC"),
        (["study", "create", "out", "--readers", "AB"], "needs at least one block"),
        (["study", "create", "out", "--set", "second=5"], "Did you mean 'seconds'?"),
        (["study", "serve", "absent"], "absent is not a reader study"),
        (["study", "score", "absent", "out"], "absent is not a reader study"),
        (["study", "backup", "absent", "out"], "absent is not a reader study"),
        (["study", "quiz", "out"], "needs at least one block"),
        (["study", "pause", "absent"], "absent is not a reader study"),
        (["study", "resume", "absent"], "absent is not a reader study"),
        (["study", "readers", "add", "absent", "AB"], "absent is not a reader study"),
        (["study", "readers", "remove", "absent", "AB"], "absent is not a reader study"),
        (["study", "readers", "relink", "absent", "AB"], "absent is not a reader study"),
        (["study", "readers", "links", "absent", "--url", "https://x.org"], "is not a reader"),
        (["prepare", "x", "out", "--slices", "9:3"], "The slices '9:3' are not understood"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_1(words, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["mrgantry", *words])
    with pytest.raises(SystemExit, match="1"):
        main()
    said = capsys.readouterr().err
    assert sentence in said
    assert said.startswith("mrgantry: ") and len(said.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists() and not (tmp_path / "out").exists()


def test_a_mistake_in_a_process_of_its_own(tmp_path):
    done = run("train", "absent", "run", cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith("mrgantry: absent is not a set of slices")


@pytest.mark.parametrize(
    "words",
    [
        ["prepare"],
        ["prepare", "x", "y", "--sequence", "t1", "--sequence", "t2"],
        ["prepare", "x", "y", "--splits", "a:b"],
        ["prepare", "x", "y", "--centre-mm", "0:0"],
        ["evaluate", "x", "y"],
        ["select", "x", "y"],
        ["compare", "x", "y", "--seeds", "0"],
        ["detect", "x", "y", "--seeds", "0"],
        ["detect", "x", "y", "--shares", "a:1"],
        ["simulate", "x", "--subjects", "0"],
        ["walk", "x", "y", "--steps", "1"],
        ["project", "x", "y", "z", "--restarts", "0"],
        ["nonsense"],
    ],
)
def test_wrong_usage_is_status_2(words):
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2


def test_recipes_are_listed_and_printed():
    assert "han2018-wgan-SIZE" in CliRunner().invoke(app, ["recipes"]).output
    assert '"clip": 0.01' in CliRunner().invoke(app, ["recipes", "han2018-wgan-64"]).output


@pytest.mark.slow
def test_the_words_of_the_readme_work_one_after_the_other(tmp_path):
    """From a simulated cohort to a report, each verb in its own process.

    Those for other generators' images are executed by the tutorials of the site.
    """
    for words in (
        "simulate cohort --subjects 6 --seed 1 --healthy 0.5 --sequence t1 --sequence flair",
        "guide cohort",
        "inspect cohort",
        "prepare cohort slices --sequence t1 --sequence flair --pool --plane coronal "
        "--slices 0.3:0.7:8 --size 64 --splits 0.3:0:0.7",
        "train slices run --recipe gantry-gan-64 --set images=320",
        "sample run synthetic --count 60 --seed 5",
        "walk run walked --seeds 3 --seeds 5 --steps 4 --method linear",
        "project run slices projection --count 1 --steps 3",
        "evaluate slices scores --synthetic synthetic",
        "report report.html cohort slices run synthetic scores walked projection",
    ):
        done = run(*words.split(), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr and "Warning" not in done.stderr
    assert "Simulated data." in (tmp_path / "report.html").read_text()


def test_all_but_the_reader_study_works_without_its_extra():
    """A plain install has neither a web server nor a database."""
    absent = ("sqlalchemy", "fastapi", "uvicorn", "statsmodels", "krippendorff", "psutil")
    verbs = (
        "cli.detection, mrgantry.cli.results, mrgantry.workflows.demo, mrgantry.workflows.compare"
    )
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({absent})); "
        f"import mrgantry.pages, mrgantry.pages.comparison, mrgantry.detection, mrgantry.{verbs}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ("demo", "recipes")])
def test_a_verb_without_words_teaches(verb):
    shown = CliRunner().invoke(app, [verb], env={"COLUMNS": "200"}).output
    assert f"Example: mrgantry {verb}" in shown


@pytest.mark.parametrize(
    ("size", "voxels"),
    [(64, ()), (96, ()), (72, (64, 72, 64)), (40, (32, 40, 32))],
)
def test_the_recipe_that_is_proposed_for_a_set_exists_and_fits_it(size, voxels):
    about = SimpleNamespace(size=size, voxels=voxels, classes=("tumour",))
    _, name, *options = recipe_for(SimpleNamespace(about=about))
    recipe = find_recipe(name).set([change for change in options if change != "--set"])
    assert (recipe.size, recipe.voxels or ()) == (size, voxels)
    assert recipe.label_maps
    recipe.denoiser(2)
