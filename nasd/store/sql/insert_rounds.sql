-- Further measuring rounds of trials that exist.
insert into nasd_core.evaluation (study_id, trial_id, stage, device_kind, priority, replicate, round, max_attempts)
select %(study)s, t.id, e.stage, e.device_kind, e.priority, e.replicate, e.round, %(max_attempts)s
from jsonb_to_recordset(%(rounds)s) as e (number integer, stage text, device_kind text, priority integer, replicate integer, round integer)
join nasd_core.trial as t on t.study_id = %(study)s and t.number = e.number
on conflict do nothing
