import base64
import re
from pathlib import Path

import numpy as np
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from mrgantry.common.errors import DataError
from mrgantry.study.cases.shown import png
from mrgantry.study.quiz import QuizCase, hidden, quiz


def some_cases(count: int = 12) -> list[QuizCase]:
    """Alternate real and synthetic, every third with a tumour."""
    random = np.random.default_rng(0)
    return [
        QuizCase(
            random.integers(0, 256, (16, 24), dtype=np.uint8),
            "synthetic" if number % 2 else "real",
            "no" if number % 3 else "yes",
            "T1" if number < 6 else "FLAIR",
        )
        for number in range(count)
    ]


def page_of(tmp_path: Path, cases=None, **options) -> str:
    quiz(tmp_path / "quiz.html", some_cases() if cases is None else cases, **options)
    return (tmp_path / "quiz.html").read_text(encoding="utf-8")


def test_the_page_holds_every_image_and_loads_nothing(tmp_path):
    cases = some_cases()
    page = page_of(tmp_path, cases)
    embedded = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert [base64.b64decode(one) for one in embedded] == [png(case.image) for case in cases]
    assert page.count("src=") == len(cases)
    assert not re.findall(r"https?:|@import|url\(|<link|fetch\(", page)
    assert "default-src 'none'" in page
    assert page.count("<small>T1</small>") == page.count("<small>FLAIR</small>") == 6


def test_the_sources_of_real_and_synthetic_images_look_alike(tmp_path):
    flat = np.zeros((16, 24), np.uint8)
    noisy = some_cases()[0].image
    page = page_of(tmp_path, [QuizCase(flat, "synthetic"), QuizCase(noisy, "real")])
    cards = re.findall(r'<section class="case".*?</section>', page, re.DOTALL)
    first, second = (re.sub(r"base64,[^\"]+", "", card).replace("2", "1") for card in cards)
    assert first.replace("14", "24") == second.replace("14", "24")
    assert len(cards[0]) == len(cards[1])


def test_a_glance_at_the_source_does_not_tell():
    real, synthetic = QuizCase(np.zeros((2, 2), np.uint8), "real"), some_cases()[1]
    bytes_of_real = base64.b64decode(hidden([real] * 50))
    assert len(set(bytes_of_real)) > 45  # one truth looks different at every place
    pattern = base64.b64decode(hidden([synthetic] * 50))
    assert [a ^ b for a, b in zip(bytes_of_real, pattern)] == [1] * 50


def test_texts_are_escaped_and_questions_chosen(tmp_path):
    page = page_of(
        tmp_path,
        title="T1 <script>",
        questions=("truth", "tumour"),
        synthetic_word="created",
        simulated=True,
    )
    assert "T1 &lt;script&gt;" in page
    assert "which of these images are real, and which are created, and which show a tumour" in page
    assert page.count('data-key="c"') == page.count('data-key="n"') == 12
    assert "Simulated data." in page
    plain = page_of(tmp_path, lead="Look closely.")
    assert "Look closely." in plain
    assert "Simulated data." not in plain
    assert 'data-key="n"' not in plain


@pytest.mark.parametrize(
    ("cases", "questions", "words"),
    [
        ([], ("truth",), "at least one image"),
        (some_cases(), (), "one question"),
        (
            [*some_cases(1), QuizCase(np.zeros((16, 16), np.uint8), "real")],
            ("truth",),
            r"differ in size \(16 x 16, 16 x 24\)",
        ),
        (
            [*some_cases(1), QuizCase(np.zeros((16, 24), np.uint8), "real")],
            ("tumour",),
            r"1 images \(first: number 2\)",
        ),
    ],
)
def test_what_makes_no_quiz_is_refused(tmp_path, cases, questions, words):
    with pytest.raises(DataError, match=words):
        quiz(tmp_path / "quiz.html", cases, questions=questions)
    assert not (tmp_path / "quiz.html").exists()


@pytest.fixture
def browser_page(chromium):
    """Open pages in Chromium; every error on a page fails the test."""
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.on("request", lambda one: errors.append(one.url) if "http" in one.url[:5] else None)
    yield page
    page.close()
    assert errors == []


@pytest.mark.slow
def test_the_quiz_is_answered_by_keyboard(tmp_path, browser_page):
    cases = some_cases()
    quiz(tmp_path / "quiz.html", cases, questions=("truth", "tumour"))
    page = browser_page
    page.goto((tmp_path / "quiz.html").as_uri())
    assert "synthetic" not in page.locator(".verdict").all_inner_texts()
    side = page.locator(".case img").first.bounding_box()
    assert side["width"] % 24 == 0  # a whole number of screen pixels for each of the image's
    for number, case in enumerate(cases):
        # Right about all tumours; calls the first two synthetic images real.
        page.keyboard.press("r" if case.truth == "real" or number < 4 else "s")
        page.keyboard.press("t" if case.tumour == "yes" else "n")
    assert page.inner_text("#progress") == "12 of 12 answered"
    page.reload()
    assert page.inner_text("#progress") == "12 of 12 answered"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Backspace")
    assert page.inner_text("#progress") == "11 of 12 answered"
    page.keyboard.press("r")
    page.keyboard.press("n")
    page.keyboard.press("Enter")
    told = page.inner_text("#result").replace("\u00a0", " ")
    low, high = (round(100 * end) for end in proportion_confint(10, 12, method="wilson"))
    assert f"You were right about 10 of 12, 83 % ({low} to {high} %)." in told
    low, high = (round(100 * end) for end in proportion_confint(2, 6, method="wilson"))
    assert f"of the synthetic images, 2 of 6, 33 % ({low} to {high} %)" in told
    ends = confint_proportions_2indep(6, 6, 2, 6, method="newcomb")
    low, high = (round(100 * end) for end in ends)
    assert f"The difference between the two is 67 points ({low} to {high})" in told
    assert "better than guessing" in told
    assert "You were right about 12 of 12" in told
    verdicts = page.locator('.verdict[data-question="truth"]').all_inner_texts()
    assert verdicts == [
        "✗ truth: synthetic" if number in (1, 3) else f"✓ {case.truth}"
        for number, case in enumerate(cases)
    ]


@pytest.mark.slow
def test_gaps_are_asked_about_and_the_key_is_on_paper_alone(tmp_path, browser_page):
    cases = some_cases()
    quiz(tmp_path / "quiz.html", cases)
    page = browser_page
    page.goto((tmp_path / "quiz.html").as_uri())
    page.get_by_role("button", name="Real").first.click()
    page.get_by_role("button", name="Check answers").click()
    assert page.locator("#result").is_hidden()
    assert page.inner_text("#check") == "11 unanswered: check anyway?"
    assert page.locator("#key li").count() == 0
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator("#key li").all_inner_texts() == [case.truth for case in cases]
    assert page.locator("#bar").is_hidden()
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert page.locator("#key li").count() == 0
    page.click("#check")
    assert "1 of 1, 100 %" in page.inner_text("#result").replace("\u00a0", " ")
    assert "not answered; truth: synthetic" in page.locator(".verdict").all_inner_texts()
    page.click("#check")
    assert page.inner_text("#progress") == "0 of 12 answered"
    assert page.locator("#result").is_hidden()
