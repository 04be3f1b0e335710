"""The chart of robustness."""

from collections.abc import Mapping

import altair as alt

from serflow.report.charts import REFERENCE, chart_of, intervals, per_cent
from serflow.report.evaluation_charts import interval_row

VERDICTS = {None: "no threshold", False: "fails", True: "passes"}  # in the order of blue, orange and green


def robustness(run: Mapping) -> alt.LayerChart | None:
    """Return a chart of the UAR of a run under each condition, and as it is; None if nothing could be tested."""
    rows = [interval_row(row["title"], VERDICTS[row["passed"]], row["uar"]) for row in run["conditions"] if row["uar"]]
    if not rows:
        return None
    described = "UAR under each condition, with its 95 % interval; the dashed line is that of the clips as they are."
    chart = intervals(rows, described=described, x_title="UAR, per cent", kinds=list(VERDICTS.values()))
    before = chart_of([{"before": per_cent(run["unchanged"]["uar"]["value"])}])
    line = before.mark_rule(style=REFERENCE).encode(x="before:Q")
    return alt.layer(line, *chart.layer, description=described, height=chart.height)
