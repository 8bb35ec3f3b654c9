"""Figures in the README and in docs are those that were measured last, as far as they are committed."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import records
from benchmarks.networks import Networks, Row
from docs.tools import generate
from docs.tools.generate import filled
from docs.tools.picture import SHOWN, draw
from layoutopt.results.optimize import ModelKind, ModelStats
from layoutopt.results.provenance import Provenance

SVG = "{http://www.w3.org/2000/svg}"


def test_nothing_is_stale() -> None:
    assert [path.name for path, _ in generate.stale()] == [], "run python -m docs.tools.generate"


def test_every_region_is_closed_and_markdown_around_it_stays_markdown() -> None:
    for path in [generate.ROOT / "README.md", *generate.ROOT.glob("docs/**/*.md")]:
        rest = re.sub(r"^<!-- figures: [\w-]+ -->\n.*?^<!-- end -->$", "", path.read_text(), flags=re.M | re.S)
        rest = re.sub(r"(?<=.)<!-- figures: [\w-]+ -->[^\n]*?<!-- end -->", "", rest)
        assert "<!--" not in rest, path.name


def test_a_region_is_filled_within_its_line_or_on_lines_of_its_own() -> None:
    text = "of <!-- figures: count -->7<!-- end -->, see\n<!-- figures: table -->\n<!-- end -->\nthe end"
    expected = "of <!-- figures: count -->8<!-- end -->, see\n<!-- figures: table -->\n| a |\n<!-- end -->\nthe end"
    assert filled(text, {"count": "8", "table": "| a |"}) == expected


def test_a_region_that_nobody_makes() -> None:
    with pytest.raises(KeyError, match="nobody"):
        filled("<!-- figures: nobody -->1<!-- end -->", {"count": "8"})


def test_a_stale_file_is_told_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "PAGES", {"docs/page.md": lambda: "figures\n"})
    readme = tmp_path / "README.md"
    readme.write_text("All <!-- figures: count -->7<!-- end -->.")
    monkeypatch.setattr(generate, "REGIONS", (lambda: {"count": "8"},))
    monkeypatch.setattr(sys, "argv", ["generate", "--check"])
    with pytest.raises(SystemExit, match=r"python -m docs\.tools\.generate"):
        generate.main()
    assert capsys.readouterr().out == "README.md: stale\ndocs/page.md: stale\n"
    assert not (tmp_path / "docs").exists()
    monkeypatch.setattr(sys, "argv", ["generate"])
    generate.main()
    assert readme.read_text() == "All <!-- figures: count -->8<!-- end -->."
    assert (tmp_path / "docs" / "page.md").read_text() == "figures\n"
    monkeypatch.setattr(sys, "argv", ["generate", "--check"])
    generate.main()


def test_figures_come_back_as_they_were_saved(tmp_path: Path) -> None:
    networks = Networks.committed()
    records.save(networks, tmp_path / "networks.json")
    assert records.load(Networks, tmp_path / "networks.json") == networks
    row = networks.rows["vit_4"]
    assert isinstance(row, Row)
    assert isinstance(row.forms[0], ModelStats)
    assert row.form(ModelKind.LAYOUTOPT) == row.after
    assert isinstance(row.measured, Provenance)


def test_the_picture_has_a_stripe_for_each_operator() -> None:
    root = ElementTree.fromstring(draw())
    strips = [path for path in root.iter(f"{SVG}path") if path.get("d", "").count("v17")]
    rows = [Networks.committed().rows[name] for name in SHOWN]
    assert sum(path.get("d", "").count("v17") for path in strips) == sum(
        form.operators for row in rows for form in (row.before, row.after)
    )
    marked = sum(path.get("d", "").count("v17") for path in strips if path.get("class") == "transpose")
    assert marked == sum(form.transposes for row in rows for form in (row.before, row.after))


def test_sources_that_conversions_depend_on_exist() -> None:
    from benchmarks import networks_table

    assert all(path.exists() for path in (*networks_table._EXPORTS, *networks_table._CONVERSIONS))


@pytest.mark.long
@pytest.mark.onnx_tf
@pytest.mark.torch
def test_a_network_is_converted_again_only_if_what_it_is_made_from_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks import networks_table

    first = networks_table.converted("vgg11", tmp_path, small=True)
    assert "export" in capsys.readouterr().out
    again = networks_table.converted("vgg11", tmp_path, small=True)
    assert again == first
    assert capsys.readouterr().out == "vgg11: layouts\n"
    assert [form.kind for form in first.forms] == [ModelKind.PLAIN, ModelKind.PER_OPERATOR, ModelKind.LAYOUTOPT]
    assert {kind: len(stripes) for kind, stripes in first.stripes.items()} == {
        form.kind.value: form.operators for form in first.forms
    }
    handlers = tmp_path / "handlers.py"
    handlers.write_text("")
    monkeypatch.setattr(networks_table, "_CONVERSIONS", (handlers,))
    networks_table.converted("vgg11", tmp_path, small=True)
    told = capsys.readouterr().out
    assert "TFLite converter" in told
    assert "export" not in told
