-- A further round of a trial that exists: the one asked for, or the next that it has not had. Nothing where one like it is
-- open already, but for the round after a later one: another device's late value had the leader ask before that one ended.
-- Nothing where an export would make no file that a measurement waits for.
insert into nasd_core.evaluation (study_id, trial_id, stage, device_kind, priority, replicate, round, needs, needs_memory_mib, awaits,
                                  is_required, max_attempts)
select %(study)s, t.id, %(stage)s, %(device_kind)s, %(priority)s, %(replicate)s,
       greatest(%(round)s, 1 + coalesce(max(e.round), 0)), %(needs)s, %(needs_memory_mib)s, %(awaits)s, %(is_required)s,
       %(max_attempts)s
from nasd_core.trial as t
left join nasd_core.evaluation as e
    on e.trial_id = t.id and e.stage = %(stage)s and e.device_kind = %(device_kind)s and e.replicate = %(replicate)s
where t.study_id = %(study)s and t.number = %(number)s
  and (%(stage)s <> 'export' or exists (
      select from nasd_core.evaluation as m
      where m.trial_id = t.id and m.state = 'queued' and m.awaits is not null and not exists (
          select from nasd_core.artifact as a where a.trial_id = t.id and a.format = m.awaits)))
group by t.id
having coalesce(bool_and(e.state not in ('queued', 'running')), true) or (max(e.round) > 1 and %(round)s = 1 + max(e.round))
