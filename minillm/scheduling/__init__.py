"""Scheduling: who computes how many tokens in this step, and why the others wait.

`systems.py` names the published combinations; `Scheduler` is the mechanism they share. Nothing
here knows torch.
"""

from minillm.scheduling.plan import Budget, Plan, Schedule
from minillm.scheduling.scheduler import Scheduler
from minillm.scheduling.systems import SYSTEMS, System, make_scheduler

__all__ = ["SYSTEMS", "Budget", "Plan", "Schedule", "Scheduler", "System", "make_scheduler"]
