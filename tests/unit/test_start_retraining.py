from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest

from firnline.store.corrections import Corrections
from firnline.store.rows import CounterRow
from firnline.store.table import Table
from start_retraining import app
from start_retraining.executions import Executions
from start_retraining.sweep import MAX_FAILURES, Sweep
from tests.support.retraining_world import (
    MACHINE,
    Died,
    count_corrections,
    create_machine,
    death,
    end_execution,
    executions,
    one_call_at_a_time,
)
from tests.support.review_world import ENVIRONMENT, Context, on_moto, sqs_event
from tests.support.samples import sample

EVENT = sample("start_retraining")
EVERY = 10


@pytest.fixture
def world():
    with on_moto(RETRAIN_EVERY=str(EVERY), RETRAIN_STATE_MACHINE_ARN=MACHINE) as made:
        assert create_machine() == MACHINE
        yield made


def sweep() -> Sweep:
    """As a process of its own has it, with clients of its own."""
    table = Table(boto3.resource("dynamodb").Table(ENVIRONMENT["TABLE_NAME"]))
    return Sweep(Corrections(table), Executions(boto3.client("stepfunctions"), MACHINE), EVERY)


def clients(of: Sweep):
    return of.corrections._table._resource.meta.client, of.executions._client


def state(world, batch):
    row = world.corrections.batch(batch)
    return row and (row.state, row.attempt)


def test_nothing_to_do_starts_nothing(world):
    count_corrections(world, EVERY - 1)
    assert sweep().run() is None
    assert executions() == {}


def test_a_completion_that_died_before_claiming_is_made_up_for(world):
    count_corrections(world, EVERY)
    assert sweep().run().endswith(":execution:retrain:retrain-1")
    assert state(world, 1) == ("STARTED", 1)
    assert executions() == {"retrain-1": "RUNNING"}


def test_executions_that_are_lost_with_the_local_cloud_are_nobodys_failures(world):
    count_corrections(world, EVERY)
    names = ["retrain-1", *(f"retrain-1-{attempt}" for attempt in range(2, MAX_FAILURES + 3))]
    for name in names:
        sweep().run()
        end_execution(name, "FAILED", "States.ServiceRestart")
    sweep().run()
    assert state(world, 1) == ("STARTED", len(names) + 1)
    assert world.corrections.batch(1).failures == 0


def test_one_execution_at_a_time_and_batches_in_their_order(world):
    count_corrections(world, 2 * EVERY)
    for _ in range(3):
        sweep().run()
    assert executions() == {"retrain-1": "RUNNING"}
    assert state(world, 2) == ("PENDING", 0)
    end_execution("retrain-1", "SUCCEEDED")
    sweep().run()
    assert executions() == {"retrain-1": "SUCCEEDED", "retrain-2": "RUNNING"}
    assert (state(world, 1), state(world, 2)) == (("DONE", 1), ("STARTED", 1))


def test_a_failed_execution_is_tried_again_and_not_for_ever(world):
    count_corrections(world, EVERY)
    names = ["retrain-1", "retrain-1-2", "retrain-1-3"]
    for name in names:
        sweep().run()
        assert executions()[name] == "RUNNING"
        end_execution(name, "FAILED")
    sweep().run()
    assert list(executions()) == names
    assert len(names) == MAX_FAILURES
    batch = world.corrections.batch(1)
    assert (batch.state, batch.outcome, batch.failures) == ("DONE", "failed", MAX_FAILURES)
    assert "FAILED" in batch.reason
    assert world.corrections.retraining() is None


def test_the_reason_that_the_execution_gave_is_kept(world):
    count_corrections(world, EVERY)
    execution = sweep().run()
    world.corrections.note_outcome(1, execution, "failed", "The disk was full.")
    end_execution("retrain-1", "FAILED")
    sweep().run()
    assert world.corrections.batch(1).reason == "The disk was full."


def test_what_an_operator_stopped_is_not_started_again(world):
    count_corrections(world, EVERY)
    execution = sweep().run()
    boto3.client("stepfunctions").stop_execution(executionArn=execution)
    sweep().run()
    assert executions() == {"retrain-1": "ABORTED"}
    assert state(world, 1) == ("DONE", 1)


def test_an_operator_asks_twice_and_a_repeated_message_asks_once(world):
    asked = {"id": "a", "detail-type": "CorrectionBatchClaimed", "source": "firnline", "detail": {"batch": 0}}
    app.sweep.cache_clear()
    for _ in range(2):
        assert app.handler(sqs_event(asked), Context()) == {"batchItemFailures": []}
    assert executions() == {"retrain-0": "RUNNING"}
    end_execution("retrain-0", "SUCCEEDED")
    app.handler(sqs_event(asked), Context())
    app.handler(sqs_event(asked), Context())
    assert executions() == {"retrain-0": "SUCCEEDED"}
    app.handler(sqs_event(asked | {"id": "b"}), Context())
    assert executions() == {"retrain-0": "SUCCEEDED", "retrain-0-2": "RUNNING"}
    app.sweep.cache_clear()


def test_the_sample_event_the_schedule_and_an_ended_execution_all_sweep(world):
    app.sweep.cache_clear()
    count_corrections(world, EVERY)
    assert app.handler(EVENT, Context()) == {"batchItemFailures": []}
    end_execution("retrain-1", "SUCCEEDED")
    ended = {"id": "e", "detail-type": "Step Functions Execution Status Change", "detail": {"status": "SUCCEEDED"}}
    scheduled = {"id": "s", "detail-type": "Scheduled Event", "detail": {}}
    app.handler(sqs_event(ended, scheduled), Context())
    assert state(world, 1) == ("DONE", 1)
    assert world.corrections.retraining() is None
    app.sweep.cache_clear()


def test_an_execution_started_by_hand_holds_the_others_up_until_it_ends(world):
    client = boto3.client("stepfunctions")
    by_hand = client.start_execution(stateMachineArn=MACHINE, name="by-hand", input='{"batch": 0}')["executionArn"]
    assert world.corrections.hold_retraining(by_hand)
    assert world.corrections.hold_retraining(by_hand)
    count_corrections(world, EVERY)
    assert sweep().run() == by_hand
    assert not world.corrections.hold_retraining(MACHINE.replace("stateMachine", "execution") + ":another")
    end_execution("by-hand", "FAILED")
    sweep().run()
    assert executions() == {"by-hand": "FAILED", "retrain-1": "RUNNING"}


@pytest.mark.parametrize("moment", ["before-call", "after-call"])
def test_death_at_any_call_loses_nothing_and_starts_nothing_twice(world, moment):
    """Claim, start, fail, retry, succeed, next batch: at each step processes die at their n-th call, for every n."""
    count_corrections(world, 2 * EVERY)
    deaths = 0
    ended = {}
    for status, expected in (
        (None, {"retrain-1": "RUNNING"}),
        ("FAILED", {"retrain-1": "FAILED", "retrain-1-2": "RUNNING"}),
        ("SUCCEEDED", {"retrain-1": "FAILED", "retrain-1-2": "SUCCEEDED", "retrain-2": "RUNNING"}),
        ("SUCCEEDED", {"retrain-1": "FAILED", "retrain-1-2": "SUCCEEDED", "retrain-2": "SUCCEEDED"}),
    ):
        if status:
            running = next(name for name, now in executions().items() if now == "RUNNING")
            end_execution(running, status)
            ended[running] = status
        for at_call in range(1, 40):
            dying = sweep()
            try:
                with death(at_call, moment, *clients(dying)):
                    dying.run()
            except Died:
                deaths += 1
                assert sum(now == "RUNNING" for now in executions().values()) <= 1
            else:
                break
        else:
            pytest.fail("the sweep never came to its end")
        assert executions() == expected
    assert (state(world, 1), state(world, 2)) == (("DONE", 2), ("DONE", 1))
    assert world.corrections.retraining() is None
    assert deaths >= 15


def test_many_sweeps_at_once_start_one_execution(world):
    count_corrections(world, 3 * EVERY)
    for expected in (1, 2, 3):
        sweeps = [sweep() for _ in range(8)]
        with one_call_at_a_time(), ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda one: one.run(), sweeps))
        assert list(executions().values()).count("RUNNING") == 1
        assert len(executions()) == expected
        end_execution(f"retrain-{expected}", "SUCCEEDED")
    sweep().run()
    assert world.corrections.counts() == CounterRow(total=3 * EVERY, claimed=3 * EVERY, last_batch=3, every=EVERY)
    assert [state(world, batch) for batch in (1, 2, 3, 4)] == [("DONE", 1)] * 3 + [None]


def test_an_execution_of_a_stack_that_is_gone_is_lost_and_its_batch_is_tried_here(world):
    """A table that was adopted by another stack may name an execution of the one that it came from."""
    corrections = world.corrections
    corrections.request_retraining("asked")
    gone = MACHINE.replace("retrain", "earlier-stack").replace(":stateMachine:", ":execution:") + ":retrain-0"
    assert corrections.start_retraining(corrections.batch(0), gone)
    assert sweep().run() == MACHINE.replace(":stateMachine:", ":execution:") + ":retrain-0-2"
    batch = corrections.batch(0)
    assert (batch.failures, batch.reason) == (0, "Its stack was deleted.")
