-- Trials that wait for nothing but measurements which nobody has begun, by study.
select study_id, count(*)
from (select distinct e.study_id, e.trial_id
      from nasd_core.evaluation as e join nasd_core.study as s on s.id = e.study_id
      where e.state = 'queued' and e.stage = 'measure' and e.is_required and e.round = 1 and e.replicate = 0
        and s.state in ('running', 'paused')) as held
where nasd_core.waits_for_devices(trial_id, 0)
group by study_id
