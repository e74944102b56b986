-- A trial left a front with a fact, and why.
update nasd_core.front_member
set left_seq = %(seq)s, left_at = clock_timestamp(), left_because = %(why)s
where study_id = %(study)s and device_kind = %(device_kind)s and left_seq is null
  and trial_id = (select id from nasd_core.trial where study_id = %(study)s and number = %(number)s)
