-- The public views by device kind. Old views gain columns at their end alone.

create or replace view nasd.evaluations as
select
    e.id as evaluation, s.name as study, t.number as trial, e.stage, e.device_kind, e.replicate, e.round, e.state,
    e.attempt, e.max_attempts, w.name as worker, l.progress, e.reason, e.message, e.queued_at, e.started_at, e.finished_at,
    extract(epoch from coalesce(e.finished_at, clock_timestamp()) - e.started_at)::double precision as wall_s,
    e.is_required, e.priority, e.needs, e.needs_memory_mib, e.awaits
from nasd_core.evaluation as e
join nasd_core.study as s on s.id = e.study_id
join nasd_core.trial as t on t.id = e.trial_id
left join nasd_core.worker as w on w.id = e.worker_id
left join nasd_core.lease as l on l.evaluation_id = e.id;

create or replace view nasd.workers as
select
    w.id as worker_id, w.name as worker, w.host, w.device_kind,
    case when w.state = 'left' then 'left'
         when w.last_seen_at < clock_timestamp() - interval '30 seconds' then 'silent' else 'live' end as state,
    w.stages, w.studies,
    coalesce(a.n, 0) as attempts,
    (w.activity ->> 'busy')::double precision as busy_s, (w.activity ->> 'paused')::double precision as paused_s,
    (w.activity ->> 'idle')::double precision as idle_s, w.registered_at, w.last_seen_at, w.facts,
    w.offers, w.memory_mib
from nasd_core.worker as w
left join (select worker_id, count(*) as n from nasd_core.attempt group by worker_id) as a on a.worker_id = w.id;

create view nasd.artifacts as
select s.name as study, t.number as trial, a.format, a.sha256, a.n_bytes, a.at
from nasd_core.artifact as a
join nasd_core.trial as t on t.id = a.trial_id
join nasd_core.study as s on s.id = t.study_id;

-- Each trial on each device kind of its study: what was measured there, or what it waits for.
create view nasd.device_trials as
select
    s.name as study, k.device_kind, t.number as trial, t.state, m.state as measured,
    (t.values #>> '{val_error,value}')::double precision as val_error,
    (t.values #>> '{val_loss,value}')::double precision as val_loss,
    (t.values #>> '{params,value}')::bigint as params,
    (t.values #>> '{flops,value}')::bigint as flops,
    (t.values #>> array[k.latency, 'value'])::double precision as latency_ms,
    (t.values #>> array[k.latency, 'spread'])::double precision as latency_spread,
    (t.values #>> array[k.latency, 'n'])::bigint as latency_n,
    (t.values #>> array[nasd_core.value_name('latency_p95_ms', k.device_kind), 'value'])::double precision as latency_p95_ms,
    (t.values #>> array[nasd_core.value_name('peak_memory_bytes', k.device_kind), 'value'])::double precision::bigint
        as peak_memory_bytes,
    (t.values #>> array[nasd_core.value_name('energy_mj', k.device_kind), 'value'])::double precision as energy_mj,
    exists (select from nasd_core.front_member as f
            where f.study_id = t.study_id and f.device_kind = k.device_kind and f.trial_id = t.id and f.left_seq is null)
        as on_front,
    case when t.operator = 'baseline' then t.notes ->> 'name' end as baseline,
    t.architecture -> 'genes' as architecture
from nasd_core.study as s
cross join lateral (
    select kind as device_kind, nasd_core.value_name('latency_ms', kind) as latency
    from (select distinct jsonb_array_elements_text(o -> 'on') as kind
          from jsonb_array_elements(s.spec -> 'objectives') as o
          union all
          select 'local' where not exists (
              select from jsonb_array_elements(s.spec -> 'objectives') as o where jsonb_array_length(o -> 'on') > 0)) as kinds
) as k
join nasd_core.trial as t on t.study_id = s.id
left join lateral (  -- one round that came to something says more than a later one that waits
    select e.state from nasd_core.evaluation as e
    where e.trial_id = t.id and e.device_kind = k.device_kind and e.stage in ('measure', 'run') and e.replicate = 0
    order by e.state = 'completed' desc, e.round desc limit 1
) as m on true;

grant select on nasd.artifacts, nasd.device_trials to __PREFIX___controller, __PREFIX___reader;
