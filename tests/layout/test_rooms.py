"""The rooms of the layout package import one way."""

from __future__ import annotations

import pytest

from tests.test_imports import ALL, PACKAGE

ROOMS = {
    "algebra": set(),
    "solver": set(),
    "costs": set(),
    "rules": {"algebra"},
    "analysis": {"algebra", "costs", "rules"},
    "plan": {"algebra", "costs", "rules", "solver"},
    "explain": {"algebra", "rules", "solver", "plan"},
}
"""For each room, those that it may import."""


def test_every_module_is_in_a_room() -> None:
    paths = {path.relative_to(PACKAGE / "layout") for path in (PACKAGE / "layout").rglob("*.py")}
    assert {path.parts[0] for path in paths} == {*ROOMS, "__init__.py"}


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_one_way(room: str) -> None:
    own = [each for each in ALL if each.file.is_relative_to(PACKAGE / "layout" / room)]
    others = {each.target.split(".")[2] for each in own if each.target.startswith("layoutopt.layout.")}
    assert own
    assert others - {room} <= ROOMS[room]
