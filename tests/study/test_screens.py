"""No control lies under another, on any screen from a small phone to a large monitor."""

import itertools

import numpy as np
import pytest

from browsing import served
from mrgantry.study.protocol import Protocol
from reading import make_study

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
# Width and height in CSS pixels, and device pixels to each; up to 1024 they are touched.
SIZES = [
    *((320, 568, 2), (375, 667, 2), (390, 844, 3), (412, 915, 2.625), (568, 320, 2)),
    *((667, 375, 2), (768, 1024, 2), (1024, 768, 1)),
    *((1280, 720, 1), (1280, 800, 1), (1440, 900, 1), (1920, 1080, 1)),
]
EVERYTHING = Protocol(
    name="everything",
    questions=("truth", "tumour"),
    synthetic_word="computer-generated",
    unknown=True,
    seconds=600,
    confidence=True,
    reason=True,
    window=True,
    zoom=True,
)
TAPPED = "button, input, a[href]"
# What of all that can be tapped lies under something else, outside the window, or is too small.
COVERED = """(wanted) => {
  const seen = (box) => box.checkVisibility();
  const cover = [...document.querySelectorAll("#paused, #halt")].find(seen);
  const wrong = [];
  for (const control of [...(cover || document).querySelectorAll(wanted)].filter(seen)) {
    control.scrollIntoView({ block: "nearest" });
    const box = control.getBoundingClientRect();
    const name = control.id || control.textContent.trim();
    const least = control.type === "checkbox" ? 16 : 24;
    if (Math.min(box.width, box.height) < least) wrong.push(`${name} is small`);
    for (const [x, y] of [[0.5, 0.5], [0.1, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.9]]) {
      const hit = document.elementFromPoint(box.left + x * box.width, box.top + y * box.height);
      if (hit && control.contains(hit)) continue;
      wrong.push(`${name} lies under ${hit?.id || hit?.tagName}`);
    }
  }
  if (document.documentElement.scrollWidth > innerWidth) wrong.push("wider than the window");
  return wrong;
}"""
PARTS = ["#where", "#score", "#pause", "#stage", "#clock", "#status", "#small", "#tools"]
PARTS += ["#take-back", "#ask legend", "#ask .choices", "#feedback-say", "#feedback-go"]
BOXES = """(parts) => Object.fromEntries(
  parts.flatMap((name) => [...document.querySelectorAll(name)].map((part) => [name, part]))
    .filter(([, part]) => part.checkVisibility() && part.getBoundingClientRect().height)
    .map(([name, part]) => [name, part.getBoundingClientRect()])
    .map(([name, box]) => [name, [box.left, box.top, box.right, box.bottom]]))"""


def overlapping(boxes):
    """Name the parts of the reading page that share more than a pixel of the screen."""
    pairs = itertools.combinations(boxes.items(), 2)
    return [
        (one, other)
        for (one, a), (other, b) in pairs
        if min(a[2], b[2]) - max(a[0], b[0]) > 1 and min(a[3], b[3]) - max(a[1], b[1]) > 1
    ]


def clear(page):
    """Nothing that is seen lies over anything else."""
    page.wait_for_load_state()
    assert page.evaluate(COVERED, TAPPED) == []
    assert overlapping(page.evaluate(BOXES, PARTS)) == []


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A lesson that asks all there is to ask of large images, one for each size and one more."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (len(SIZES) + 1, 256, 256), dtype=np.uint8)
    folder = tmp_path_factory.mktemp("screens") / "study"
    return make_study(
        folder,
        protocol=EVERYTHING,
        kind="teaching",
        readers=("anna", "bo"),
        parts=(0, len(images)),
        consent="# Consent\n\nAnswers are kept under a code.\n",
        images=images,
    )


@pytest.fixture(scope="module")
def server(study):
    with served(study.study.folder) as running:
        yield running


def opened(browser, study, server, name, size):
    """Open a reader's link in a window of a size; give the page and the way to press there."""
    width, height, ratio = size
    touched = width <= 1024
    context = browser.new_context(
        viewport={"width": width, "height": height}, device_scale_factor=ratio, has_touch=touched
    )
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.goto(f"http://127.0.0.1:{server.port}/enter#{study.tokens[name]}")

    def press(which):
        found = page.locator(which)
        return found.tap() if touched else found.click()

    return page, press


def test_the_pages_before_the_images(study, server, chromium):
    page, press = opened(chromium, study, server, "bo", SIZES[0])
    for title in ("Welcome", "Before you take part", "What to do", "Your screen", "Now it counts"):
        page.get_by_role("heading", name=title).wait_for()
        page.wait_for_load_state()  # a heading stands before its style sheet has come
        for width, height, _ in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate(COVERED, TAPPED) == [], (title, width, height)
        page.set_viewport_size({"width": SIZES[0][0], "height": SIZES[0][1]})
        if title == "Before you take part":
            press("#agree")
        press("#go")
    page.context.close()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_every_control_can_be_tapped(study, server, chromium, size):
    person = study.person("anna")
    if study.store.current(person).number == 1 and not study.store.events(person):
        study.enter("anna").start()
    page, press = opened(chromium, study, server, "anna", size)
    page.locator("#frame img").wait_for()
    page.wait_for_timeout(400)
    clear(page)
    for tool in ("#enlarge", "#enlarge", "#reduce", "#reset"):
        press(tool)
        clear(page)
    press("#pause")
    clear(page)
    press("#resume")
    for way in (("#answer-unknown", "#take-back"), ("#answer-synthetic", "#take-back")):
        for control in way:
            press(control)
            page.wait_for_timeout(260)
            clear(page)
    for control in ("#answer-real", "#tumour-no", "#confidence-3"):
        press(control)
        page.wait_for_timeout(260)
        clear(page)
    page.locator("#reason").fill("edges")
    press("#reason-send")
    page.locator("#feedback-say").wait_for()
    clear(page)
    before = study.store.current(person).number
    press("#feedback-go")
    page.locator("#where", has_text=f"mage {before} of").wait_for()
    page.context.close()
