-- Another export, like the last, of trials whose file is waited for, was made once and is not there any more: nothing
-- needed it when room grew short, then a revision or a limit asked for another round. Nothing where all files are there.
insert into nasd_core.evaluation (study_id, trial_id, stage, device_kind, priority, replicate, round, needs, needs_memory_mib,
                                 is_required, max_attempts)
select last.study_id, last.trial_id, last.stage, last.device_kind, last.priority, last.replicate, last.round + 1, last.needs,
       last.needs_memory_mib, false, last.max_attempts
from (select distinct e.trial_id
      from nasd_core.evaluation as e join nasd_core.study as s on s.id = e.study_id
      where e.state = 'queued' and e.awaits is not null and s.state in ('running', 'paused') and not exists (
          select from nasd_core.artifact as a where a.trial_id = e.trial_id and a.format = e.awaits)) as held
cross join lateral (
    select e.* from nasd_core.evaluation as e
    where e.trial_id = held.trial_id and e.stage = 'export' and e.replicate = 0 order by e.round desc limit 1
) as last
where last.state = 'completed'
order by last.trial_id
limit %(limit)s
