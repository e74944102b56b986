-- Measurements of a study that wait for a device kind, in the order in which they are leased.
select e.id, t.number, e.priority
from nasd_core.evaluation as e join nasd_core.trial as t on t.id = e.trial_id
where e.state = 'queued' and e.stage = 'measure' and e.device_kind = %(kind)s and e.study_id = %(study)s
order by e.priority desc, e.id
limit %(limit)s
