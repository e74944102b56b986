-- The packages that users' functions come from. A worker leases nothing whose code it may not import.
alter table nasd_core.study add column packages text[] default '{}' not null;
alter table nasd_core.worker add column packages text[] default '{}' not null;
update nasd_core.study set packages = array[split_part(split_part(spec #>> '{evaluation,run}', ':', 1), '.', 1)]
where spec #>> '{evaluation,run}' is not null;

-- Takes up to p_n evaluations that the worker can and may do, without waiting for any. Where there is not enough for
-- everybody a worker takes its share, so that one that leases many at once leaves no other idle. `p_except`:
-- what the caller is about to end, a late result of an evaluation that is queued again.
create or replace function nasd_core.pick(w nasd_core.worker, p_n integer, p_except bigint[]) returns bigint[]
language plpgsql as $$
declare
    n_live integer;
    n_queued integer;
begin
    if p_n > 1 then
        select greatest(1, count(*)) into n_live from nasd_core.worker where state = 'live' and device_kind = w.device_kind;
        select count(*) into n_queued from (
            select from nasd_core.evaluation where state = 'queued' and device_kind = w.device_kind limit p_n * n_live
        ) as queued;
        p_n := greatest(1, least(p_n, (n_queued + n_live - 1) / n_live));
    end if;
    return (
        select array_agg(picked.id) from (
            select ev.id
            from nasd_core.evaluation as ev join nasd_core.study as s on s.id = ev.study_id
            where ev.state = 'queued' and ev.device_kind = w.device_kind and ev.stage = any (w.stages)
              and ev.not_before <= clock_timestamp() and s.state in ('running', 'paused')
              and (w.studies = '{}' or s.name = any (w.studies)) and s.packages <@ w.packages and ev.id <> all (p_except)
            order by ev.priority desc, ev.id
            limit p_n for update of ev skip locked
        ) as picked
    );
end $$;

create or replace function nasd_api.register_v1(p_info jsonb) returns bigint
language plpgsql security definer set search_path = nasd_core, pg_temp
set plan_cache_mode = force_generic_plan as $$
declare
    new_id bigint;
begin
    if (p_info ->> 'protocol')::int is distinct from 2 then
        raise exception 'this database speaks worker protocol 2, the worker %', coalesce(p_info ->> 'protocol', 'none')
            using errcode = 'NA004', hint = 'Install the same nasd version on the worker as on the controller.';
    end if;
    insert into device (host, device_kind, facts)
    values (p_info ->> 'host', p_info ->> 'device_kind', p_info -> 'facts')
    on conflict (host, device_kind) do update set facts = excluded.facts, last_seen_at = clock_timestamp();
    insert into worker (name, host, login, device_kind, stages, studies, packages, facts)
    values (p_info ->> 'name', p_info ->> 'host', session_user, p_info ->> 'device_kind',
            array(select jsonb_array_elements_text(p_info -> 'stages')),
            array(select jsonb_array_elements_text(p_info -> 'studies')),
            array(select jsonb_array_elements_text(p_info -> 'packages')), p_info -> 'facts')
    returning id into new_id;
    insert into event (kind, data) values ('worker_registered', jsonb_build_object('worker', new_id, 'name', p_info ->> 'name'));
    perform pg_notify('nasd_learn', 'worker');
    return new_id;
end $$;

create or replace view nasd.studies as
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
    select format('%s evaluations wait for %s, %s', count(distinct e.id), e.device_kind,
                  coalesce(case when bool_or(able.alive) then
                               'where no worker may run its code: nasd worker --allow ' || array_to_string(s.packages, ' --allow ')
                           end,
                           'last seen ' || date_trunc('second', clock_timestamp() - max(d.last_seen_at))::text || ' ago',
                           'which no worker ever served')) as text
    from nasd_core.evaluation as e
    left join nasd_core.device as d on d.device_kind = e.device_kind
    cross join lateral (
        select count(*) > 0 as alive, coalesce(bool_or(s.packages <@ k.packages), false) as may
        from nasd_core.worker as k
        where k.state = 'live' and k.device_kind = e.device_kind and e.stage = any (k.stages)
          and k.last_seen_at > clock_timestamp() - interval '30 seconds'
          and (k.studies = '{}' or s.name = any (k.studies))
    ) as able
    where e.study_id = s.id and e.state = 'queued' and not able.may
    group by e.device_kind order by count(distinct e.id) desc limit 1
) as missing on true;
