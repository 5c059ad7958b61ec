"""Two kinds of failure: what trying again cannot mend, and everything else.

Anything that is not a `Refused` is transient for a handler: it is raised, and the queue delivers the message again.
"""


class Refused(Exception):
    """The input can never be used as it is. The message is a sentence for the person who sent it."""
