-- Trials that entered a front, and with which fact.
insert into nasd_core.front_member (study_id, device_kind, trial_id, entered_seq)
select %(study)s, c.device_kind, t.id, c.seq
from jsonb_to_recordset(%(entered)s) as c (device_kind text, seq bigint, number integer)
join nasd_core.trial as t on t.study_id = %(study)s and t.number = c.number
