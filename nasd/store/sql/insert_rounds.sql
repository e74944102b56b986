-- A further measuring round of a trial that exists.
insert into nasd_core.evaluation (study_id, trial_id, stage, device_kind, priority, replicate, round, needs, needs_memory_mib, awaits,
                                  max_attempts)
select %(study)s, id, %(stage)s, %(device_kind)s, %(priority)s, %(replicate)s, %(round)s, %(needs)s, %(needs_memory_mib)s,
       %(awaits)s, %(max_attempts)s
from nasd_core.trial where study_id = %(study)s and number = %(number)s
on conflict do nothing
