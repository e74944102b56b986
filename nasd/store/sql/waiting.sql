-- What is queued and due, alike evaluations together. The index holds queued ones alone: few, whatever the history.
select e.study_id, s.name, case when e.awaits is null then s.packages else '{}' end as code, e.stage, e.device_kind, e.needs, max(e.needs_memory_mib), count(*),
       case when a.trial_id is null then e.awaits end as lacks
from nasd_core.evaluation as e
join nasd_core.study as s on s.id = e.study_id
left join nasd_core.artifact as a on a.trial_id = e.trial_id and a.format = e.awaits
where e.state = 'queued' and e.not_before <= clock_timestamp() and s.state in ('running', 'paused')
group by e.study_id, s.name, code, e.stage, e.device_kind, e.needs, lacks
order by e.study_id, e.stage, e.device_kind
