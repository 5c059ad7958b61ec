"""What goes wrong between a browser and the review page, as sentences for the person who reads them."""

from firnline.limits import MAX_ANSWER_BYTES

TOO_LARGE = f"The answer has more than {MAX_ANSWER_BYTES // 1_000_000} MB. Delete vertices and send it again."
NO_LENGTH = "An answer has to be sent with its Content-Length."
TOO_SLOW = "The answer did not arrive in time. Your drawing is kept: send it again."
NO_SUCH_PAGE = "There is no such page. Go back to the list of tasks."
OUR_FAULT = "The server could not do it; its log says why. Your drawing is kept: try again."


class Problem(Exception):
    """A request is refused with an HTTP status and a sentence; `closes`: the connection ends with the answer."""

    def __init__(self, status: int, sentence: str, closes: bool = False) -> None:
        super().__init__(sentence)
        self.status = status
        self.closes = closes
