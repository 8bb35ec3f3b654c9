"""The page as text: it holds all of the report, is well-formed, and needs nothing from anywhere."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from layoutopt.backend.conversion import WinogradGain
from layoutopt.quantization.outcome import QuantizationReport
from layoutopt.report.html.page import MEANINGS, duration, error, format_shape, render
from layoutopt.report.terminal.quantization import of_quantization
from layoutopt.results.model_report import ModelReport
from layoutopt.results.optimize import ModelKind
from layoutopt.results.result import to_json
from tests.reports import report

_VOID = {"meta", "input", "br", "link", "img", "hr"}


class Reader(HTMLParser):
    """Checks that tags match, and keeps text, ids and what refers to them."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.scripts if self.open and self.open[-1] in ("script", "style") else self.words).append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert not reader.open
    return reader


@pytest.fixture(scope="module")
def everything() -> ModelReport:
    return report(40, left=2)


@pytest.fixture(scope="module")
def page(everything: ModelReport) -> str:
    return render(everything)


def test_it_needs_nothing_from_anywhere(page: str) -> None:
    assert "default-src 'none'" in page
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(|<link|<img|<iframe|\bsrc=|fetch\(|XMLHttp", page)


def test_it_is_well_formed_and_refers_to_what_is_there(page: str) -> None:
    reader = read(page)
    assert len(reader.ids) == len(set(reader.ids))
    for name, value in reader.attributes:
        if name in ("aria-labelledby", "aria-describedby"):
            assert value in reader.ids
        if name == "href":
            assert value.removeprefix("#") in reader.ids
    assert ("lang", "en") in reader.attributes


def test_it_says_what_the_report_says(everything: ModelReport, page: str) -> None:
    text = read(page).text
    optimize = everything.optimize
    assert optimize.baseline is not None
    assert f"Transposes {optimize.baseline.transposes} → 2 " in text
    assert "1.46× as fast, 95% interval 1.44 to 1.48: faster" in text
    assert "12.7 → 8.66 ms" in text
    assert "proved: no choice of layouts moves fewer" in text
    for stage in everything.stages:
        assert stage.name in text
    for words in (*everything.notes, everything.machine, everything.created, "ai-edge-litert 2.3.0"):
        assert words in text
    assert "a flow of 688.13 kB saturates the cut" in text
    assert "/head/value.1" in text
    assert "NonMaxSuppression" in text


def test_it_tells_what_winograd_would_gain_among_the_notes(everything: ModelReport, page: str) -> None:
    gain = WinogradGain(17, 25e6, 18.5e6, 15_200_000)
    text = read(render(replace(everything, optimize=replace(everything.optimize, winograd_gain=gain)))).text
    assert "would take about 26 % less time for the convolutions on a CPU, and about 15.20 MB more in the file" in text
    assert "optimize --winograd" in text
    assert "Winograd" not in read(page).text


@pytest.mark.parametrize(("method", "words"), [("auto", "different methods for sections"), ("mse", "mse")])
def test_it_says_how_ranges_were_chosen_as_the_terminal_does(everything: ModelReport, method: str, words: str) -> None:
    told = QuantizationReport(method, True, 60, 20, 20, (), 7, (), 4000, None, None, ())
    text = read(render(replace(everything, optimize=replace(everything.optimize, quantization=told)))).text
    assert f"Ranges by {words}, biases corrected" in text
    (line,) = of_quantization(told, file_size=1000, verbose=False)
    assert f"ranges by {words}, biases corrected" in str(line)


def test_how_to_feed_it_comes_before_the_graph(everything: ModelReport, page: str) -> None:
    text = read(page).text
    (image,) = everything.optimize.inputs
    assert text.index(image.feed) < text.index("The graph")
    assert "1×32×56×48" in text
    same = replace(everything.optimize, inputs=(replace(image, feed=""),))
    assert "takes and gives all tensors as the original does" in read(render(replace(everything, optimize=same))).text


@pytest.mark.parametrize("kind", ModelKind)
def test_the_names_of_graphs_are_explained_in_place(everything: ModelReport, kind: ModelKind) -> None:
    assert everything.before is not None
    before = replace(everything.before, title=kind.value)
    assert f"Before {kind.value} : {MEANINGS[kind.value]}" in read(render(replace(everything, before=before))).text


def test_before_is_the_file_before_and_nothing_else(everything: ModelReport) -> None:
    assert everything.optimize.baseline is not None
    baseline = replace(everything.optimize.baseline, transposes=36)
    text = read(render(replace(everything, optimize=replace(everything.optimize, baseline=baseline)))).text
    start = everything.stages[0].transposes
    assert f"begins with {start} transposes; the file before, which a converter has already simplified, has 36." in text


def test_its_data_are_those_of_the_report(everything: ModelReport, page: str) -> None:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    data = json.loads(found)
    for key, graph in (("before", everything.before), ("after", everything.after)):
        assert graph is not None
        operators = [n for n, role in zip(data[key]["nodes"], data[key]["roles"], strict=True) if role == "operator"]
        assert operators == to_json(graph.nodes)
        assert data[key]["tensors"] == to_json(graph.tensors)
        transposes = [node.id for node in graph.nodes if node.is_transpose]
        assert [data[key]["nodes"][at]["id"] for at in data[key]["transposes"]] == transposes


def test_names_are_text_whatever_is_in_them(everything: ModelReport) -> None:
    nasty = "</script><b onclick='x'>&\"{{ 7 * 7 }}"
    nodes = (replace(everything.after.nodes[0], name=nasty, reason=nasty), *everything.after.nodes[1:])
    page = render(replace(everything, name=nasty, notes=(nasty,), after=replace(everything.after, nodes=nodes)))
    assert nasty not in page
    assert "49" not in page.split("</title>")[0]
    assert page.count("<script") == page.count("</script>")
    reader = read(page)
    assert nasty in reader.text
    assert not [value for name, value in reader.attributes if name.startswith("on")]


def test_what_is_missing_is_said() -> None:
    found = replace(report(20, before=False, measured=False), stages=())
    text = read(render(found)).text
    assert "No time was measured." in text
    assert "The layers were not compared with the original." in text
    assert "The passes were not recorded." in text
    assert "Latency" not in text
    assert "Before" not in text
    assert "layoutopt: no transpose." in text


@pytest.mark.parametrize(
    ("microseconds", "words"),
    [(None, "–"), (0.0, "0.00 µs"), (0.034, "0.0340 µs"), (7.128, "7.13 µs"), (123.4, "123 µs"), (4567, "4.57 ms"),
     (2_345_678, "2,346 ms")],
)  # fmt: skip
def test_times_have_three_digits(microseconds: float | None, words: str) -> None:
    assert duration(microseconds) == words


def test_shapes_and_errors_are_for_people() -> None:
    assert (format_shape((1, -1, 3)), format_shape(())) == ("1×any×3", "scalar")
    assert (error(None), error(0.0), error(3.14e-7)) == ("–", "0", "3.1e-07")
