"""The one exception that a user's mistake raises."""


class UserError(Exception):
    """What is wrong, where, and what to do, in one line; shown without a traceback."""
