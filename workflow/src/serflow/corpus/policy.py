"""What an unusable recording means for the corpus."""

from collections.abc import Sequence

from serflow.runtime.errors import UserError


def apply_policy(policy: str, problems: Sequence[str]) -> None:
    """Refuse a corpus with unusable recordings if the policy says so.

    Parameters
    ----------
    policy
        ``fail`` or ``exclude``, the setting ``catalog.policy``.
    problems
        One line per unusable recording.

    Raises
    ------
    UserError
        With the first problem and their number, if there are any and the policy is ``fail``.
    """
    if problems and policy == "fail":
        more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
        raise UserError(f"{problems[0]}{more}; or set catalog.policy to exclude to continue without them")
