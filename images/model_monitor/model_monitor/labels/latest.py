"""Selects the valid label among several of one prediction."""

LATEST_FIRST = "label_time desc, received desc, source desc, label desc nulls last"
"""The order of the labels of one (id, row): the first holds. What became known last
wins; of the same moment, what was received last; then the greater source. `label` alone
decides between labels that contradict each other in all the rest."""

LATEST = f"""
select id, "row", label, label_number, label_time, source, received, prediction_time
from (
    select *, row_number() over (
        partition by id, "row" order by {LATEST_FIRST}
    ) as place
    from {{labels}}
) as ranked
where place = 1
"""  # noqa: S608, the relation is given by our own code
"""The labels that hold, one for each (id, row). `format(labels=...)` names the relation
of all of them. A null label says that a label was withdrawn."""
