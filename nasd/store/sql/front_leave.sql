-- Trials that left a front, with which fact and why.
update nasd_core.front_member as m
set left_seq = c.seq, left_at = clock_timestamp(), left_because = c.why
from jsonb_to_recordset(%(left)s) as c (device_kind text, seq bigint, number integer, why text)
join nasd_core.trial as t on t.study_id = %(study)s and t.number = c.number
where m.study_id = %(study)s and m.device_kind = c.device_kind and m.trial_id = t.id and m.left_seq is null
