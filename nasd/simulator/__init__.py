"""The simulator: the controller's own planner on a virtual clock, with a fleet of unequal workers and any evaluator.

`fleet` says what happens to an attempt, `evaluator` what an architecture is worth, `engine` runs the two together.
`tables` reads benchmark tables, `scores` and `attainment` judge runs. No database, no process, no torch.
"""

from nasd.simulator.engine import simulate
from nasd.simulator.evaluator import Evaluator, Outcome
from nasd.simulator.fleet import Fleet
from nasd.simulator.run import Run, TrialRow

__all__ = ["Evaluator", "Fleet", "Outcome", "Run", "TrialRow", "simulate"]
