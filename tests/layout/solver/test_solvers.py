"""The solvers against brute force, against each other, and against networkx as an independent judge."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutopt.layout.solver import elimination, milp, mincut
from layoutopt.layout.solver.assign import assign
from layoutopt.layout.solver.problem import Assignment, Net, Pin, Problem

MAX_CHOICES = 2**16


def brute_force(problem: Problem) -> tuple[int, int, int]:
    """Return the least cost, tie and number of variants that are not natural."""
    choices = np.indices([len(costs) for costs in problem.variants]).reshape(len(problem.variants), -1)
    bytes_ = sum(np.array(costs)[chosen] for costs, chosen in zip(problem.variants, choices, strict=True))
    tie = sum((np.array(ties)[chosen] for ties, chosen in zip(problem.ties, choices, strict=False)), choices[0] * 0)
    for net in problem.nets:
        stored, *reads = (np.array(end.layouts)[choices[end.group]] for end in (net.source, *net.readers))
        for layout in range(net.layouts):
            prices = np.array([net.copy_costs.get((other, layout), net.cost) for other in range(net.layouts)])
            needed = (stored != layout) & np.any([read == layout for read in reads], axis=0)
            bytes_ = bytes_ + needed * prices[stored]
            tie = tie + problem.copy_tie * needed
    table = np.stack([bytes_, tie, (choices > 0).sum(axis=0)])
    least = table[:, np.lexsort(table[::-1])[0]].tolist()
    return least[0], least[1], least[2]


def weighed(problem: Problem, choice: tuple[int, ...]) -> tuple[int, int, int]:
    return problem.cost(choice), problem.tie(choice), sum(variant > 0 for variant in choice)


@st.composite
def problems(draw: st.DrawFn, *, two_layouts: bool = False, scale: int = 1, groups: int = 16) -> Problem:
    """Random groups and nets; components, fan-out, groups without a choice and prices come by themselves."""
    price = st.integers(0, 20).map(lambda cost: cost * scale)
    most = 2 if two_layouts else 5
    count = draw(st.integers(1, groups))
    variants: list[tuple[int, ...]] = []
    while len(variants) < count and prod(map(len, variants)) * most <= MAX_CHOICES:
        size = draw(st.sampled_from([1, 2, 2, draw(st.integers(1, most))]))
        variants.append(tuple(draw(st.lists(price | st.just(0), min_size=size, max_size=size))))
    nets = []
    for _ in range(draw(st.integers(count // 2, count + 2))):
        layouts = 2 if two_layouts else draw(st.integers(2, 5))

        def end(layouts: int = layouts) -> Pin:
            group = draw(st.integers(0, len(variants) - 1))
            if two_layouts:
                pin = draw(st.integers(0, 1))
                free = len(variants[group]) == 2
                return Pin(group, draw(st.sampled_from([(0, 1), (0, 1), (0, 1), (pin, pin)])) if free else (pin,))
            return Pin(group, tuple(draw(st.integers(0, layouts - 1)) for _ in variants[group]))

        source, readers = end(), tuple(end() for _ in range(draw(st.integers(1, 3))))
        pairs = [pair for pair in np.ndindex(layouts, layouts) if pair[0] != pair[1]]
        prices = dict(zip(pairs, draw(st.lists(price, min_size=len(pairs), max_size=len(pairs))), strict=True))
        prices = prices if draw(st.booleans()) else {}
        nets.append(Net(source, readers, layouts, draw(price), prices))
    ties = tuple(tuple(draw(st.lists(st.integers(0, 3), min_size=len(each), max_size=len(each)))) for each in variants)
    return Problem(tuple(variants), tuple(nets), draw(st.sampled_from([(), ties])), draw(st.integers(0, 1)))


def check_assign(problem: Problem) -> None:
    best = brute_force(problem)
    found = assign(problem)
    assert weighed(problem, found.choice) == best
    assert found == Assignment(found.choice, cost=best[0], lower_bound=best[0], proved_optimal=True, timed_out=False)
    program = milp.solve(problem)
    assert weighed(problem, program.choice)[:2] == best[:2]
    assert (program.cost, program.lower_bound, program.proved_optimal) == (best[0], best[0], True)


def check_two_layouts(problem: Problem) -> None:
    assert mincut.applies(problem)
    best = brute_force(problem)
    check_assign(problem)
    for part in (component.problem for component in problem.components):
        eliminated = elimination.solve(part)
        assert eliminated is not None
        assert weighed(part, eliminated) == brute_force(part)
        assert mincut.max_flow(part) == part.cost(eliminated)
        assert [eliminated] == mincut.solve([part])
    assert [weighed(problem, choice) for choice in mincut.solve([problem, problem])] == [best, best]
    assert cut_value(problem) == best[0]


def cut_value(problem: Problem) -> int:
    """The least bytes, by networkx, on a network that is drawn afresh from the definition of a copy."""
    network = nx.DiGraph()
    network.add_nodes_from(["natural", "last"])

    def soft(tail: object, head: object, capacity: int) -> None:
        known = network.edges[tail, head]["capacity"] if network.has_edge(tail, head) else 0
        network.add_edge(tail, head, capacity=known + capacity)

    def node(pin: Pin) -> object:
        return pin.group if pin.layouts == (0, 1) else ("natural", "last")[pin.layouts[0]]

    floor = 0
    for group, costs in enumerate(problem.variants):
        if len(costs) == 2:
            soft(group, "last", costs[0])
            soft("natural", group, costs[1])
        else:
            floor += costs[0]
    for index, net in enumerate(problem.nets):
        for pair, tail, head in (
            ((0, 1), node(net.source), ("to last", index)),
            ((1, 0), ("to natural", index), node(net.source)),
        ):
            soft(tail, head, net.copy_costs.get(pair, net.cost))
        for reader in map(node, net.readers):
            network.add_edge(("to last", index), reader)  # no capacity: infinite
            network.add_edge(reader, ("to natural", index))
    value, _ = nx.minimum_cut(network, "natural", "last")
    return floor + int(value)


@settings(max_examples=200)
@given(problems())
def test_assign_is_brute_force(problem: Problem) -> None:
    check_assign(problem)


@settings(max_examples=200)
@given(problems(two_layouts=True))
def test_two_layouts_have_four_judges(problem: Problem) -> None:
    check_two_layouts(problem)


@settings(max_examples=100)
@given(problems(scale=2**28, groups=8))
def test_huge_costs_stay_exact(problem: Problem) -> None:
    check_assign(problem)


@settings(max_examples=100)
@given(problems(groups=8), st.lists(st.integers(0, 9), min_size=12, max_size=12))
def test_costs_of_many_magnitudes_stay_exact(problem: Problem, exponents: list[int]) -> None:
    nets = tuple(
        replace(net, cost=net.cost * 10 ** exponents[index % 12] + 3) for index, net in enumerate(problem.nets)
    )
    check_assign(replace(problem, nets=nets))


@pytest.mark.long
@settings(max_examples=2000)
@given(problems())
def test_assign_is_brute_force_long(problem: Problem) -> None:
    check_assign(problem)


@pytest.mark.long
@settings(max_examples=2000)
@given(problems(two_layouts=True))
def test_two_layouts_have_four_judges_long(problem: Problem) -> None:
    check_two_layouts(problem)


CHOICE = (0, 0)
PINNED = (0,)


def net(source: int, *readers: int, cost: int = 4, pinned: tuple[int, ...] = ()) -> Net:
    """A net of two layouts; groups in ``pinned`` have no choice and take the natural one."""

    def end(group: int) -> Pin:
        return Pin(group, (0,) if group in pinned else (0, 1))

    return Net(end(source), tuple(map(end, readers)), 2, cost)


def test_a_shared_copy_is_paid_once() -> None:
    """One value in the natural layout, three readers in channels-last: one copy, not three."""
    anchor = Pin(1, (1,))
    fan_out = Net(Pin(0, (0,)), (anchor, Pin(2, (1,)), Pin(3, (1,))), 2, 12)
    problem = Problem((PINNED,) * 4, (fan_out,))
    found = assign(problem)
    assert (found.cost, problem.copies(found.choice)) == (12, 1)


def test_a_copy_moves_to_where_it_is_cheap() -> None:
    """Pinned, then two values of 100 and of 8 bytes, then an anchor: the smaller one is copied."""
    nets = (
        Net(Pin(0, (0,)), (Pin(1, (0, 1)),), 2, 100),
        Net(Pin(1, (0, 1)), (Pin(2, (0, 1)),), 2, 8),
        Net(Pin(2, (0, 1)), (Pin(3, (1,)),), 2, 100),
    )
    found = assign(Problem((PINNED, CHOICE, CHOICE, PINNED), nets))
    assert (found.choice, found.cost) == ((0, 0, 1, 0), 8)


def test_of_equals_the_fewest_copies_win() -> None:
    """Two copies of 3 bytes or one of 6: the same bytes, but one Transpose less."""
    split = (Net(Pin(0, (0,)), (Pin(1, (0, 1)),), 2, 6), *(Net(Pin(1, (0, 1)), (Pin(2, (1,)),), 2, 3),) * 2)
    assert assign(Problem((PINNED, CHOICE, PINNED), split)).choice == (0, 1, 0)


def test_a_copy_costs_what_its_direction_costs() -> None:
    """Natural to last is dear, so the copy moves to where it goes the other way, or is cheap."""
    up = Net(Pin(0, (0,)), (Pin(1, (0, 1)),), 2, 9, copy_costs={(0, 1): 1})
    down = Net(Pin(1, (0, 1)), (Pin(2, (1,)),), 2, 1, copy_costs={(0, 1): 9})
    back = Net(Pin(1, (0, 1)), (Pin(3, (0,)),), 2, 1, copy_costs={(1, 0): 3})
    problem = Problem((PINNED, CHOICE, PINNED, PINNED), (up, down, back))
    assert mincut.solve([problem]) == [(0, 1, 0, 0)]
    assert assign(problem).cost == 4


def test_of_equals_natural_wins_in_tables() -> None:
    """One group or two others take a variant that is not natural: all three must agree."""
    agree = Net(Pin(2, (2, 0, 1)), (Pin(0, (1, 0, 2)), Pin(1, (1, 0, 2))), 3, 5)
    assert elimination.solve(Problem(((0, 0, 0),) * 3, (agree,))) == (0, 0, 2)


def test_no_number_of_copies_outweighs_a_byte() -> None:
    """Three copies of nothing, or none for one byte."""
    inside = Net(Pin(0, (0, 0)), (Pin(0, (1, 0)), Pin(0, (2, 0)), Pin(0, (3, 0))), 4, 0)
    assert assign(Problem(((0, 1),), (inside,))).choice == (0,)


def test_of_equals_natural_wins() -> None:
    assert mincut.solve([Problem((CHOICE, CHOICE), (net(0, 1),))]) == [(0, 0)]


def test_components_are_solved_one_by_one() -> None:
    """Groups 1, 2 and 4 have no choice: they connect nothing."""
    three = Pin(0, (0, 1, 2))
    nets = (
        Net(three, (Pin(1, (2,)),), 3, 5),
        net(2, 3, pinned=(2,)),
        Net(Pin(3, (0, 1)), (Pin(4, (1,)),), 2, 2),
    )
    problem = Problem(((0, 0, 7), PINNED, PINNED, CHOICE, PINNED, (9,)), nets)
    assert [component.groups for component in problem.components] == [(0,), (3,)]
    found = assign(problem)
    assert found.cost == 5 + 2 + 9
    assert found.proved_optimal


def test_nothing_to_choose() -> None:
    found = assign(Problem((), ()))
    assert (found.choice, found.cost, found.proved_optimal) == ((), 0, True)


def test_a_price_of_its_own() -> None:
    """The same value is dear to copy from one layout and cheap from another."""
    priced = Net(Pin(0, (0, 1)), (Pin(1, (2,)),), 3, 10, copy_costs={(0, 2): 40})
    found = assign(Problem(((0, 7), PINNED), (priced,)))
    assert (found.choice, found.cost) == ((1, 0), 17)
    close = Net(Pin(0, (0, 1)), (Pin(1, (2,)),), 3, 10, copy_costs={(0, 2): 19, (1, 2): 11})
    assert assign(Problem((CHOICE, PINNED), (close,))).cost == 11


@pytest.mark.parametrize("cost", [2**31, 2**30 - 1, 2**33 + 1])
def test_huge_costs_are_not_for_the_cut(cost: int) -> None:
    """``maximum_flow`` would wrap them at int32 without an error."""
    ends = (Net(Pin(0, (0,)), (Pin(1, (0, 1)),), 2, cost), Net(Pin(1, (0, 1)), (Pin(2, (1,)),), 2, cost + 1))
    problem = Problem((PINNED, CHOICE, PINNED), ends)
    assert not mincut.applies(problem)
    found = assign(problem)
    assert (found.cost, found.choice, found.proved_optimal) == (cost, (0, 1, 0), True)


def test_the_largest_costs_for_the_cut() -> None:
    ends = (Net(Pin(0, (0,)), (Pin(1, (0, 1)),), 2, 2**26), Net(Pin(1, (0, 1)), (Pin(2, (1,)),), 2, 2**26 - 1))
    problem = Problem((PINNED, CHOICE, PINNED), ends)
    assert mincut.applies(problem)
    assert mincut.solve([problem]) == [(0, 0, 0)]


@pytest.mark.parametrize("layouts", [(1, 0), (0, 2), (2, 1)])
def test_what_is_no_cut_problem(layouts: tuple[int, int]) -> None:
    assert not mincut.applies(Problem((CHOICE, CHOICE), (Net(Pin(0, layouts), (Pin(1, (0, 1)),), 3, 1),)))


def dense(groups: int) -> Problem:
    """Four layouts everywhere, and readers anywhere."""
    rng = np.random.default_rng(0)
    nets = tuple(
        Net(
            Pin(index, tuple(rng.permutation(4).tolist())),
            tuple(Pin(int(g), tuple(rng.permutation(4).tolist())) for g in rng.integers(0, groups, 2)),
            4,
            int(rng.integers(1, 1000)),
        )
        for index in range(groups)
    )
    return Problem(((0, 0, 0, 0),) * groups, nets)


def test_elimination_and_the_program_agree_where_brute_force_is_too_slow() -> None:
    problem = dense(20)
    choice, program = elimination.solve(problem), milp.solve(problem)
    assert choice is not None
    assert program.proved_optimal
    assert weighed(problem, choice)[:2] == weighed(problem, program.choice)[:2]


@pytest.mark.parametrize("time_limit", [0.0, 0.02, 0.05])
def test_out_of_time_the_bound_still_holds(time_limit: float) -> None:
    problem = dense(20)
    exact = assign(problem)
    hurried = milp.solve(problem, time_limit=time_limit)
    assert hurried.lower_bound <= exact.cost <= hurried.cost
    assert hurried.timed_out != hurried.proved_optimal


def test_out_of_time_proves_nothing_that_is_not_so() -> None:
    """Whatever the solver had by then, the bound does not pass the cost, and nothing is called a proof."""
    problem = dense(60)
    assert elimination.solve(problem) is None
    hurried = assign(problem, time_limit=0.02)
    assert hurried.timed_out
    assert not hurried.proved_optimal
    assert hurried.lower_bound <= hurried.cost == problem.cost(hurried.choice)
