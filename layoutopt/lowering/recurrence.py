"""The steps of a recurrence, one after the other: few are written out, many run in loops.

XNNPACK packs the weights again for each product that is written out, and LiteRT copies all that a round of a WHILE
changes, the outputs of all its steps too. So a round makes only as many steps as have weights that stay in the cache,
and the steps are spread over several WHILEs, each of which carries its own part of input and outputs; all of them run
the same bodies, whose weights are packed once. The numbers are measured by ``python -m benchmarks.recurrences``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from layoutopt.lowering.node import constant
from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Value

State: TypeAlias = "tuple[Value, ...]"
"""The values that go from step to step: the hidden state, and an LSTM's cell."""
Step: TypeAlias = "Callable[[Value, State], State]"
"""From a step's input, as much of the gates as does not depend on the state, and the state before to that after."""

CACHED_BYTES = 1 << 19
"""Of the packed weights of a round: more of them would not stay in the cache of a core, beside what else is in it."""
_MAX_PER_ROUND = 4
"""Steps that a round of a WHILE makes."""
_MAX_WRITTEN_OUT = 8
"""Steps that are written out without any loop."""
_WRITTEN_OUT_BYTES = 1 << 18
"""Of their packed weights."""
_BYTES_PER_START = 5 << 18
"""Bytes that LiteRT copies from round to round in the time that it takes to start a WHILE."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A distribution of the steps of a recurrence over loops.

    Attributes:
        per_round: steps that a round of a WHILE makes.
        per_loop: steps that a WHILE makes, a multiple of ``per_round``; 0 where all steps are written out.
    """

    per_round: int
    per_loop: int

    @classmethod
    def of(cls, steps: int, weights: int, step: int, *, share_bodies: bool, resizable: bool) -> Schedule:
        """Return the schedule that takes the least time.

        Args:
            steps: of the recurrence.
            weights: bytes that the weights of a step take.
            step: bytes of the input and of the output of a step.
            share_bodies: whether several WHILEs may run the same bodies.
            resizable: whether the operations must be the same for another number of steps.
        """
        if steps <= _MAX_WRITTEN_OUT and (resizable or steps * weights <= _WRITTEN_OUT_BYTES):
            return cls(steps, 0)
        if resizable:  # no steps are left over, however many there are
            return cls(1, steps)
        most = min(_MAX_PER_ROUND, steps)
        if not share_bodies:  # the only WHILE copies all steps in every round
            return cls(most, steps // most * most)
        per_round = max(1, min(CACHED_BYTES // max(1, weights), most))
        rounds = steps // per_round
        # A WHILE of n steps takes a start, and copies n steps n / per_round times: per step, that is least for this n.
        fastest = sqrt(_BYTES_PER_START * per_round / max(1, step))
        loops = ceil(rounds / max(1.0, fastest / per_round))
        return cls(per_round, ceil(rounds / loops) * per_round)


@dataclass(frozen=True, slots=True)
class Recurrence:
    """All steps of one direction, or of both directions at once.

    Attributes:
        gates: the input of each step: (steps * directions, batch, gates), or (batch, steps, gates) of one direction.
        axis: of ``gates`` that is time: 0 or 1.
        output_axis: of the outputs that is to be time: 0 or 1; ``axis`` unless there is one direction.
        step: makes one step; input and states have three axes, as a part of ``gates``.
        directions: how many make a step together.
        lengths: of the sequences; beyond them the state stays and the output is zero.
    """

    gates: Value
    axis: int
    output_axis: int
    step: Step
    directions: int = 1
    lengths: Value | None = None

    def run(self, state: State, schedule: Schedule) -> tuple[Value, State]:
        """Record all steps.

        Args:
            state: before the first step, (directions, batch, hidden), or (batch, 1, hidden) where time is axis 1.
            schedule: how they are spread over loops.

        Returns:
            The hidden state after each step, (steps * directions, batch, hidden) or (batch, steps, hidden), and the
            last state.
        """
        steps, size, done = self.gates.sizes[self.axis] // self.directions, schedule.per_loop, 0
        parts = []
        loop: list[Value] = []
        while size and done + schedule.per_round <= steps:
            end = min(done + size, steps // schedule.per_round * schedule.per_round)
            loop, start = self._loop(loop, end - size, done, state, schedule)
            outputs, _, *state_after = loop[start:]
            parts.append(self._steps(outputs, self.output_axis, size - (end - done), end - done))
            state, done = tuple(state_after), end
        if done < steps:
            rest = self._steps(self.gates, self.axis, done, steps - done)
            part, state = self._write_out(rest, state, constant(np.array([done], np.int32)))
            parts.append(part)
        return _joined(parts, self.output_axis), state

    def _loop(
        self, before: Sequence[Value], first: int, done: int, state: State, schedule: Schedule
    ) -> tuple[list[Value], int]:
        """Record one WHILE.

        Args:
            before: results of the WHILE before it, whose bodies it runs; none if it is the first one.
            first: step at which its part of the input begins.
            done: steps that have been made; those of its part it leaves alone.
            state: after these.
            schedule: how many steps it makes.

        Returns:
            Its results, and the place among them at which outputs, input and state begin.
        """
        size, batch = schedule.per_loop, self.gates.sizes[1 - self.axis]
        axes = (self.axis,) if self.axis == self.output_axis else (self.axis, self.output_axis)
        counters = [constant(self._place(axis, done - first)) for axis in axes]
        if self.lengths is not None:
            counters.append(constant(np.array([done], np.int32)))
        outputs = tfl.fill(sizes_of(self.output_axis, size * self.directions, batch, state[0].sizes[2]), 0.0)
        start = [*counters, outputs, self._steps(self.gates, self.axis, first, size), *state]
        if before:
            return tfl.while_again(before[0], start), len(counters)
        limit = constant(np.array([size * self.directions], np.int32))

        def go(*carried: Value) -> Sequence[Value]:
            return self._round(carried[: len(counters)], carried[len(counters) :], schedule.per_round)

        return tfl.while_(lambda place, *_: _at(place, self.axis) < limit, go, start), len(counters)

    def _round(self, counters: Sequence[Value], carried: Sequence[Value], count: int) -> Sequence[Value]:
        """Return what a round of a WHILE makes of what it carries: places and number of the step, and all else."""
        outputs, gates, *state = carried
        source, *others = counters[: len(counters) - (self.lengths is not None)]
        target = others[0] if others else source
        batch, width = gates.sizes[1 - self.axis], gates.sizes[2]
        given = tfl.slice_(gates, source, sizes_of(self.axis, count * self.directions, batch, width))
        made, after = self._write_out(given, tuple(state), counters[-1])
        advanced = [source + self._place(self.axis, count)]
        advanced += [each + self._place(self.output_axis, count) for each in others]
        if self.lengths is not None:
            advanced.append(counters[-1] + np.array([count], np.int32))
        return [*advanced, tfl.dynamic_update_slice(outputs, made, target), gates, *after]

    def _write_out(self, gates: Value, state: State, first: Value) -> tuple[Value, State]:
        """Record a few steps without a loop; ``first`` is the number of the first, where sequences have lengths."""
        outputs = []
        for number in range(gates.sizes[self.axis] // self.directions):
            after = self.step(self._steps(gates, self.axis, number, 1), state)
            output = after[0]
            if self.lengths is not None:
                within = first + np.array([number], np.int32) < self.lengths
                within = tfl.reshape(within, sizes_of(self.axis, 1, within.sizes[0], 1))
                output = tfl.select_v2(within, output, 0.0)
                after = tuple(tfl.select_v2(within, new, old) for new, old in zip(after, state, strict=True))
            if self.axis != self.output_axis:
                output = tfl.reshape(output, sizes_of(self.output_axis, 1, gates.sizes[1 - self.axis], output.sizes[2]))
            outputs.append(output)
            state = after
        return _joined(outputs, self.output_axis), state

    def _steps(self, x: Value, axis: int, first: int, count: int) -> Value:
        """Return ``count`` steps of a tensor from ``first`` on; itself if these are all."""
        size = count * self.directions
        if size == x.sizes[axis]:
            return x
        return tfl.slice_(x, self._place(axis, first), sizes_of(axis, size, x.sizes[1 - axis], x.sizes[2]))

    def _place(self, axis: int, step: int) -> npt.NDArray[np.int32]:
        """Return where a step begins in a tensor whose time is ``axis``."""
        at = step * self.directions
        return np.array((at, 0, 0) if axis == 0 else (0, at, 0), np.int32)


def _joined(parts: Sequence[Value], axis: int) -> Value:
    return parts[0] if len(parts) == 1 else tfl.concatenation(parts, axis)


def _at(place: Value, axis: int) -> Value:
    """Return the step of a place."""
    return tfl.slice_(place, [axis], [1])


def sizes_of(axis: int, steps: int, batch: int, width: int) -> tuple[int, int, int]:
    """Return the shape of a tensor whose time is ``axis``."""
    return (steps, batch, width) if axis == 0 else (batch, steps, width)
