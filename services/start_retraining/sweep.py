"""One retraining at a time, exactly one for every batch that succeeds.

Every message starts a sweep, which brings everything to where it should be, whatever an earlier death left behind. One
transaction takes the right to retrain and marks the batch STARTED. It names the execution *before* that exists. So the
right is never given back because its execution is missing: the sweep that finds this starts the execution, under a name
that can exist only once.
"""

from firnline.store.corrections import Corrections
from firnline.store.rows import LockRow
from start_retraining.executions import Executions

MAX_FAILURES = 3
ENDED = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")


class Sweep:
    def __init__(self, corrections: Corrections, executions: Executions, retrain_every: int) -> None:
        self.corrections = corrections
        self.executions = executions
        self.retrain_every = retrain_every

    def run(self) -> str | None:
        """Claim full batches, end what has ended, start what is due; the ARN of the execution with the right now."""
        self.corrections.claim_batches(self.retrain_every)
        lock = self.corrections.retraining()
        if lock:
            ours = self.executions.is_ours(lock.execution)
            status = self.executions.status(lock.execution) if ours else None
            if ours and status is None and lock.attempt_at:
                self.executions.start(lock.execution, *lock.attempt_at)
                return lock.execution
            if status not in (None, *ENDED):
                return lock.execution
            self._end(lock, status)
        return self._start_next()

    def _end(self, lock: LockRow, status: str | None) -> None:
        """A failed execution is followed by another attempt; after `MAX_FAILURES` the corrections wait for the snapshot
        of the next batch. What an operator has stopped is not started again. An execution that was lost with what ran it
        is followed by another one, however often.
        """
        failures = 0
        if lock.batch is not None and status != "SUCCEEDED":
            batch = self.corrections.batch(lock.batch)
            failures = (batch.failures if batch else 0) + (0 if self.executions.is_lost(lock.execution) else 1)
            if batch is None or batch.outcome_of != lock.execution:
                reason = (
                    f"The execution ended as {status} before it could say why." if status else "Its stack was deleted."
                )
                self.corrections.note_outcome(lock.batch, lock.execution, "failed", reason)
            if status != "ABORTED" and failures < MAX_FAILURES:
                self.corrections.end_retraining(lock, "PENDING", failures)
                return
        self.corrections.end_retraining(lock, "DONE", failures)

    def _start_next(self) -> str | None:
        for waiting in self.corrections.batches("PENDING"):
            # The index lags behind the table, which alone knows whether the batch waits and which attempt is next.
            batch = self.corrections.batch(waiting.batch)
            if batch is None or batch.state != "PENDING":
                continue
            attempt = batch.attempt + 1
            execution = self.executions.arn(batch.batch, attempt)
            if self.corrections.start_retraining(batch, execution):
                self.executions.start(execution, batch.batch, attempt)
                return execution
            return None
        return None
