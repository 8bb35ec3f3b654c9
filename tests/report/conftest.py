"""Reports of models, and pages of reports in a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from layoutopt.api import report
from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir.io import save
from layoutopt.options import Io
from layoutopt.report.html.page import render
from layoutopt.results.model_report import ModelReport
from tests.report.models import head, refuse

Open = Callable[..., Page]


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Opens the page of a report, and makes sure that it complains about nothing and loads nothing but itself."""
    complaints: list[str] = []
    requests: set[str] = set()
    pages: list[Page] = []

    def opened(report: ModelReport, *, width: int = 1440, dark: bool = False, javascript: bool = True) -> Page:
        file = tmp_path / f"report{len(pages)}.html"
        file.write_text(render(report), encoding="utf-8")
        page = browser.new_page(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            java_script_enabled=javascript,
            reduced_motion="reduce",
        )
        pages.append(page)
        page.set_default_timeout(20_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.add(request.url))
        page.goto(file.as_uri())
        if javascript:
            page.wait_for_selector("html[data-ready]")
        return page

    yield opened
    for page in pages:
        page.context.close()
    assert not complaints
    assert requests == {(tmp_path / f"report{at}.html").as_uri() for at in range(len(pages))}


@pytest.fixture
def unconvertible(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model can be converted, so that reports are of ONNX graphs."""
    monkeypatch.setattr("layoutopt.workflows.conversion.convert_directly", refuse)


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="session")
def converted(directory: Path) -> ModelReport:
    """The report on the head, converted and timed; the models are in ``directory``."""
    return report(head(directory / "head.onnx"), models=directory)


@pytest.fixture(scope="session")
def unconverted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelReport]:
    """The report on a MobileNetV2 that cannot be converted and whose interface stays, and where its models are."""
    models = tmp_path_factory.mktemp("onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("layoutopt.workflows.conversion.convert_directly", refuse)
        save(mobilenet_v2(resolution=32, width=0.25), models / "original.onnx")
        return models, report(models / "original.onnx", io=Io.KEEP, objective="bytes", models=models)
