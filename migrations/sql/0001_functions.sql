-- What happens to evaluations, in one place. Lock order everywhere: lease, evaluation, trial, study.

create function nasd_core.plain_values(vals jsonb) returns jsonb
language sql immutable parallel safe as $$
    select coalesce(jsonb_object_agg(key, value -> 'value'), '{}') from jsonb_each(vals)
$$;

-- Refuses a controller that no longer leads; the share lock keeps the epoch until the transaction ends.
create function nasd_core.fence(p_epoch bigint) returns void
language plpgsql as $$
begin
    perform from nasd_core.leader where epoch = p_epoch and holder is not null for share;
    if not found then
        raise exception 'controller of epoch % was deposed', p_epoch using errcode = 'NA002';
    end if;
end $$;

-- A trial's values from its current measurements: the least of the rounds for a latency (noise only adds), else the mean.
create function nasd_core.derive_values(p_trial bigint) returns jsonb
language sql stable as $$
    select coalesce(jsonb_object_agg(name, jsonb_build_object('value', value, 'unit', unit, 'spread', spread, 'n', n)), '{}')
    from (
        select name, min(unit) as unit, sum(n) as n,
               case when name = 'latency_ms' then min(value) else avg(value) end as value,
               case when count(*) > 1 then stddev_samp(value) else min(spread) end as spread
        from nasd_core.measurement
        where trial_id = p_trial and status = 'current'
        group by name
    ) as by_name
$$;

-- The fold of nasd.domain.lifecycle over the evaluations that make a trial (further rounds and replicates do not reopen it).
create function nasd_core.fold(states text[]) returns text
language sql immutable parallel safe as $$
    select case
        when 'infeasible' = any(states) then 'infeasible'
        when 'failed' = any(states) then 'failed'
        when states && array['queued', 'running'] then
            case when states <@ array['queued'] then 'queued' else 'running' end
        when 'cancelled' = any(states) then 'cancelled'
        when 'pruned' = any(states) then 'pruned'
        else 'completed'
    end
$$;

-- Cancels what is still open of a trial. The caller holds the leases of its evaluations (see lock_leases).
create function nasd_core.cancel_open(p_trial bigint, p_why text) returns void
language plpgsql as $$
begin
    delete from nasd_core.lease as l using nasd_core.evaluation as e
    where e.trial_id = p_trial and l.evaluation_id = e.id;
    update nasd_core.attempt as a set ended_at = clock_timestamp(), ended_how = 'cancelled', reason = p_why
    from nasd_core.evaluation as e
    where e.trial_id = p_trial and e.state = 'running' and a.evaluation_id = e.id and a.attempt = e.attempt;
    with gone as (
        update nasd_core.evaluation
        set state = 'cancelled', finished_at = clock_timestamp(), reason = p_why
        where trial_id = p_trial and state in ('queued', 'running')
        returning id, study_id, attempt
    )
    insert into nasd_core.event (study_id, trial_id, evaluation_id, attempt, kind, data)
    select study_id, p_trial, id, attempt, 'cancelled', jsonb_build_object('why', p_why) from gone;
end $$;

-- Takes the leases of a whole trial, in order, before anything that may cancel its siblings.
create function nasd_core.lock_leases(p_trial bigint) returns void
language plpgsql as $$
begin
    perform from nasd_core.lease
    where evaluation_id in (select id from nasd_core.evaluation where trial_id = p_trial)
    order by evaluation_id for update;
end $$;

-- Brings a trial's row up to date with its evaluations; tells the leader when there is something to learn.
create function nasd_core.refold(p_trial bigint, p_violation double precision, p_reason text, p_message text) returns text
language plpgsql as $$
declare
    t record;
    next_state text;
    fresh jsonb;
    is_final boolean;
begin
    -- no key update: inserts that refer to the trial hold its key, and two siblings that finish together must not wait
    -- for each other
    select id, study_id, state, values, learned_seq, pending, violation into t
    from nasd_core.trial where id = p_trial for no key update;
    select nasd_core.fold(array_agg(state)) into next_state
    from nasd_core.evaluation where trial_id = p_trial and round = 1 and replicate = 0;
    is_final := next_state not in ('queued', 'running');
    if is_final and next_state in ('infeasible', 'failed') and t.state in ('queued', 'running') then
        perform nasd_core.cancel_open(p_trial, 'trial ' || next_state);
    end if;
    -- exact counts have no measurement row: keep them
    fresh := t.values || nasd_core.derive_values(p_trial);
    if t.state in ('queued', 'running') then
        update nasd_core.trial set
            state = next_state, values = fresh,
            started_at = coalesce(started_at, case when next_state <> 'queued' then clock_timestamp() end),
            finished_at = case when is_final then clock_timestamp() end,
            pending = case when is_final then 'result' end,
            violation = case when next_state = 'infeasible' then coalesce(p_violation, 0) else 0 end,
            reason = case when is_final and next_state <> 'completed' then p_reason end,
            message = case when is_final and next_state <> 'completed' then p_message end
        where id = p_trial and (state <> next_state or values <> fresh);
    else  -- a further round or replicate ended, whatever it came to: the leader waits for it
        is_final := true;
        update nasd_core.trial set values = fresh, pending = coalesce(pending, 'revision') where id = p_trial;
        if fresh <> t.values then
            insert into nasd_core.event (study_id, trial_id, kind, data)
            values (t.study_id, p_trial, 'revised', jsonb_build_object('from', t.values, 'to', fresh));
        end if;
    end if;
    if is_final then
        perform pg_notify('nasd_learn', t.study_id::text);
    end if;
    return next_state;
end $$;

-- The world's fault: queued again with back-off, or failed when no attempt is left.
create function nasd_core.retry_or_fail(p_evaluation bigint, p_spend boolean, p_backoff double precision,
                                        p_reason text, p_message text) returns text
language plpgsql as $$
declare
    next_state text;
begin
    update nasd_core.evaluation set
        spent = spent + p_spend::int,
        state = case when spent + p_spend::int >= max_attempts then 'failed' else 'queued' end,
        finished_at = case when spent + p_spend::int >= max_attempts then clock_timestamp() end,
        not_before = clock_timestamp() + make_interval(secs => case when p_spend then p_backoff * 2 ^ spent else 0 end),
        reason = p_reason, message = p_message, worker_id = null
    where id = p_evaluation
    returning state into next_state;
    return next_state;
end $$;

-- Takes back a lease that stood still; false when it moved, ended or was leased anew meanwhile.
create function nasd_core.expire_lease(p_evaluation bigint, p_token uuid, p_renewals bigint, p_spend boolean,
                                       p_backoff double precision) returns boolean
language plpgsql as $$
declare
    l record;
    e record;
begin
    select trial_id, study_id into e from nasd_core.evaluation where id = p_evaluation;
    perform nasd_core.lock_leases(e.trial_id);
    delete from nasd_core.lease
    where evaluation_id = p_evaluation and token = p_token and renewals = p_renewals
    returning attempt, worker_id, progress into l;
    if not found then
        return false;
    end if;
    update nasd_core.attempt set ended_at = clock_timestamp(), ended_how = 'expired', reason = 'lease_expired'
    where evaluation_id = p_evaluation and attempt = l.attempt;
    perform from nasd_core.evaluation where id = p_evaluation for update;
    perform nasd_core.retry_or_fail(p_evaluation, p_spend, p_backoff, 'lease_expired',
                                    'its worker stopped renewing the lease');
    insert into nasd_core.event (study_id, trial_id, evaluation_id, attempt, kind, data)
    values (e.study_id, e.trial_id, p_evaluation, l.attempt, 'expired',
            jsonb_build_object('worker', l.worker_id, 'spent', p_spend, 'progress', l.progress));
    perform nasd_core.refold(e.trial_id, null, 'lease_expired', 'its workers stopped renewing their leases');
    return true;
end $$;

-- Cancels all open work of a study (end of study, operator); its trials become final.
create function nasd_core.cancel_study(p_study bigint, p_why text) returns integer
language plpgsql as $$
declare
    t record;
    n integer := 0;
begin
    perform from nasd_core.lease
    where evaluation_id in (select id from nasd_core.evaluation where study_id = p_study and state = 'running')
    order by evaluation_id for update;
    for t in select distinct trial_id from nasd_core.evaluation
             where study_id = p_study and state in ('queued', 'running') order by trial_id loop
        perform from nasd_core.evaluation where trial_id = t.trial_id order by id for update;
        perform nasd_core.cancel_open(t.trial_id, p_why);
        perform nasd_core.refold(t.trial_id, null, p_why, null);
        n := n + 1;
    end loop;
    return n;
end $$;

-- Removes a study and everything known of it.
create function nasd_core.delete_study(p_study bigint) returns void
language plpgsql security definer set search_path = nasd_core, pg_temp as $$
begin
    perform set_config('nasd.deleting', p_study::text, true);
    delete from nasd_core.event where study_id = p_study;
    delete from nasd_core.study where id = p_study;
    perform set_config('nasd.deleting', '', true);
end $$;

create function nasd_core.refuse_rewrite() returns trigger
language plpgsql as $$
begin
    if coalesce(current_setting('nasd.deleting', true), '') <> '' and tg_op = 'DELETE' then
        return old;
    end if;
    raise exception '% rows are never changed', tg_table_name using errcode = 'NA003';
end $$;

create trigger event_is_append_only before update or delete on nasd_core.event
    for each row execute function nasd_core.refuse_rewrite();
create trigger fact_is_append_only before update or delete on nasd_core.fact
    for each row execute function nasd_core.refuse_rewrite();
create trigger measurement_is_immutable before delete or update of
    id, study_id, trial_id, evaluation_id, attempt, worker_id, device_kind, name, value, unit, spread, n, conditions, measured_at
    on nasd_core.measurement for each row execute function nasd_core.refuse_rewrite();

insert into nasd_core.leader (singleton, epoch, holder) values (1, 0, null);
