-- The public contract: one row one fact, units in the names, documented in docs/sql.md.

create view nasd.studies as
select
    s.name as study, s.state,
    case
        when s.state = 'running' and w.open > 0 and w.live = 0 then
            format('stalled: %s evaluations wait, no worker is alive', w.open)
        when s.state = 'running' and w.open > 0 and missing.text is not null then 'stalled: ' || missing.text
    end as stall,
    s.strategy, s.strategy_version, s.seed, s.trials_budget, s.time_budget_s, s.n_trials,
    c.charged as n_charged, c.completed as n_completed, c.running as n_running, c.queued as n_queued, c.failed as n_failed,
    c.infeasible as n_infeasible, c.pruned as n_pruned, c.cancelled as n_cancelled,
    s.used_s, s.learned_seq, s.spec, s.data, s.state_reason, s.created_at, s.started_at, s.finished_at
from nasd_core.study as s
cross join lateral (
    select count(*) filter (where state not in ('failed', 'cancelled')) as charged,
           count(*) filter (where state = 'completed') as completed,
           count(*) filter (where state = 'running') as running,
           count(*) filter (where state = 'queued') as queued,
           count(*) filter (where state = 'failed') as failed,
           count(*) filter (where state = 'infeasible') as infeasible,
           count(*) filter (where state = 'pruned') as pruned,
           count(*) filter (where state = 'cancelled') as cancelled
    from nasd_core.trial where study_id = s.id
) as c
cross join lateral (
    select (select count(*) from nasd_core.evaluation as e where e.study_id = s.id and e.state in ('queued', 'running')) as open,
           (select count(*) from nasd_core.worker as k
            where k.state = 'live' and k.last_seen_at > clock_timestamp() - interval '30 seconds'
              and (k.studies = '{}' or s.name = any (k.studies))) as live
) as w
left join lateral (
    select format('%s evaluations wait for %s, %s', count(*), e.device_kind,
                  coalesce('last seen ' || date_trunc('second', clock_timestamp() - max(d.last_seen_at))::text || ' ago',
                           'which no worker ever served')) as text
    from nasd_core.evaluation as e
    left join nasd_core.device as d on d.device_kind = e.device_kind
    where e.study_id = s.id and e.state = 'queued' and not exists (
        select from nasd_core.worker as k
        where k.state = 'live' and k.device_kind = e.device_kind and e.stage = any (k.stages)
          and k.last_seen_at > clock_timestamp() - interval '30 seconds'
          and (k.studies = '{}' or s.name = any (k.studies)))
    group by e.device_kind order by count(*) desc limit 1
) as missing on true;

create view nasd.trials as
select
    s.name as study, t.number as trial, t.state,
    t.architecture -> 'genes' as architecture, t.architecture_key, t.fidelity,
    t.operator, case when t.operator = 'baseline' then t.notes ->> 'name' end as baseline, t.parents,
    (t.values #>> '{val_error,value}')::double precision as val_error,
    (t.values #>> '{val_loss,value}')::double precision as val_loss,
    (t.values #>> '{params,value}')::bigint as params,
    (t.values #>> '{flops,value}')::bigint as flops,
    (t.values #>> '{latency_ms,value}')::double precision as latency_ms,
    (t.values #>> '{peak_memory_bytes,value}')::double precision::bigint as peak_memory_bytes,
    (t.values #>> '{energy_mj,value}')::double precision as energy_mj,
    t.values as objectives, t.violation, t.reason, t.message, t.seed, s.recipe,
    exists (select from nasd_core.front_member as f where f.study_id = t.study_id and f.trial_id = t.id and f.left_seq is null) as on_front,
    t.proposed_from, t.learned_seq, t.strategy, t.strategy_version, t.created_at, t.started_at, t.finished_at
from nasd_core.trial as t join nasd_core.study as s on s.id = t.study_id;

create view nasd.evaluations as
select
    e.id as evaluation, s.name as study, t.number as trial, e.stage, e.device_kind, e.replicate, e.round, e.state,
    e.attempt, e.max_attempts, w.name as worker, l.progress, e.reason, e.message, e.queued_at, e.started_at, e.finished_at,
    extract(epoch from coalesce(e.finished_at, clock_timestamp()) - e.started_at)::double precision as wall_s
from nasd_core.evaluation as e
join nasd_core.study as s on s.id = e.study_id
join nasd_core.trial as t on t.id = e.trial_id
left join nasd_core.worker as w on w.id = e.worker_id
left join nasd_core.lease as l on l.evaluation_id = e.id;

create view nasd.attempts as
select
    s.name as study, t.number as trial, e.id as evaluation, e.stage, a.attempt, w.name as worker, a.leased_at, a.ended_at,
    a.ended_how, a.reason, a.message, a.log, a.seconds
from nasd_core.attempt as a
join nasd_core.evaluation as e on e.id = a.evaluation_id
join nasd_core.study as s on s.id = e.study_id
join nasd_core.trial as t on t.id = e.trial_id
left join nasd_core.worker as w on w.id = a.worker_id;

create view nasd.measurements as
select
    m.id as measurement, s.name as study, t.number as trial, m.evaluation_id as evaluation, m.attempt, e.stage, m.device_kind,
    w.name as worker, m.name, m.value, m.unit, m.spread, m.n, m.conditions, m.status, m.measured_at
from nasd_core.measurement as m
join nasd_core.evaluation as e on e.id = m.evaluation_id
join nasd_core.study as s on s.id = m.study_id
join nasd_core.trial as t on t.id = m.trial_id
left join nasd_core.worker as w on w.id = m.worker_id;

create view nasd.devices as
select host as device, device_kind, facts, last_seen_at from nasd_core.device;

create view nasd.workers as
select
    w.id as worker_id, w.name as worker, w.host, w.device_kind,
    case when w.state = 'left' then 'left'
         when w.last_seen_at < clock_timestamp() - interval '30 seconds' then 'silent' else 'live' end as state,
    w.stages, w.studies,
    coalesce(a.n, 0) as attempts,
    (w.activity ->> 'busy')::double precision as busy_s, (w.activity ->> 'paused')::double precision as paused_s,
    (w.activity ->> 'idle')::double precision as idle_s, w.registered_at, w.last_seen_at, w.facts
from nasd_core.worker as w
left join (select worker_id, count(*) as n from nasd_core.attempt group by worker_id) as a on a.worker_id = w.id;

create view nasd.pareto_front as
select
    t.study, f.device_kind, t.trial, t.val_error, t.val_loss, t.params, t.flops, t.latency_ms, t.peak_memory_bytes, t.energy_mj,
    t.objectives, t.architecture, t.architecture_key, t.baseline, t.fidelity, t.seed, t.recipe, f.entered_at
from nasd_core.front_member as f
join nasd_core.trial as r on r.id = f.trial_id
join nasd_core.study as s on s.id = f.study_id
join nasd.trials as t on t.study = s.name and t.trial = r.number
where f.left_seq is null;

create view nasd.front_history as
select
    s.name as study, f.device_kind, t.number as trial, f.entered_seq, f.entered_at, f.left_seq, f.left_at, f.left_because
from nasd_core.front_member as f
join nasd_core.study as s on s.id = f.study_id
join nasd_core.trial as t on t.id = f.trial_id;

create view nasd.hypervolume_history as
select s.name as study, h.device_kind, h.seq as learned_seq, h.value as hypervolume, h.size as front_size, h.at
from nasd_core.hypervolume as h join nasd_core.study as s on s.id = h.study_id;

create view nasd.baselines as
select study, baseline, trial, state, architecture, val_error, val_loss, params, flops, latency_ms, peak_memory_bytes,
       energy_mj, objectives, reason
from nasd.trials where baseline is not null;

create view nasd.retrained as
select s.name as study, t.number as trial, r.replicate, r.seed, r.val_error, r.test_error, r.test_loss, r.at
from nasd_core.retrained as r
join nasd_core.study as s on s.id = r.study_id
join nasd_core.trial as t on t.id = r.trial_id;

create view nasd.events as
select
    ev.id as event, ev.at, s.name as study, t.number as trial, ev.evaluation_id as evaluation, ev.attempt, ev.kind, ev.data
from nasd_core.event as ev
left join nasd_core.study as s on s.id = ev.study_id
left join nasd_core.trial as t on t.id = ev.trial_id;

create view nasd.schema_version as select version_num::text as version from nasd_core.alembic_version;
