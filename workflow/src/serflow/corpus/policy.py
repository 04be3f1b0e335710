"""What an unusable recording means for the corpus."""

from collections.abc import Sequence

from serflow.runtime.errors import UserError


def apply_policy(policy: str, problems: Sequence[str]) -> None:
    """Refuse a corpus with unusable recordings, unless it is to go on without them.

    Parameters
    ----------
    policy
        ``"fail"`` or ``"exclude"``.
    problems
        What is wrong with which recording, a line each.

    Raises
    ------
    UserError
        Under ``"fail"``: the first problem, and how many there are.
    """
    if problems and policy == "fail":
        more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
        raise UserError(f"{problems[0]}{more}; or set catalog.policy to exclude to go on without")
