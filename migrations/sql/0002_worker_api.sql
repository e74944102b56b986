-- Everything a worker may do. SECURITY DEFINER with a pinned search_path; the caller is known by session_user.
-- Versioned: a changed function gets a new name and the last version stays for one release.

create or replace function nasd_api.register_v1(p_info jsonb) returns bigint
language plpgsql security definer set search_path = nasd_core, pg_temp
set plan_cache_mode = force_generic_plan as $$
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
    return w;
end $$;

-- Up to p_n evaluations for this worker, dearest priority first, each with a lease of its own. No rows: nothing is left.
create or replace function nasd_api.lease_v1(p_worker bigint, p_duration double precision, p_n integer)
returns table (evaluation_id bigint, token uuid, attempt integer, study_id bigint, study_name text, trial_number integer,
               stage text, device_kind text, replicate integer, seed bigint, fidelity integer, architecture jsonb)
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

create or replace function nasd_api.recipe_v1(p_worker bigint, p_study bigint) returns jsonb
language plpgsql stable security definer set search_path = nasd_core, pg_temp
set plan_cache_mode = force_generic_plan as $$
begin
    perform nasd_api.known_worker(p_worker);
    return (select jsonb_build_object('spec', spec, 'data', data) from study where id = p_study);
end $$;

-- Counts up, so that the reaper sees it move; answers what the worker should do.
create or replace function nasd_api.renew_v1(p_evaluation bigint, p_token uuid, p_progress jsonb) returns text
language sql security definer set search_path = nasd_core, pg_temp
set plan_cache_mode = force_generic_plan as $$
    with renewed as (
        update lease set renewals = renewals + 1, progress = p_progress
        where evaluation_id = p_evaluation and token = p_token
          and exists (select from worker where id = worker_id and login = session_user and not is_revoked)
        returning directive
    )
    select coalesce((select directive from renewed), 'abandon')
$$;

-- Draining: the work is queued again, no attempt is spent. False when the lease was gone already.
create or replace function nasd_api.give_back_v1(p_evaluation bigint, p_token uuid) returns boolean
language plpgsql security definer set search_path = nasd_core, pg_temp
set plan_cache_mode = force_generic_plan as $$
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
    perform nasd_core.refold(array[e.trial_id], null, null, null);
    return true;
end $$;

-- 'accepted', 'repeated' (this attempt's result is stored already) or 'refused' (kept as superseded).
create or replace function nasd_api.finish_v1(p_evaluation bigint, p_token uuid, p_outcome jsonb, p_backoff double precision) returns text
language plpgsql security definer set search_path = nasd_core, pg_temp
set plan_cache_mode = force_generic_plan as $$
declare
    a record;
    e record;
    kind text := p_outcome ->> 'kind';
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
    if kind <> 'completed' then  -- it may settle the trial and cancel the siblings
        perform nasd_core.hold(nasd_core.evaluations_of((select trial_id from evaluation where id = p_evaluation)));
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
                perform nasd_core.record_measurements(array[p_evaluation], array[a.attempt], array[p_outcome], 'superseded');
                insert into event (study_id, trial_id, evaluation_id, attempt, kind, data)
                values (e.study_id, e.trial_id, p_evaluation, a.attempt, 'superseded', jsonb_build_object('worker', a.worker_id));
            end if;
            return 'refused';
        end if;
    end if;
    if kind = 'failed' then
        perform nasd_core.fail_attempt(p_evaluation, a.attempt, p_outcome, p_backoff);
    else
        perform nasd_core.conclude(array[p_evaluation], array[a.attempt], array[p_outcome], was_late);
    end if;
    return 'accepted';
end $$;

-- Reports completed evaluations and leases up to p_n more, in one transaction: what makes very short evaluations cheap.
-- Only COMPLETED results come this way: they end no sibling's lease. First rounds whose lease stands are stored as sets;
-- each other report (late, repeated, a further round) is finished by itself.
--
-- Why no two of these functions wait for each other, whatever trials their evaluations share:
-- 1. Each takes all its leases in order of evaluation, then all its evaluations in order, then all its trials in order.
-- 2. `pick` skips what is locked, so that it never waits; a lease that is inserted for what it picked is new.
-- 3. A trial that is taken for what was picked is open, and the leader writes final ones only.
-- 4. What cancels siblings holds all evaluations of the trial and their leases before it takes the trial (see `hold`).
create or replace function nasd_api.exchange_v1(p_worker bigint, p_duration double precision, p_reports jsonb,
                                     p_backoff double precision, p_n integer) returns jsonb
language plpgsql security definer set search_path = nasd_core, pg_temp
set plan_cache_mode = force_generic_plan as $$
declare
    w nasd_core.worker := nasd_api.known_worker(p_worker);
    reported bigint[] := array(select (value ->> 'evaluation')::bigint from jsonb_array_elements(p_reports));
    standing bigint[];
    finishing bigint[];  -- trials
    taken bigint[];
    attempts integer[];
    outcomes jsonb[];
    picked bigint[];
    answers jsonb := '[]';
begin
    if exists (select from jsonb_array_elements(p_reports) where value #>> '{outcome,kind}' is distinct from 'completed') then
        raise exception 'only completed evaluations are reported together' using errcode = 'NA005';
    end if;
    standing := array(
        select l.evaluation_id
        from jsonb_to_recordset(p_reports) as r (evaluation bigint, token uuid)
        join lease as l on l.evaluation_id = r.evaluation and l.token = r.token and l.worker_id = p_worker
        order by l.evaluation_id for update of l
    );
    perform from evaluation where id = any (reported) order by id for update;
    finishing := array(select trial_id from evaluation where id = any (reported));
    if p_n > 0 then
        picked := nasd_core.pick(w, p_n, reported);
    end if;
    perform from trial
    where id = any (finishing || array(select trial_id from evaluation where id = any (picked)))
      and (state in ('queued', 'running') or id = any (finishing))
    order by id for no key update;
    select array_agg(e.id), array_agg(e.attempt), array_agg(r.outcome) into taken, attempts, outcomes
    from jsonb_to_recordset(p_reports) as r (evaluation bigint, outcome jsonb)
    join evaluation as e on e.id = r.evaluation and e.round = 1 and e.replicate = 0
    where e.id = any (standing);
    if taken is not null then
        delete from lease where evaluation_id = any (taken);
        perform nasd_core.conclude(taken, attempts, outcomes, false);
    end if;
    if p_reports <> '[]' then
        select jsonb_agg(case when (value ->> 'evaluation')::bigint = any (taken) then 'accepted'
            else nasd_api.finish_v1((value ->> 'evaluation')::bigint, (value ->> 'token')::uuid, value -> 'outcome', p_backoff)
            end order by ordinality) into answers
        from jsonb_array_elements(p_reports) with ordinality;
    end if;
    return jsonb_build_object('answers', answers, 'leases', coalesce(
        (select jsonb_agg(to_jsonb(l)) from nasd_core.hand_out(p_worker, p_duration, picked) as l), '[]'));
end $$;

create or replace function nasd_api.beat_v1(p_worker bigint, p_activity jsonb) returns void
language sql security definer set search_path = nasd_core, pg_temp
set plan_cache_mode = force_generic_plan as $$
    update worker set beats = beats + 1, activity = p_activity, last_seen_at = clock_timestamp(), state = 'live'
    where id = p_worker and login = session_user and not is_revoked
$$;

create or replace function nasd_api.leave_v1(p_worker bigint) returns void
language sql security definer set search_path = nasd_core, pg_temp
set plan_cache_mode = force_generic_plan as $$
    update worker set state = 'left', last_seen_at = clock_timestamp() where id = p_worker and login = session_user;
    insert into event (kind, data) values ('worker_left', jsonb_build_object('worker', p_worker))
$$;
