-- Many device kinds: what an evaluation needs and a worker offers, files that trials have, values by kind, and trials
-- that are known in part.

alter table nasd_core.evaluation add column needs text[] default '{}' not null;
alter table nasd_core.evaluation add column needs_memory_mib integer default 0 not null;
alter table nasd_core.evaluation add column awaits text;
alter table nasd_core.evaluation add column is_required boolean default true not null;
alter table nasd_core.worker add column offers text[] default '{}' not null;
alter table nasd_core.worker add column memory_mib integer;

-- Since which trial a device kind is served; empty: all kinds of the specification since the first. And what an operator
-- wants measured on a kind, until the leader has queued it.
alter table nasd_core.study add column joined jsonb default '{}' not null;
alter table nasd_core.study add column wanted jsonb default '{}' not null;

create table nasd_core.artifact (
    id bigint generated always as identity,
    study_id bigint not null,
    trial_id bigint not null,
    format text not null,
    sha256 text not null,
    n_bytes bigint not null,
    at timestamptz default clock_timestamp() not null,
    primary key (id),
    foreign key(trial_id) references nasd_core.trial (id) on delete cascade,
    constraint artifact_is_one_of_its_format unique (trial_id, format),
    constraint artifact_has_a_hash_and_a_size check (sha256 ~ '^[0-9a-f]{64}$' and n_bytes >= 0)
);
create index artifact_by_hash on nasd_core.artifact (sha256);

-- As nasd.domain.objective.value_name: a test holds the two against each other.
create function nasd_core.value_name(p_name text, p_kind text) returns text
language sql immutable parallel safe as $$
    select case when p_kind <> 'local'
                     and p_name in ('latency_ms', 'latency_p95_ms', 'latency_p95_low_ms', 'latency_p95_high_ms',
                                    'peak_memory_bytes', 'energy_mj')
                then p_name || '@' || p_kind else p_name end
$$;

-- Takes up to p_n evaluations that the worker can and may do, without waiting for any. Where there is not enough for
-- everybody a worker takes its share, so that one that leases many at once leaves no other idle. `p_except`:
-- what the caller is about to end, a late result of an evaluation that is queued again.
create or replace function nasd_core.pick(w nasd_core.worker, p_n integer, p_except bigint[]) returns bigint[]
language plpgsql as $$
declare
    n_live integer;
    n_queued integer;
begin
    if nasd_core.is_draining(w.login) then
        return null;
    end if;
    if p_n > 1 then
        select greatest(1, count(*)) into n_live from nasd_core.worker where state = 'live' and device_kind = w.device_kind;
        select count(*) into n_queued from (
            select from nasd_core.evaluation
            where state = 'queued' and device_kind in (w.device_kind, 'any') limit p_n * n_live
        ) as queued;
        p_n := greatest(1, least(p_n, (n_queued + n_live - 1) / n_live));
    end if;
    return (
        select array_agg(picked.id) from (
            select ev.id
            from nasd_core.evaluation as ev join nasd_core.study as s on s.id = ev.study_id
            where ev.state = 'queued' and ev.device_kind in (w.device_kind, 'any') and ev.stage = any (w.stages)
              and ev.needs <@ w.offers and ev.needs_memory_mib <= coalesce(w.memory_mib, ev.needs_memory_mib)
              and ev.not_before <= clock_timestamp() and s.state in ('running', 'paused')
              and (w.studies = '{}' or s.name = any (w.studies)) and ev.id <> all (p_except)
              and (s.packages <@ w.packages or ev.awaits is not null)  -- an exported file needs none of its study's code
              and (ev.awaits is null
                   or exists (select from nasd_core.artifact as a where a.trial_id = ev.trial_id and a.format = ev.awaits))
            order by ev.priority desc, ev.id
            limit p_n for update of ev skip locked
        ) as picked
    );
end $$;

-- Leases what was picked. The caller holds the evaluations and their trials.
drop function nasd_core.hand_out(bigint, double precision, bigint[]);
create function nasd_core.hand_out(p_worker bigint, p_duration double precision, p_evaluations bigint[])
returns table (evaluation_id bigint, token uuid, attempt integer, study_id bigint, study_name text, trial_number integer,
               stage text, device_kind text, replicate integer, seed bigint, fidelity integer, architecture jsonb,
               artifacts jsonb)
language plpgsql as $$
#variable_conflict use_column
begin
    return query
    with begun as (
        update nasd_core.evaluation as e set state = 'running', attempt = e.attempt + 1, worker_id = p_worker,
            started_at = coalesce(e.started_at, clock_timestamp()), reason = null, message = null
        where e.id = any (p_evaluations)
        returning e.id, e.trial_id, e.study_id, e.stage, e.device_kind, e.replicate, e.attempt, e.awaits
    ), leased as (
        insert into nasd_core.lease (evaluation_id, token, attempt, worker_id, duration_s)
        select id, gen_random_uuid(), attempt, p_worker, p_duration from begun
        returning evaluation_id, token, attempt
    ), tried as (
        insert into nasd_core.attempt (evaluation_id, attempt, token, worker_id)
        select evaluation_id, attempt, token, p_worker from leased
    ), moved as (
        update nasd_core.trial set state = 'running', started_at = coalesce(started_at, clock_timestamp())
        where id in (select trial_id from begun) and state = 'queued'
    ), told as (
        insert into nasd_core.event (study_id, trial_id, evaluation_id, attempt, kind, data)
        select study_id, trial_id, id, attempt, 'leased', jsonb_build_object('worker', p_worker) from begun order by id
    )
    select b.id, l.token, b.attempt, b.study_id, s.name, t.number, b.stage, b.device_kind, b.replicate, t.seed, t.fidelity,
           t.architecture,
           case when b.awaits is null then '[]' else (
               select coalesce(jsonb_agg(jsonb_build_object('format', a.format, 'sha256', a.sha256, 'n_bytes', a.n_bytes)), '[]')
               from nasd_core.artifact as a where a.trial_id = b.trial_id and a.format = b.awaits) end
    from begun as b join leased as l on l.evaluation_id = b.id
    join nasd_core.trial as t on t.id = b.trial_id join nasd_core.study as s on s.id = b.study_id
    order by array_position(p_evaluations, b.id);
end $$;

-- Stores the measurements and files of attempts; the three arrays go together. What was not measured for a kind of its
-- own (a training that ran anywhere) carries the kind of the worker that did it.
create or replace function nasd_core.record_measurements(p_evaluations bigint[], p_attempts integer[], p_outcomes jsonb[], p_status text)
returns void language plpgsql as $$
begin
    insert into nasd_core.measurement (study_id, trial_id, evaluation_id, attempt, worker_id, device_kind,
                                       name, value, unit, spread, n, conditions, status)
    select e.study_id, e.trial_id, e.id, a.attempt, a.worker_id,
           case when e.device_kind = 'any' then w.device_kind else e.device_kind end,
           m.name, m.value, m.unit, m.spread, coalesce(m.n, 1), coalesce(m.conditions, '{}'), p_status
    from unnest(p_evaluations, p_attempts, p_outcomes) as r (evaluation, attempt, outcome)
    join nasd_core.evaluation as e on e.id = r.evaluation
    join nasd_core.attempt as a on a.evaluation_id = r.evaluation and a.attempt = r.attempt
    join nasd_core.worker as w on w.id = a.worker_id,
    jsonb_to_recordset(r.outcome -> 'measurements') as m (name text, value double precision, unit text,
                                                          spread double precision, n integer, conditions jsonb);
    if p_status = 'current' then
        insert into nasd_core.artifact (study_id, trial_id, format, sha256, n_bytes)
        select e.study_id, e.trial_id, f.format, f.sha256, f.n_bytes
        from unnest(p_evaluations, p_outcomes) as r (evaluation, outcome)
        -- who measures runs a file and makes none: a device must not replace what the others run
        join nasd_core.evaluation as e on e.id = r.evaluation and e.stage <> 'measure',
        jsonb_to_recordset(r.outcome -> 'artifacts') as f (format text, sha256 text, n_bytes bigint)
        on conflict (trial_id, format) do update set sha256 = excluded.sha256, n_bytes = excluded.n_bytes,
            at = clock_timestamp();
    end if;
end $$;

-- Brings trials up to date with their evaluations; tells the leader when there is something to learn.
-- Values come from current measurements: the least of the rounds for a latency (noise only adds), else the mean.
create or replace function nasd_core.refold(p_trials bigint[], p_violation double precision, p_reason text, p_message text) returns void
language plpgsql as $$
declare
    settled record;
    studies bigint[];
begin
    -- no key update: inserts that refer to the trial hold its key, and two siblings that finish together must not wait
    -- for each other
    perform from nasd_core.trial where id = any (p_trials) order by id for no key update;
    -- what fails on one device kind leaves the trial its places on the other kinds' fronts; so does a limit that is broken
    -- on a kind which joined the study later
    update nasd_core.evaluation as e set is_required = false
    where e.trial_id = any (p_trials) and e.stage = 'measure' and e.state in ('infeasible', 'failed') and e.is_required
      and e.round = 1 and e.replicate = 0
      and (e.reason is distinct from 'over_limit'
           or exists (select from nasd_core.study as s where s.id = e.study_id and s.joined <> '{}'
                      and s.joined ->> e.device_kind is distinct from '0'))
      and exists (select from nasd_core.evaluation as other
                  where other.trial_id = e.trial_id and other.stage = 'measure' and other.device_kind <> e.device_kind
                    and other.round = 1 and other.is_required and other.state not in ('infeasible', 'failed', 'cancelled'));
    -- a file that can't be made is missed by the kinds that await it alone
    update nasd_core.evaluation as e set is_required = false
    where e.trial_id = any (p_trials) and e.stage = 'export' and e.state in ('infeasible', 'failed') and e.is_required
      and exists (select from nasd_core.evaluation as other
                  where other.trial_id = e.trial_id and other.stage = 'measure' and other.awaits is null
                    and other.round = 1 and other.is_required
                    and other.state not in ('infeasible', 'failed', 'cancelled'));
    -- nobody may wait for it: not after a trial that ended without it either. Where an export is required still, its end
    -- is the trial's. What awaits a file that is not there can't be leased meanwhile.
    with lost as (
        select distinct on (e.trial_id) e.trial_id, e.state, e.reason, e.is_required
        from nasd_core.evaluation as e
        where e.trial_id = any (p_trials) and e.stage = 'export' order by e.trial_id, e.round desc
    ), missed as (
        update nasd_core.evaluation as e set state = 'cancelled', is_required = false, finished_at = clock_timestamp(),
            reason = 'no_artifact', message = 'its file could not be made: ' || coalesce(lost.reason, 'unknown')
        from lost where e.trial_id = lost.trial_id and e.awaits is not null and e.state = 'queued'
          and lost.state in ('infeasible', 'failed') and not lost.is_required
          and not exists (select from nasd_core.artifact as a where a.trial_id = e.trial_id and a.format = e.awaits)
        returning e.study_id, e.trial_id, e.id, e.attempt
    )
    insert into nasd_core.event (study_id, trial_id, evaluation_id, attempt, kind, data)
    select study_id, trial_id, id, attempt, 'cancelled', jsonb_build_object('why', 'no artifact') from missed;
    for settled in
        select e.trial_id, min(e.state) filter (where e.state = 'infeasible') as infeasible
        from nasd_core.evaluation as e join nasd_core.trial as t on t.id = e.trial_id
        where e.trial_id = any (p_trials) and e.state in ('infeasible', 'failed') and e.round = 1 and e.replicate = 0
          and e.is_required and t.state in ('queued', 'running')
        group by e.trial_id
    loop
        perform nasd_core.cancel_open(settled.trial_id, 'trial ' || coalesce(settled.infeasible, 'failed'));
    end loop;
    with folded as (
        select trial_id, nasd_core.fold(array_agg(state)) as state
        from nasd_core.evaluation where trial_id = any (p_trials) and round = 1 and replicate = 0 and is_required
        group by trial_id
    ), by_name as (
        select trial_id, nasd_core.value_name(name, device_kind) as name, min(unit) as unit, sum(n) as n,
               case when name = 'latency_ms' then min(value) else avg(value) end as value,
               case when count(*) > 1 then stddev_samp(value) else min(spread) end as spread
        from nasd_core.measurement where trial_id = any (p_trials) and status = 'current' and name <> 'latency_p95_ms'
        group by trial_id, measurement.name, nasd_core.value_name(name, device_kind)
        union all  -- of a sustained run's p95 the newest, with the ends of its interval: they decide limits
        select trial_id, nasd_core.value_name('latency_p95_' || p.of || 'ms', device_kind), unit, n, p.value, spread
        from (select distinct on (trial_id, device_kind) trial_id, device_kind, unit, n, value, spread, conditions
              from nasd_core.measurement
              where trial_id = any (p_trials) and status = 'current' and name = 'latency_p95_ms'
              order by trial_id, device_kind, id desc) as newest
        cross join lateral (values ('', newest.value), ('low_', (newest.conditions ->> 'low')::double precision),
                                   ('high_', (newest.conditions ->> 'high')::double precision)) as p (of, value)
        where p.value is not null
    ), derived as (
        select trial_id, jsonb_object_agg(name, jsonb_build_object('value', value, 'unit', unit, 'spread', spread, 'n', n)) as values
        from by_name group by trial_id
    ), fresh as (
        select t.id, t.study_id, t.values as old, t.state in ('queued', 'running') as was_open, f.state,
               f.state not in ('queued', 'running') as is_final,
               -- exact counts have no measurement row: keep them; an end that the newest interval lacks is unknown again
               (t.values - array(select name from jsonb_object_keys(t.values) as name where name like 'latency\_p95\_%'))
                   || coalesce(d.values, '{}') as values
        from nasd_core.trial as t join folded as f on f.trial_id = t.id left join derived as d on d.trial_id = t.id
        where t.id = any (p_trials)
    ), moved as (
        update nasd_core.trial as t set
            state = f.state, values = f.values,
            started_at = coalesce(t.started_at, case when f.state <> 'queued' then clock_timestamp() end),
            finished_at = case when f.is_final then clock_timestamp() end,
            pending = case when f.is_final then 'result' end,
            violation = case when f.state = 'infeasible' then coalesce(p_violation, 0) else 0 end,
            reason = case when f.is_final and f.state <> 'completed' then p_reason end,
            message = case when f.is_final and f.state <> 'completed' then p_message end
        from fresh as f where t.id = f.id and f.was_open and (t.state <> f.state or t.values <> f.values)
    ), revised as (  -- a further round, replicate or device ended, whatever it came to: the leader waits for it
        update nasd_core.trial as t set values = f.values, pending = coalesce(t.pending, 'revision')
        from fresh as f where t.id = f.id and not f.was_open
    ), told as (
        insert into nasd_core.event (study_id, trial_id, kind, data)
        select study_id, id, 'revised', jsonb_build_object('from', old, 'to', values)
        from fresh where not was_open and old <> values
    )
    select array_agg(distinct study_id) into studies from fresh where is_final or not was_open;
    perform pg_notify('nasd_learn', study::text) from unnest(studies) as study;
end $$;

-- A trial that waits for nothing but devices that have not come for `p_patience` seconds ends with what is known of it;
-- what they measure later revises it. False where it does not wait so, or no longer.
create function nasd_core.relax_trial(p_trial bigint, p_patience double precision) returns boolean
language plpgsql as $$
declare
    n_relaxed integer;
begin
    perform nasd_core.hold(nasd_core.evaluations_of(p_trial));
    if not nasd_core.waits_for_devices(p_trial, p_patience) then
        return false;
    end if;
    update nasd_core.evaluation set is_required = false
    where trial_id = p_trial and stage in ('export', 'measure') and state = 'queued' and is_required;
    get diagnostics n_relaxed = row_count;
    insert into nasd_core.event (study_id, trial_id, kind, data)
    select study_id, id, 'relaxed', jsonb_build_object('evaluations', n_relaxed) from nasd_core.trial where id = p_trial;
    perform nasd_core.refold(array[p_trial], null, null, null);
    return true;
end $$;

-- Whether all that a trial still requires is a measurement that nobody has begun, and everything else ended at least
-- `p_patience` seconds ago, with something to show.
create function nasd_core.waits_for_devices(p_trial bigint, p_patience double precision) returns boolean
language sql stable as $$
    select coalesce(bool_and(state = 'completed' or (state = 'queued' and stage in ('export', 'measure'))), false)
       and coalesce(bool_or(state = 'completed' and stage <> 'export'), false)
       and coalesce(bool_or(state = 'queued'), false)
       and coalesce(max(finished_at) < clock_timestamp() - make_interval(secs => p_patience), false)
    from nasd_core.evaluation where trial_id = p_trial and is_required and round = 1 and replicate = 0
$$;

create or replace function nasd_api.register_v1(p_info jsonb) returns bigint
language plpgsql security definer set search_path = nasd_core, pg_temp
set plan_cache_mode = force_generic_plan as $$
declare
    new_id bigint;
begin
    if (p_info ->> 'protocol')::int is distinct from 3 then
        raise exception 'this database speaks worker protocol 3, the worker %', coalesce(p_info ->> 'protocol', 'none')
            using errcode = 'NA004', hint = 'Install the same nasd version on the worker as on the controller.';
    end if;
    perform nasd_core.check_login(p_info ->> 'device_kind');
    insert into device (host, device_kind, facts)
    values (p_info ->> 'host', p_info ->> 'device_kind', p_info -> 'facts')
    on conflict (host, device_kind) do update set facts = excluded.facts, last_seen_at = clock_timestamp();
    insert into worker (name, host, login, device_kind, stages, studies, packages, offers, memory_mib, facts)
    values (p_info ->> 'name', p_info ->> 'host', session_user, p_info ->> 'device_kind',
            array(select jsonb_array_elements_text(p_info -> 'stages')),
            array(select jsonb_array_elements_text(p_info -> 'studies')),
            array(select jsonb_array_elements_text(p_info -> 'packages')),
            array(select jsonb_array_elements_text(p_info -> 'offers')),
            (p_info ->> 'memory_mib')::int, p_info -> 'facts')
    returning id into new_id;
    insert into event (kind, data) values ('worker_registered', jsonb_build_object('worker', new_id, 'name', p_info ->> 'name'));
    perform pg_notify('nasd_learn', 'worker');
    return new_id;
end $$;

-- The row of a worker that the caller may act for.
create or replace function nasd_api.known_worker(p_worker bigint) returns nasd_core.worker
language plpgsql stable security definer set search_path = nasd_core, pg_temp
set plan_cache_mode = force_generic_plan as $$
declare
    w nasd_core.worker;
begin
    select * into w from worker where id = p_worker and login = session_user;
    if not found then
        raise exception 'worker % is not registered by %', p_worker, session_user using errcode = 'NA001';
    end if;
    if w.is_revoked then
        raise exception 'worker % was revoked', p_worker using errcode = 'NA001';
    end if;
    perform nasd_core.check_login(w.device_kind);
    return w;
end $$;

-- Up to p_n evaluations for this worker, dearest priority first, each with a lease of its own and the files that it
-- awaits. No rows: nothing is left.
create function nasd_api.lease_v2(p_worker bigint, p_duration double precision, p_n integer)
returns table (evaluation_id bigint, token uuid, attempt integer, study_id bigint, study_name text, trial_number integer,
               stage text, device_kind text, replicate integer, seed bigint, fidelity integer, architecture jsonb,
               artifacts jsonb)
language plpgsql security definer set search_path = nasd_core, pg_temp
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    w nasd_core.worker := nasd_api.known_worker(p_worker);
    picked bigint[] := nasd_core.pick(w, p_n, '{}');
begin
    perform from trial
    where id = any (array(select trial_id from evaluation where id = any (picked))) and state in ('queued', 'running')
    order by id for no key update;
    return query select * from nasd_core.hand_out(p_worker, p_duration, picked);
end $$;

-- The last version's: it knows no files.
create or replace function nasd_api.lease_v1(p_worker bigint, p_duration double precision, p_n integer)
returns table (evaluation_id bigint, token uuid, attempt integer, study_id bigint, study_name text, trial_number integer,
               stage text, device_kind text, replicate integer, seed bigint, fidelity integer, architecture jsonb)
language sql security definer set search_path = nasd_core, pg_temp as $$
    select evaluation_id, token, attempt, study_id, study_name, trial_number, stage, device_kind, replicate, seed, fidelity,
           architecture
    from nasd_api.lease_v2(p_worker, p_duration, p_n)
$$;

-- Each front shows what was measured on its own kind.
create or replace view nasd.pareto_front as
select
    t.study, f.device_kind, t.trial, t.val_error, t.val_loss, t.params, t.flops,
    (r.values #>> array[nasd_core.value_name('latency_ms', f.device_kind), 'value'])::double precision as latency_ms,
    (r.values #>> array[nasd_core.value_name('peak_memory_bytes', f.device_kind), 'value'])::double precision::bigint
        as peak_memory_bytes,
    (r.values #>> array[nasd_core.value_name('energy_mj', f.device_kind), 'value'])::double precision as energy_mj,
    t.objectives, t.architecture, t.architecture_key, t.baseline, t.fidelity, t.seed, t.recipe, f.entered_at
from nasd_core.front_member as f
join nasd_core.trial as r on r.id = f.trial_id
join nasd_core.study as s on s.id = f.study_id
join nasd.trials as t on t.study = s.name and t.trial = r.number
where f.left_seq is null;
