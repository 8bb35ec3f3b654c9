"""The page in a real browser: what a reader does with mouse, keyboard, paper and a phone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest
from playwright.sync_api import Page, expect

from layoutopt.report.html.drawing import BOX_HEIGHT, BOX_WIDTH, ROW, draw
from layoutopt.results.model_report import ModelReport
from tests.report.conftest import Open
from tests.reports import report

pytestmark = pytest.mark.browser

LEAST_CONTRAST = 4.5
"""Of text on its ground, as WCAG 2.2 has it."""

# Each text with its colour and that of its ground: the shape below it, or the element around it.
TEXTS = """() => {
  const found = [];
  const clear = (colour) => !colour || colour === "none" || colour === "rgba(0, 0, 0, 0)";
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!clear(colour)) return colour;
    }
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const [text, element] = [walker.currentNode.textContent.trim(), walker.currentNode.parentElement];
    if (!text || !element.checkVisibility() || element.closest("script, noscript, [hidden]")) continue;
    if (!(element instanceof SVGElement)) found.push([text, getComputedStyle(element).color, ground(element)]);
    else {
      const node = element.closest(".node");
      const chip = getComputedStyle(node.querySelector(".chip")).fill;
      const box = getComputedStyle(node.querySelector(".box")).fill;
      const below = element.classList.contains("letter") && !clear(chip) ? chip : box;
      found.push([text, getComputedStyle(element).fill, below]);
    }
  }
  return found;
}"""


# What is cut: wider than the window, and not in a box of its own that scrolls; or in one that hides it.
CUT = """() => [...document.querySelectorAll("body *")].filter((each) => {
  const elsewhere = ".canvas, .plot, .hidden, .skip, dialog, .stacked thead";
  if (each instanceof SVGElement || !each.checkVisibility() || each.closest(elsewhere)) return false;
  const { width } = each.getBoundingClientRect();
  if (each.matches(".scroll > table") && innerWidth < 740 && width > each.parentElement.clientWidth + 1) return true;
  const scrolls = each.closest(".scroll");
  if (scrolls && scrolls !== each) return false;
  const style = getComputedStyle(each);
  const hides = style.overflowX === "hidden" && each.scrollWidth > each.clientWidth + 1;
  return hides || each.getBoundingClientRect().right > innerWidth + 1;
}).map((each) => `${each.tagName}.${each.className}`)"""


@cache
def some() -> ModelReport:
    return report(60, left=3)


@pytest.fixture
def page(show: Open) -> Page:
    return show(some())


def box_of(key: str, number: int) -> str:
    """The id of the box of an operator."""
    graph = some().before if key == "before" else some().after
    assert graph is not None
    return f"{key}-{len(graph.inputs) + number}"


def luminance(colour: str) -> float:
    channels = [int(number) / 255 for number in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


def chosen(page: Page) -> str | None:
    """The id of the chosen box, which is in the window."""
    box = page.locator(".node.chosen")
    expect(box).to_have_count(1)
    expect(box).to_be_in_viewport()
    return box.get_attribute("id")


def test_a_click_shows_an_operator_and_its_counterpart(page: Page) -> None:
    before, after = some().before, some().after
    assert before is not None
    number = next(at for at, node in enumerate(before.nodes) if node.operator == "CONV_2D")
    node = before.nodes[number]
    page.locator(f"#{box_of('before', number)}").click()
    assert chosen(page) == box_of("before", number)
    details = page.locator("#details")
    for words in (node.operator, node.name, node.rule, node.reason, "1×56×48×32 float32", "344.06 kB", *node.constants):
        expect(details).to_contain_text(words)
    expect(details).to_contain_text("padding")
    expect(details).to_contain_text("channels-last, NHWC")
    twin = next(at for at, each in enumerate(after.nodes) if each.name == node.name)
    expect(page.locator(".node.counterpart")).to_have_attribute("id", box_of("after", twin))
    expect(page.locator(".node.counterpart")).to_be_in_viewport()
    lit = page.locator(".edge.lit")
    assert lit.count() == 2
    details.get_by_role("button", name=after.nodes[twin].operator).last.click()
    assert chosen(page) == box_of("after", twin)


def test_what_has_no_counterpart_shows_its_surroundings(show: Open) -> None:
    before, after = some().before, some().after
    assert before is not None
    number = 30
    alone = replace(after.nodes[number], name="of its own")
    (own,) = alone.outputs
    tensors = {**after.tensors, own: replace(after.tensors[own], value="")}
    nodes = (*after.nodes[:number], alone, *after.nodes[number + 1 :])
    page = show(replace(some(), after=replace(after, nodes=nodes, tensors=tensors)))
    page.locator("#search").fill("of its own")
    page.keyboard.press("Enter")
    assert chosen(page) == box_of("after", number)
    expect(page.locator("#details")).to_contain_text("no counterpart")
    expect(page.locator(".node.counterpart")).to_have_count(0)
    last = max(at for at, node in enumerate(before.nodes) if node.name == after.nodes[number - 1].name)
    expect(page.locator(f"#{box_of('before', last)}")).to_be_in_viewport()


def test_search_finds_and_moves(page: Page) -> None:
    before, after = some().before, some().after
    assert before is not None
    wanted = [box_of(key, at) for key, graph in (("before", before), ("after", after))
              for at, node in enumerate(graph.nodes) if node.operator == "CONCATENATION"]  # fmt: skip
    page.keyboard.press("/")
    page.keyboard.type("concatenation")
    expect(page.locator("#hits")).to_have_text(f"{len(wanted)} found")
    seen = []
    for _ in wanted:
        page.keyboard.press("Enter")
        seen.append(chosen(page))
    assert seen == wanted
    page.keyboard.press("Shift+Enter")
    assert chosen(page) == wanted[-2]
    page.locator("#search").fill("t17")  # a tensor
    expect(page.locator("#hits")).not_to_have_text("nothing found")
    page.locator("#search").fill("block.3/ conv_2d")
    page.keyboard.press("Enter")
    expect(page.locator("#details")).to_contain_text("/block.3/")
    page.locator("#search").fill("no such thing")
    expect(page.locator("#hits")).to_have_text("nothing found")
    page.keyboard.press("Escape")
    expect(page.locator("#search")).to_have_value("")
    expect(page.locator(".drawing.searching")).to_have_count(0)


@pytest.mark.parametrize("key", ["before", "after"])
def test_n_and_p_go_through_all_transposes(page: Page, key: str) -> None:
    graph = some().before if key == "before" else some().after
    assert graph is not None
    wanted = [box_of(key, at) for at, node in enumerate(graph.nodes) if node.is_transpose]
    page.keyboard.press(key[0])
    seen = []
    for _ in wanted:
        page.keyboard.press("n")
        seen.append(chosen(page))
    assert seen == wanted
    expect(page.locator("#at-transpose")).to_have_text(f"{len(wanted)} of {len(wanted)}")
    page.keyboard.press("n")
    assert chosen(page) == wanted[0]
    page.keyboard.press("p")
    assert chosen(page) == wanted[-1]
    page.keyboard.press("p")
    assert chosen(page) == wanted[-2]


def test_the_keyboard_is_enough(page: Page) -> None:
    seen: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.id || document.activeElement.className")
        ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert ring == "solid", f"no focus ring on {name}"
        seen.append(name)
        if name == "canvas":
            break
    assert {"theme", "help-open", "search", "next", "fit", "canvas"} <= set(seen)
    for _ in range(4):
        page.keyboard.press("ArrowDown")
    first = chosen(page)
    page.keyboard.press("ArrowUp")
    assert chosen(page) != first
    page.keyboard.press("End")
    assert chosen(page) == f"before-{len(draw(some().before).boxes) - 1}"  # type: ignore[arg-type]
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert chosen(page) == "before-1"
    page.keyboard.press("Enter")
    expect(page.locator("#details")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # to a neighbour
    assert chosen(page) != "before-1"
    page.keyboard.press("a")
    expect(page.locator('[data-side="after"] .canvas')).to_be_focused()
    page.keyboard.press("Home")
    assert chosen(page) == "after-0"
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).not_to_be_visible()


def test_zoom_fits_and_comes_back(page: Page) -> None:
    drawing = page.locator('[data-side="before"] .drawing')
    page.locator(".panes").scroll_into_view_if_needed()
    full = drawing.bounding_box()
    page.keyboard.press("+")
    expect(page.locator("#zoom")).to_have_text("125%")
    assert drawing.bounding_box()["height"] == pytest.approx(1.25 * full["height"], rel=0.01)  # type: ignore[index]
    page.keyboard.press("f")
    assert not page.locator(".node").count(), "from afar, there is no text to lay out"
    page.keyboard.press("f")
    expect(page.locator("#zoom")).to_have_text("100%")
    expect(page.locator(".node").first).to_be_visible()
    for _ in range(8):
        page.keyboard.press("-")
    expect(page.locator(".canvas.whole")).to_have_count(2)
    page.keyboard.press("+")
    expect(page.locator("#zoom")).to_have_text("40%")


@pytest.mark.parametrize("width", [400, 1440])
def test_all_of_a_long_graph_fills_the_window(show: Open, width: int) -> None:
    long = report(400)
    page = show(long, width=width)
    page.locator("#fit").click()
    assert long.before is not None
    drawn = draw(long.before)
    canvas = page.locator('[data-side="before"] .canvas').bounding_box()
    columns = [each.bounding_box() for each in page.locator('[data-side="before"] .folded svg').all()]
    assert canvas is not None
    assert len(columns) > 2
    for box in columns:
        assert box is not None
        assert box["height"] > 0.7 * canvas["height"] or box["width"] * len(columns) > 0.5 * canvas["width"]
        assert canvas["x"] <= box["x"] <= box["x"] + box["width"] <= canvas["x"] + canvas["width"]
        assert canvas["y"] <= box["y"] <= box["y"] + box["height"] <= canvas["y"] + canvas["height"]
    widest = max(box["width"] for box in columns if box)
    assert widest > 2 * drawn.width * canvas["height"] / drawn.height, "in one column it would be a thread"


@pytest.mark.parametrize("number", [0, 100, 250, -1])
def test_a_click_on_a_folded_graph_finds_what_is_there(show: Open, number: int) -> None:
    long = report(400)
    page = show(long)
    page.locator("#fit").click()
    page.locator(".panes").scroll_into_view_if_needed()
    drawn = draw(long.after)
    wanted, top = drawn.boxes[number], min(box.y for box in drawn.boxes) - (ROW - BOX_HEIGHT) / 2
    columns = page.locator('[data-side="after"] .folded svg')
    height = float(str(columns.first.get_attribute("viewBox")).split()[3])
    column, above = divmod(wanted.y + BOX_HEIGHT / 2 - top, height)
    left = min(box.x for box in drawn.boxes if (box.y - top) // height == column)
    there = columns.nth(int(column)).bounding_box()
    assert there is not None
    scale = there["height"] / height
    page.mouse.click(there["x"] + (wanted.x + BOX_WIDTH / 2 - left) * scale, there["y"] + above * scale)
    assert chosen(page) == f"after-{wanted.index}"
    expect(page.locator(".canvas.whole")).to_have_count(0)
    expect(page.locator("#zoom")).to_have_text("100%")


def test_no_text_leaves_its_box(show: Open) -> None:
    long = (
        "RESIZE_NEAREST_NEIGHBOR",
        "layoutopt.nhwc::BatchNormalization2D",
        "WWWWWWWWWWWWWWWWWW",
        "MMMMMMMMMMMMMMMMMMMM",
    )
    after = some().after
    nodes = tuple(replace(node, operator=long[at % len(long)]) for at, node in enumerate(after.nodes))
    page = show(replace(some(), after=replace(after, nodes=nodes)))
    over = page.evaluate("""() => [...document.querySelectorAll(".node")].flatMap((node) => {
      const box = node.querySelector(".box").getBBox();
      const ends = [...node.querySelectorAll("text")].map((text) => text.getBBox().x + text.getBBox().width);
      return ends.filter((end) => end > box.width).map((end) => [node.id, end]);
    })""")
    assert page.locator(".node").count() > 20
    assert not over


def test_dragging_moves_and_does_not_choose(page: Page) -> None:
    canvas = page.locator('[data-side="before"] .canvas')
    page.locator("#graph .panes").scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 150, box["y"] + 300)
    page.mouse.down()
    page.mouse.move(box["x"] + 150, box["y"] + 100, steps=4)
    page.mouse.up()
    assert canvas.evaluate("element => element.scrollTop") == pytest.approx(200, abs=2)
    expect(page.locator(".node.chosen")).to_have_count(0)


def test_charts_and_tables_lead_into_the_graph(page: Page) -> None:
    plot = page.locator('[data-chart="error"] .plot')
    plot.focus()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    expect(page.locator('[data-chart="error"] .readout')).to_contain_text(some().after.nodes[6].name)
    expect(page.locator('[data-chart="error"] .readout')).to_contain_text("relative error")
    page.keyboard.press("Enter")
    assert chosen(page) == box_of("after", 6)
    page.locator("#time .pick").first.click()
    assert chosen(page) is not None
    strip = page.locator('[data-strip="after"] svg')
    width = strip.bounding_box()["width"]  # type: ignore[index]
    strip.click(position={"x": width * 10.5 / len(some().after.nodes), "y": 5})
    assert chosen(page) == box_of("after", 10)


def test_one_graph_can_have_all_the_room(page: Page) -> None:
    page.locator('[data-view="after"].view').click()
    expect(page.locator('[data-side="before"]')).not_to_be_visible()
    page.keyboard.press("n")
    assert str(chosen(page)).startswith("after-")
    page.keyboard.press("b")  # asks for what is hidden
    expect(page.locator('.pane[data-side="before"]')).to_be_visible()
    page.keyboard.press("n")
    assert str(chosen(page)).startswith("before-")


def test_the_other_graph_has_the_matching_operator_chosen(page: Page) -> None:
    before, after = some().before, some().after
    assert before is not None
    number = [at for at, node in enumerate(before.nodes) if node.operator == "CONV_2D"][-1]
    name = before.nodes[number].name
    assert sum(node.name == name for node in before.nodes) > 1, "its transposes bear its name, and are not it"
    twin = next(at for at, node in enumerate(after.nodes) if node.name == name)
    views = {key: page.locator(f'[data-view="{key}"].view') for key in ("both", "before", "after")}
    page.locator("#search").fill(name)
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    views["before"].click()
    first = chosen(page)  # one of the transposes
    views["after"].click()
    assert chosen(page) == box_of("after", twin)
    expect(page.locator("#details")).to_contain_text(name)
    views["before"].click()
    assert chosen(page) == first, "back where one has come from"
    views["after"].click()
    views["both"].click()
    assert chosen(page) == box_of("after", twin)
    expect(page.locator(".node.counterpart").first).to_be_in_viewport()
    page.keyboard.press("b")
    assert chosen(page) == first


def test_names_in_reasons_are_code(show: Open) -> None:
    after = some().after
    told = "`fold-constants` makes an initializer of `x<y` & more"
    nodes = tuple(replace(node, reason=told, rule=told) for node in after.nodes)
    page = show(replace(some(), after=replace(after, nodes=nodes)))
    expect(page.locator("#bytes td code").first).to_have_text("fold-constants")
    page.keyboard.press("a")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#details dd code")).to_have_text(["fold-constants", "x<y"] * 2)
    assert "`" not in page.locator("main").inner_text()


def test_a_link_opens_at_an_operator(page: Page) -> None:
    page.keyboard.press("n")
    page.keyboard.press("n")
    before = chosen(page)
    assert page.url.endswith(f"#{str(before).replace('-', ':')}")
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert chosen(page) == before


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_text_can_be_read(show: Open, dark: bool) -> None:
    page = show(some(), dark=not dark)  # the toggle, not the system, has the last word
    page.keyboard.press("t")
    if dark:
        page.keyboard.press("t")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (luminance(ground) < 0.1) == dark
    page.keyboard.press("n")
    page.evaluate("document.getElementById('help').show()")
    texts: Sequence[tuple[str, str, str]] = page.evaluate(TEXTS)
    page.locator('[data-side="after"] .canvas').focus()
    page.keyboard.press("End")  # other and unknown layouts are there
    texts = [*texts, *page.evaluate(TEXTS)]
    assert len(texts) > 300
    assert {"N", "L", "O", "?", "T"} <= {text for text, *_ in texts}
    poor = {each for each in map(tuple, texts) if contrast(each[1], each[2]) < LEAST_CONTRAST}
    assert not poor


def test_dark_and_light_follow_the_system(show: Open) -> None:
    grounds = [show(some(), dark=dark).evaluate("getComputedStyle(document.body).backgroundColor") for dark in (0, 1)]
    assert luminance(grounds[0]) > 0.9
    assert luminance(grounds[1]) < 0.1


def test_it_prints(show: Open) -> None:
    page = show(some(), dark=True)
    file = page.pdf(format="A4")
    pages = len(re.findall(rb"/Type\s*/Page\b", file))
    assert 3 <= pages <= 12
    page.emulate_media(media="print", color_scheme="light")
    expect(page.locator(".panes")).not_to_be_visible()
    expect(page.locator("#bytes .plot").first).to_be_visible()
    expect(page.locator(".ribbon").first).to_be_visible()
    expect(page.locator("#bytes table").first).to_be_visible()
    assert luminance(page.evaluate("getComputedStyle(document.body).backgroundColor")) > 0.9


@pytest.mark.parametrize("width", [400, 800, 1100])
def test_small_windows_break_nothing(show: Open, width: int) -> None:
    page = show(some(), width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CUT) == []
    page.keyboard.press("n")
    assert chosen(page) is not None
    expect(page.locator("#details")).to_contain_text("TRANSPOSE")


def test_without_javascript_the_figures_are_there(show: Open) -> None:
    page = show(some(), javascript=False)
    expect(page.locator("#headline")).to_contain_text("1.03 MB")
    expect(page.locator("#passes")).to_contain_text("propagate-layout")
    expect(page.locator("noscript p")).to_be_visible()


def test_a_report_without_a_baseline_works(show: Open) -> None:
    page = show(report(20, before=False, measured=False))
    expect(page.locator(".pane")).to_have_count(1)
    page.keyboard.press("n")  # there is no transpose
    page.keyboard.press("a")
    page.keyboard.press("ArrowDown")
    assert chosen(page) == "after-0"


def test_thousands_of_operators_are_no_burden(show: Open) -> None:
    page = show(report(2000))
    assert (
        page.evaluate(
            "Object.values(JSON.parse(document.getElementById('data').textContent)).map(each => each.nodes.length)"
        )[1]
        > 1900
    )
    assert page.evaluate("document.querySelectorAll('.node').length") < 300
    page.locator("#search").fill("/skip/Concat")
    page.keyboard.press("Enter")
    assert chosen(page) is not None
    page.keyboard.press("Escape")
    for _ in range(5):
        page.keyboard.press("n")
        assert chosen(page) is not None
    page.keyboard.press("End")
    assert chosen(page) is not None
    page.keyboard.press("f")
    assert page.evaluate("document.querySelectorAll('.node').length") == 0
