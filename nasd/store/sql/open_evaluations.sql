-- What is open of a study by device kind. Empty: nothing more will come.
select device_kind, count(*)
from nasd_core.evaluation where study_id = %(study)s and state in ('queued', 'running')
group by device_kind
