"""The whole experiment on many processes, each with one thread."""

from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from itertools import product

from .arms import ARMS, Arm, Plan, prepare, run_arm


def measure(plan: Plan, jobs: int, tell: Callable[[str], None] = lambda told: None) -> None:
    """Run what is missing of the plan; `tell` hears of each part that is done."""
    with ProcessPoolExecutor(jobs) as pool:
        waiting = {pool.submit(prepare, plan, seed): seed for seed in range(plan.seeds)}
        arms: dict[Future[None], tuple[int, Arm]] = {}
        for done in as_completed(waiting):
            done.result()
            seed = waiting[done]
            tell(f"seed {seed}: frames are ready")
            arms |= {pool.submit(run_arm, plan, seed, arm): (seed, arm) for _, arm in product([seed], ARMS)}
        for done in as_completed(arms):
            done.result()
            tell("seed {}: {} is done".format(*arms[done]))
