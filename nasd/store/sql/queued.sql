-- Evaluations that could be leased now, by device kind. The index holds queued ones alone: few, whatever the history.
select e.device_kind, count(*)
from nasd_core.evaluation as e join nasd_core.study as s on s.id = e.study_id
where e.state = 'queued' and e.not_before <= clock_timestamp() and s.state in ('running', 'paused')
group by e.device_kind
