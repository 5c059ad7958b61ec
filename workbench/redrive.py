"""Dead letters back to their queues (`firnline redrive`)."""

from dataclasses import dataclass

from workbench.connection import Connection

QUEUES = ("Ingest", "Predict", "Review", "Completion", "Retraining")
"""As the stack's outputs `<name>QueueUrl` and `<name>DeadLettersUrl` call them."""


@dataclass(frozen=True)
class Redriven:
    """A queue, and how many dead letters SQS is moving back to it, approximately."""

    queue: str
    messages: int


def redrive(connection: Connection, queues: tuple[str, ...] = QUEUES) -> list[Redriven]:
    """Have SQS move what lies in the dead letters of `queues` back to where it was, and say how much.

    The queue is named to SQS: what EventBridge itself could not deliver has no queue that SQS would know to send it to.
    """
    sqs, moved = connection.client("sqs"), []
    for queue in queues:
        source, letters = (
            sqs.get_queue_attributes(
                QueueUrl=connection.outputs[output], AttributeNames=["QueueArn", "ApproximateNumberOfMessages"]
            )["Attributes"]
            for output in (f"{queue}QueueUrl", f"{queue}DeadLettersUrl")
        )
        waiting = int(letters["ApproximateNumberOfMessages"])
        if waiting:
            sqs.start_message_move_task(SourceArn=letters["QueueArn"], DestinationArn=source["QueueArn"])
        moved.append(Redriven(queue.lower(), waiting))
    return moved
