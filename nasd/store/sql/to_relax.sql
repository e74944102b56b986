-- Trials that have waited for nothing but devices longer than their study is patient, the oldest first.
select held.trial_id, held.patience_s
from (select distinct e.trial_id, coalesce((s.spec #>> '{measure,patience_s}')::double precision, 60) as patience_s
      from nasd_core.evaluation as e join nasd_core.study as s on s.id = e.study_id
      where e.state = 'queued' and e.stage = 'measure' and e.is_required and e.round = 1 and e.replicate = 0
        and s.state in ('running', 'paused')) as held
where nasd_core.waits_for_devices(held.trial_id, held.patience_s)
order by held.trial_id
limit %(limit)s
