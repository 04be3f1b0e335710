"""What an unusable recording means for the corpus."""

from collections.abc import Sequence

from serflow.runtime.errors import UserError


def apply_policy(policy: str, problems: Sequence[str]) -> None:
    """Raise ``UserError`` with the first problem and their number if ``policy``, ``catalog.policy``, is ``fail``."""
    if problems and policy == "fail":
        more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
        raise UserError(f"{problems[0]}{more}; or set catalog.policy to exclude to continue without them")
