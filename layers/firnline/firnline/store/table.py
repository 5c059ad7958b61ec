"""The one table: conditional writes that say whether they happened, and listings by index.

`Table` knows DynamoDB and nothing of radar; `rows` knows what the items are, and `frame_register`, `corrections`,
`loops`, `models` and `splits` how they may change.
"""

import random
import re
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Literal

from boto3.dynamodb.conditions import ConditionBase, Key
from botocore.exceptions import ClientError

Item = dict[str, Any]

IndexName = Literal["by_status", "by_segment", "by_campaign"]
_ATTRIBUTES: dict[IndexName, str] = {"by_status": "status", "by_segment": "segment", "by_campaign": "campaign"}
_LAST_CHARACTER = "\U0010ffff"
"""Sorts after every other."""
_CONFLICT_ATTEMPTS = 12


class Table:
    """`resource` is a boto3 DynamoDB `Table`; floats go in and come out as floats."""

    def __init__(self, resource: Any) -> None:
        self._resource = resource

    def get(self, pk: str, sk: str) -> Item | None:
        """The item as it is now (consistent read), or None."""
        item = self._resource.get_item(Key={"pk": pk, "sk": sk}, ConsistentRead=True).get("Item")
        return None if item is None else _from_dynamodb(item)

    def put(self, item: Item, condition: str | None = None, values: Item | None = None) -> bool:
        """Write an item whole; False if the condition did not hold."""
        return self._conditional(self._resource.put_item, Item=_to_dynamodb(item), condition=condition, values=values)

    def update(self, pk: str, sk: str, expression: str, values: Item, condition: str | None = None) -> bool:
        """Update an item; False if the condition did not hold.

        `#name` in an expression is the attribute `name`, reserved word or not.
        """
        return self._conditional(
            self._resource.update_item,
            Key={"pk": pk, "sk": sk},
            UpdateExpression=expression,
            condition=condition,
            values=values,
        )

    def delete(self, pk: str, sk: str, condition: str | None = None, values: Item | None = None) -> bool:
        return self._conditional(
            self._resource.delete_item, Key={"pk": pk, "sk": sk}, condition=condition, values=values
        )

    def put_all(self, items: list[Item]) -> None:
        """Write many items, each whole and without a condition; repeating it changes nothing."""
        with self._resource.batch_writer(overwrite_by_pkeys=["pk", "sk"]) as writer:
            for item in items:
                writer.put_item(Item=_to_dynamodb(item))

    def transact(self, *writes: Item) -> bool:
        """Do all writes or none; False if a condition did not hold.

        A write is `{"put": item}`, `{"key": (pk, sk), "update": expression}` or `{"key": (pk, sk), "delete": True}`,
        with `condition` and `values`. Two transactions that touch the same counter at once collide: DynamoDB refuses
        one, which tries again here after a random pause.
        """
        items = [_transact_item(self._resource.name, write) for write in writes]
        for attempt in range(_CONFLICT_ATTEMPTS):
            try:
                self._resource.meta.client.transact_write_items(TransactItems=items)
                return True
            except ClientError as error:
                if error.response["Error"]["Code"] == "TransactionInProgressException":
                    reasons: set[str | None] = {"TransactionConflict"}
                elif error.response["Error"]["Code"] == "TransactionCanceledException":
                    reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
                else:
                    raise
                if "ConditionalCheckFailed" in reasons:
                    return False
                if "TransactionConflict" not in reasons or attempt == _CONFLICT_ATTEMPTS - 1:
                    raise
                time.sleep(random.uniform(0, min(1.0, 0.02 * 2**attempt)))
        raise AssertionError("unreachable: the last attempt returns or raises")

    def query(self, pk: str, sk_prefix: str = "") -> Iterator[Item]:
        """All items of a partition whose sort key begins with a prefix, in order, page after page."""
        condition: ConditionBase = Key("pk").eq(pk)
        if sk_prefix:
            condition &= Key("sk").begins_with(sk_prefix)
        yield from self._pages(KeyConditionExpression=condition, ConsistentRead=True)

    def query_index(self, index: IndexName, key: str, newest_first: bool = False) -> Iterator[Item]:
        """All items under a key of an index, in its order. An index lags behind the table."""
        yield from self._pages(
            IndexName=index,
            KeyConditionExpression=Key(f"{_ATTRIBUTES[index]}_pk").eq(key),
            ScanIndexForward=not newest_first,
        )

    def read_index(
        self, index: IndexName, key: str, limit: int, *, prefix: str = "", after: str = "", newest_first: bool = False
    ) -> list[Item]:
        """At most `limit` items under a key of an index, those whose sort key begins with `prefix` and follows `after`.

        No more than these are read.
        """
        name = _ATTRIBUTES[index]
        condition: ConditionBase = Key(f"{name}_pk").eq(key)
        if prefix or after:
            first = max(prefix, f"{after}\0") if after else prefix
            last = f"{prefix}{_LAST_CHARACTER}"
            if first > last:
                return []
            condition &= Key(f"{name}_sk").between(first, last)
        found: list[Item] = []
        query: Item = {"IndexName": index, "KeyConditionExpression": condition, "ScanIndexForward": not newest_first}
        while len(found) < limit:  # a page ends at 1 MB, too
            page = self._resource.query(**query, Limit=limit - len(found))
            found += map(_from_dynamodb, page["Items"])
            if "LastEvaluatedKey" not in page:
                break
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        return found

    def _pages(self, **query: Any) -> Iterator[Item]:
        while True:
            page = self._resource.query(**query)
            yield from (_from_dynamodb(item) for item in page["Items"])
            if "LastEvaluatedKey" not in page:
                return
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _conditional(self, call: Any, condition: str | None, values: Item | None, **arguments: Any) -> bool:
        arguments |= _expressions(arguments.get("UpdateExpression", ""), condition, values)
        try:
            call(**arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
        return True


def _expressions(update: str, condition: str | None, values: Item | None) -> Item:
    names = {f"#{name}": name for name in re.findall(r"#(\w+)", f"{update} {condition or ''}")}
    expressions: Item = {}
    if condition:
        expressions["ConditionExpression"] = condition
    if names:
        expressions["ExpressionAttributeNames"] = names
    if values:
        expressions["ExpressionAttributeValues"] = _to_dynamodb(values)
    return expressions


def _transact_item(table_name: str, write: Item) -> Item:
    expressions = _expressions(write.get("update", ""), write.get("condition"), write.get("values"))
    if "put" in write:
        return {"Put": {"TableName": table_name, "Item": _to_dynamodb(write["put"]), **expressions}}
    pk, sk = write["key"]
    where = {"TableName": table_name, "Key": {"pk": pk, "sk": sk}, **expressions}
    if "delete" in write:
        return {"Delete": where}
    return {"Update": {**where, "UpdateExpression": write["update"]}}


def _to_dynamodb(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, dict):
        return {key: _to_dynamodb(entry) for key, entry in value.items() if entry is not None}
    if isinstance(value, list | tuple):
        return [_to_dynamodb(entry) for entry in value]
    return value


def _from_dynamodb(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {key: _from_dynamodb(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_from_dynamodb(entry) for entry in value]
    return value
