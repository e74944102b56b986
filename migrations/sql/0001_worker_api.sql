-- Everything a worker may do. SECURITY DEFINER with a pinned search_path; the caller is known by session_user.
-- Versioned: a changed function gets a new name and the last version stays for one release.

create function nasd_api.register_v1(p_info jsonb) returns bigint
language plpgsql security definer set search_path = nasd_core, pg_temp as $$
declare
    new_id bigint;
begin
    if (p_info ->> 'protocol')::int is distinct from 1 then
        raise exception 'this database speaks worker protocol 1, the worker %', coalesce(p_info ->> 'protocol', 'none')
            using errcode = 'NA004', hint = 'Install the same nasd version on the worker as on the controller.';
    end if;
    insert into device (host, device_kind, facts)
    values (p_info ->> 'host', p_info ->> 'device_kind', p_info -> 'facts')
    on conflict (host, device_kind) do update set facts = excluded.facts, last_seen_at = clock_timestamp();
    insert into worker (name, host, login, device_kind, stages, studies, facts)
    values (p_info ->> 'name', p_info ->> 'host', session_user, p_info ->> 'device_kind',
            array(select jsonb_array_elements_text(p_info -> 'stages')),
            array(select jsonb_array_elements_text(p_info -> 'studies')), p_info -> 'facts')
    returning id into new_id;
    insert into event (kind, data) values ('worker_registered', jsonb_build_object('worker', new_id, 'name', p_info ->> 'name'));
    perform pg_notify('nasd_learn', 'worker');
    return new_id;
end $$;

-- The row of a worker that the caller may act for.
create function nasd_api.known_worker(p_worker bigint) returns nasd_core.worker
language plpgsql stable security definer set search_path = nasd_core, pg_temp as $$
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
    return w;
end $$;

-- Up to p_n evaluations for this worker, dearest priority first, each with a lease of its own. No rows: nothing is left.
create function nasd_api.lease_v1(p_worker bigint, p_duration double precision, p_n integer)
returns table (evaluation_id bigint, token uuid, attempt integer, study_id bigint, study_name text, trial_number integer,
               stage text, device_kind text, replicate integer, seed bigint, fidelity integer, architecture jsonb)
language plpgsql security definer set search_path = nasd_core, pg_temp as $$
#variable_conflict use_column
declare
    w nasd_core.worker := nasd_api.known_worker(p_worker);
begin
    return query
    with picked as (
        select ev.id, ev.trial_id, ev.study_id, ev.stage, ev.device_kind, ev.replicate, ev.attempt + 1 as attempt,
               ev.priority, s.name
        from evaluation as ev join study as s on s.id = ev.study_id
        where ev.state = 'queued' and ev.device_kind = w.device_kind and ev.stage = any (w.stages)
          and ev.not_before <= clock_timestamp() and s.state in ('running', 'paused')
          and (w.studies = '{}' or s.name = any (w.studies))
        order by ev.priority desc, ev.id
        limit p_n for update of ev skip locked
    ), leased as (
        insert into lease (evaluation_id, token, attempt, worker_id, duration_s)
        select id, gen_random_uuid(), attempt, p_worker, p_duration from picked
        returning evaluation_id, token
    ), tried as (
        insert into attempt (evaluation_id, attempt, token, worker_id)
        select p.id, p.attempt, l.token, p_worker from picked as p join leased as l on l.evaluation_id = p.id
    ), moved as (
        update evaluation as ev set state = 'running', attempt = p.attempt, worker_id = p_worker,
            started_at = coalesce(ev.started_at, clock_timestamp()), reason = null, message = null
        from picked as p where ev.id = p.id
    ), begun as (
        update trial as t set state = 'running', started_at = coalesce(t.started_at, clock_timestamp())
        from picked as p where t.id = p.trial_id and t.state = 'queued'
    ), told as (
        insert into event (study_id, trial_id, evaluation_id, attempt, kind, data)
        select study_id, trial_id, id, attempt, 'leased', jsonb_build_object('worker', p_worker) from picked
    )
    select p.id, l.token, p.attempt, p.study_id, p.name, t.number, p.stage, p.device_kind, p.replicate,
           t.seed, t.fidelity, t.architecture
    from picked as p join leased as l on l.evaluation_id = p.id join trial as t on t.id = p.trial_id
    order by p.priority desc, p.id;
end $$;

create function nasd_api.recipe_v1(p_worker bigint, p_study bigint) returns jsonb
language plpgsql stable security definer set search_path = nasd_core, pg_temp as $$
begin
    perform nasd_api.known_worker(p_worker);
    return (select jsonb_build_object('spec', spec, 'data', data) from study where id = p_study);
end $$;

-- Counts up, so that the reaper sees it move; answers what the worker should do.
create function nasd_api.renew_v1(p_evaluation bigint, p_token uuid, p_progress jsonb) returns text
language sql security definer set search_path = nasd_core, pg_temp as $$
    with renewed as (
        update lease set renewals = renewals + 1, progress = p_progress
        where evaluation_id = p_evaluation and token = p_token
          and exists (select from worker where id = worker_id and login = session_user and not is_revoked)
        returning directive
    )
    select coalesce((select directive from renewed), 'abandon')
$$;

-- Draining: the work is queued again, no attempt is spent. False when the lease was gone already.
create function nasd_api.give_back_v1(p_evaluation bigint, p_token uuid) returns boolean
language plpgsql security definer set search_path = nasd_core, pg_temp as $$
declare
    l record;
    e record;
begin
    delete from lease where evaluation_id = p_evaluation and token = p_token
      and exists (select from worker where id = worker_id and login = session_user)
    returning attempt, worker_id into l;
    if not found then
        return false;
    end if;
    update attempt set ended_at = clock_timestamp(), ended_how = 'given_back'
    where evaluation_id = p_evaluation and attempt = l.attempt;
    update evaluation set state = 'queued', worker_id = null, not_before = '-infinity'
    where id = p_evaluation returning trial_id, study_id into e;
    insert into event (study_id, trial_id, evaluation_id, attempt, kind, data)
    values (e.study_id, e.trial_id, p_evaluation, l.attempt, 'given_back', jsonb_build_object('worker', l.worker_id));
    perform nasd_core.refold(e.trial_id, null, null, null);
    return true;
end $$;

-- Stores measurements of one attempt.
create function nasd_core.record_measurements(p_evaluation bigint, p_attempt integer, p_worker bigint, p_rows jsonb, p_status text)
returns void language sql as $$
    insert into nasd_core.measurement (study_id, trial_id, evaluation_id, attempt, worker_id, device_kind,
                                       name, value, unit, spread, n, conditions, status)
    select e.study_id, e.trial_id, e.id, p_attempt, p_worker, e.device_kind,
           m.name, m.value, m.unit, m.spread, m.n, m.conditions, p_status
    from nasd_core.evaluation as e, jsonb_to_recordset(p_rows) as m (name text, value double precision, unit text,
                                                                     spread double precision, n integer, conditions jsonb)
    where e.id = p_evaluation
$$;

-- 'accepted', 'repeated' (this attempt's result is stored already) or 'refused' (kept as superseded).
create function nasd_api.finish_v1(p_evaluation bigint, p_token uuid, p_outcome jsonb, p_backoff double precision) returns text
language plpgsql security definer set search_path = nasd_core, pg_temp as $$
declare
    a record;
    e record;
    kind text := p_outcome ->> 'kind';
    next_state text;
    was_late boolean := false;
begin
    select at.attempt, at.worker_id, at.ended_how into a
    from attempt as at join worker as w on w.id = at.worker_id
    where at.evaluation_id = p_evaluation and at.token = p_token and w.login = session_user and not w.is_revoked;
    if not found then
        raise exception 'no attempt at evaluation % has this token', p_evaluation using errcode = 'NA001';
    end if;
    if kind is null or kind not in ('completed', 'pruned', 'infeasible', 'failed') then
        raise exception 'an outcome is completed, pruned, infeasible or failed, not %', coalesce(kind, 'missing') using errcode = 'NA005';
    end if;
    if kind <> 'completed' then  -- it may settle the trial: take the siblings' leases first
        perform nasd_core.lock_leases((select trial_id from evaluation where id = p_evaluation));
    end if;
    delete from lease where evaluation_id = p_evaluation and token = p_token;
    was_late := not found;
    select id, trial_id, study_id, state, attempt into e from evaluation where id = p_evaluation for update;
    if was_late then
        select ended_how into a.ended_how from attempt where evaluation_id = p_evaluation and attempt = a.attempt;
        if a.ended_how in ('completed', 'pruned', 'infeasible', 'failed') then
            return 'repeated';
        end if;
        if e.state <> 'queued' or e.attempt <> a.attempt or kind = 'failed' then
            update attempt set ended_how = 'superseded', reason = p_outcome ->> 'reason', log = p_outcome ->> 'log'
            where evaluation_id = p_evaluation and attempt = a.attempt;
            if a.ended_how <> 'superseded' then
                perform nasd_core.record_measurements(p_evaluation, a.attempt, a.worker_id, p_outcome -> 'measurements', 'superseded');
                insert into event (study_id, trial_id, evaluation_id, attempt, kind, data)
                values (e.study_id, e.trial_id, p_evaluation, a.attempt, 'superseded', jsonb_build_object('worker', a.worker_id));
            end if;
            return 'refused';
        end if;
    end if;
    update attempt set ended_at = clock_timestamp(), ended_how = kind, reason = p_outcome ->> 'reason',
        message = p_outcome ->> 'message', log = nullif(p_outcome ->> 'log', ''), seconds = p_outcome -> 'seconds'
    where evaluation_id = p_evaluation and attempt = a.attempt;
    if kind = 'failed' then
        next_state := nasd_core.retry_or_fail(p_evaluation, true, p_backoff, coalesce(p_outcome ->> 'reason', 'failed'), p_outcome ->> 'message');
    else
        perform nasd_core.record_measurements(p_evaluation, a.attempt, a.worker_id, p_outcome -> 'measurements', 'current');
        next_state := kind;
        update evaluation set state = kind, finished_at = clock_timestamp(), worker_id = a.worker_id,
            reason = p_outcome ->> 'reason', message = p_outcome ->> 'message'
        where id = p_evaluation;
    end if;
    insert into event (study_id, trial_id, evaluation_id, attempt, kind, data)
    values (e.study_id, e.trial_id, p_evaluation, a.attempt, kind,
            jsonb_build_object('worker', a.worker_id, 'late', was_late, 'next', next_state));
    perform nasd_core.refold(e.trial_id, (p_outcome ->> 'violation')::double precision,
                             p_outcome ->> 'reason', p_outcome ->> 'message');
    return 'accepted';
end $$;

-- Reports completed evaluations and leases up to p_n more, in one transaction: what makes very short evaluations cheap.
-- Only COMPLETED results come this way: they end no sibling's lease. All leases are taken first, then all evaluations,
-- then all trials, each in order of id, as a single finish takes its own, so that no two of them wait in a circle.
create function nasd_api.exchange_v1(p_worker bigint, p_duration double precision, p_reports jsonb,
                                     p_backoff double precision, p_n integer) returns jsonb
language plpgsql security definer set search_path = nasd_core, pg_temp as $$
declare
    ids bigint[] := array(select (r ->> 'evaluation')::bigint from jsonb_array_elements(p_reports) as r);
    answers text[] := '{}';
    r jsonb;
begin
    perform from lease where evaluation_id = any (ids) order by evaluation_id for update;
    perform from evaluation where id = any (ids) order by id for update;
    perform from trial where id in (select trial_id from evaluation where id = any (ids)) order by id for no key update;
    for r in select value from jsonb_array_elements(p_reports) loop
        if r #>> '{outcome,kind}' is distinct from 'completed' then
            raise exception 'only completed evaluations are reported together' using errcode = 'NA005';
        end if;
        answers := answers || nasd_api.finish_v1((r ->> 'evaluation')::bigint, (r ->> 'token')::uuid, r -> 'outcome', p_backoff);
    end loop;
    return jsonb_build_object(
        'answers', to_jsonb(answers),
        'leases', coalesce((select jsonb_agg(to_jsonb(l)) from nasd_api.lease_v1(p_worker, p_duration, p_n) as l), '[]'));
end $$;

create function nasd_api.beat_v1(p_worker bigint, p_activity jsonb) returns void
language sql security definer set search_path = nasd_core, pg_temp as $$
    update worker set beats = beats + 1, activity = p_activity, last_seen_at = clock_timestamp(), state = 'live'
    where id = p_worker and login = session_user and not is_revoked
$$;

create function nasd_api.leave_v1(p_worker bigint) returns void
language sql security definer set search_path = nasd_core, pg_temp as $$
    update worker set state = 'left', last_seen_at = clock_timestamp() where id = p_worker and login = session_user;
    insert into event (kind, data) values ('worker_left', jsonb_build_object('worker', p_worker))
$$;
