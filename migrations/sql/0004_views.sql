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
    t.architecture -> 'genes' as architecture, t.values as objectives
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

-- A span in its largest whole unit: `40 s`, `12 min`, `3 h`, `2 d`. As nasd.controller.stall.ago.
create function nasd_core.ago(p_span interval) returns text
language sql stable strict as $$
    select case when s >= 86400 then floor(s / 86400) || ' d' when s >= 3600 then floor(s / 3600) || ' h'
                when s >= 60 then floor(s / 60) || ' min' else floor(s) || ' s' end
    from (select greatest(0, extract(epoch from p_span)) as s) as span
$$;

-- What queued evaluations of a study wait for that is not there, in words; null where live workers can take all of them.
-- As nasd.controller.stall: a test holds the two against each other.
create function nasd_core.stall_of(p_study bigint) returns text
language sql stable security definer set search_path = nasd_core, pg_temp as $$
    with waiting as (
        select e.stage, e.device_kind, e.needs, max(e.needs_memory_mib) as mib, count(*) as n,
               case when a.trial_id is null then e.awaits end as lacks, s.name,
               case when e.awaits is null then s.packages else '{}' end as packages  -- a file needs no code
        from nasd_core.evaluation as e
        join nasd_core.study as s on s.id = e.study_id
        left join nasd_core.artifact as a on a.trial_id = e.trial_id and a.format = e.awaits
        where e.study_id = p_study and e.state = 'queued' and e.not_before <= clock_timestamp()
        group by e.stage, e.device_kind, e.needs, lacks, s.name, 8
    ), live as (
        select *, nasd_core.is_draining(login) as leaves from nasd_core.worker
        where state = 'live' and last_seen_at > clock_timestamp() - interval '30 seconds'
    ), judged as (
        select w.*, k.*, f.makes_files,
               case w.device_kind when 'any' then 'a worker' else 'a worker on ' || w.device_kind end as somebody,
               (select word from unnest(w.needs) with ordinality as needed (word, place)
                where not word = any (coalesce(k.offered, '{}')) order by word <> 'energy', place limit 1) as lacking
        from waiting as w
        cross join lateral (select coalesce(bool_or('torch' = any (offers) and 'export' = any (stages) and not leaves), false) as makes_files
                            from live) as f
        cross join lateral (
            select (select count(*) from live as o where w.device_kind in (o.device_kind, 'any')) as n_of_kind,
                   count(*) as n_staying,
                   count(*) filter (where w.stage = any (l.stages)) as n_able,
                   count(*) filter (where w.stage = any (l.stages) and (l.studies = '{}' or w.name = any (l.studies))) as n_serving,
                   count(*) filter (where w.stage = any (l.stages) and (l.studies = '{}' or w.name = any (l.studies))
                                    and w.packages <@ l.packages) as n_allowed,
                   coalesce(bool_or(w.stage = any (l.stages) and (l.studies = '{}' or w.name = any (l.studies))
                                    and w.packages <@ l.packages and w.needs <@ l.offers
                                    and (l.memory_mib is null or w.mib <= l.memory_mib)), false) as is_served,
                   (select array_agg(distinct word) from live as o, unnest(o.offers) as word
                    where w.device_kind in (o.device_kind, 'any') and not o.leaves and w.stage = any (o.stages)
                      and (o.studies = '{}' or w.name = any (o.studies)) and w.packages <@ o.packages) as offered
            from live as l where w.device_kind in (l.device_kind, 'any') and not l.leaves
        ) as k
    ), told as (
        select n, case
            when lacks is not null then
                case when not makes_files then format('an export to %s for %s, which no worker makes', lacks, device_kind) end
            when is_served then null
            when n_of_kind = 0 then format('%s, %s', device_kind, coalesce(
                'last seen ' || nasd_core.ago(clock_timestamp() - (
                    select max(d.last_seen_at) from nasd_core.device as d where d.device_kind = judged.device_kind)) || ' ago',
                case when device_kind in ('local', 'any') then 'never seen; start one: nasd worker'
                    else 'never seen; let one join: nasd device add NAME --kind ' || device_kind end))
            when n_staying = 0 then format('%s that is not draining', somebody)
            when n_able = 0 then format('%s that can %s', somebody, stage)
            when n_serving = 0 then format('%s that serves %s', somebody, name)
            when n_allowed = 0 then
                format('%s that may run its code: nasd worker --allow %s', somebody, array_to_string(packages, ' --allow '))
            when device_kind = 'any' then format('a worker that can %s', stage) || coalesce(
                ' with ' || nullif(array_to_string(
                    array_remove(needs, 'torch') || case when mib > 0 then array[mib || ' MiB of memory'] end, ' and '), ''), '')
            when lacking = 'energy' then format('an energy meter on %s: its workers have none', device_kind)
            when lacking is not null then format('%s on %s: its workers don''t offer it', lacking, device_kind)
            else format('%s MiB of memory on %s: its workers have less', mib, device_kind)
        end as what
        from judged
    )
    select string_agg(reason, '; ' order by reason collate "C")
    from (select sum(n) || case sum(n) when 1 then ' evaluation waits for ' else ' evaluations wait for ' end || what as reason
          from told where what is not null group by what) as reasons
$$;

create or replace view nasd.studies as
select
    s.name as study, s.state,
    case
        when s.state = 'running' and w.open > 0 and w.live = 0 then
            format('stalled: %s evaluations wait, no worker is alive', w.open)
        when s.state = 'running' and w.open > 0 then 'stalled: ' || nasd_core.stall_of(s.id)
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
) as w;
