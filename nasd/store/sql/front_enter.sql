-- A trial entered a front with a fact.
insert into nasd_core.front_member (study_id, device_kind, trial_id, entered_seq)
select %(study)s, %(device_kind)s, id, %(seq)s
from nasd_core.trial where study_id = %(study)s and number = %(number)s
