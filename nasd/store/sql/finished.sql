-- What is final (or was revised) and not learned yet, oldest first. Empty: nothing to learn.
select id, number, pending, state, nasd_core.plain_values(values) as values, violation
from nasd_core.trial
where study_id = %(study)s and pending is not null
order by finished_at, id
limit %(limit)s
