-- All trials of a study in number order, as a history needs them.
select number, architecture, operator, parents, notes, proposed_from, strategy, strategy_version
from nasd_core.trial where study_id = %(study)s order by number
