-- What happens to evaluations, in one place. Lock order everywhere: lease, evaluation, trial, study.

drop function nasd_core.derive_values(bigint);
drop function nasd_core.lock_leases(bigint);
drop function nasd_core.refold(bigint, double precision, text, text);
drop function nasd_core.record_measurements(bigint, integer, bigint, jsonb, text);

-- Cancels what is still open of a trial. The caller holds its evaluations (see hold).
create or replace function nasd_core.cancel_open(p_trial bigint, p_why text) returns void
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

-- Takes evaluations and their leases, in order, before anything that may cancel them. An evaluation that was leased
-- between the two locks has a lease that is not held: everything is let go (its subtransaction) and taken again.
create or replace function nasd_core.hold(p_evaluations bigint[]) returns void
language plpgsql as $$
declare
    n_held integer;
begin
    loop
        begin
            with held as (
                select evaluation_id from nasd_core.lease
                where evaluation_id = any (p_evaluations) order by evaluation_id for update
            )
            select count(*) into n_held from held;
            perform from nasd_core.evaluation where id = any (p_evaluations) order by id for update;
            if n_held = (select count(*) from nasd_core.lease where evaluation_id = any (p_evaluations)) then
                return;
            end if;
            raise exception 'leased meanwhile' using errcode = 'NA006';
        exception when sqlstate 'NA006' then
        end;
    end loop;
end $$;

create or replace function nasd_core.evaluations_of(p_trial bigint) returns bigint[]
language sql stable as $$
    select array_agg(id) from nasd_core.evaluation where trial_id = p_trial
$$;

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
    for settled in
        select e.trial_id, min(e.state) filter (where e.state = 'infeasible') as infeasible
        from nasd_core.evaluation as e join nasd_core.trial as t on t.id = e.trial_id
        where e.trial_id = any (p_trials) and e.state in ('infeasible', 'failed') and e.round = 1 and e.replicate = 0
          and t.state in ('queued', 'running')
        group by e.trial_id
    loop
        perform nasd_core.cancel_open(settled.trial_id, 'trial ' || coalesce(settled.infeasible, 'failed'));
    end loop;
    with folded as (
        select trial_id, nasd_core.fold(array_agg(state)) as state
        from nasd_core.evaluation where trial_id = any (p_trials) and round = 1 and replicate = 0
        group by trial_id
    ), by_name as (
        select trial_id, name, min(unit) as unit, sum(n) as n,
               case when name = 'latency_ms' then min(value) else avg(value) end as value,
               case when count(*) > 1 then stddev_samp(value) else min(spread) end as spread
        from nasd_core.measurement where trial_id = any (p_trials) and status = 'current'
        group by trial_id, name
    ), derived as (
        select trial_id, jsonb_object_agg(name, jsonb_build_object('value', value, 'unit', unit, 'spread', spread, 'n', n)) as values
        from by_name group by trial_id
    ), fresh as (
        select t.id, t.study_id, t.values as old, t.state in ('queued', 'running') as was_open, f.state,
               f.state not in ('queued', 'running') as is_final,
               t.values || coalesce(d.values, '{}') as values  -- exact counts have no measurement row: keep them
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
    ), revised as (  -- a further round or replicate ended, whatever it came to: the leader waits for it
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

-- Takes back a lease that stood still; false when it moved, ended or was leased anew meanwhile.
create or replace function nasd_core.expire_lease(p_evaluation bigint, p_token uuid, p_renewals bigint, p_spend boolean,
                                       p_backoff double precision) returns boolean
language plpgsql as $$
declare
    l record;
    e record;
begin
    select trial_id, study_id into e from nasd_core.evaluation where id = p_evaluation;
    perform nasd_core.hold(nasd_core.evaluations_of(e.trial_id));
    delete from nasd_core.lease
    where evaluation_id = p_evaluation and token = p_token and renewals = p_renewals
    returning attempt, worker_id, progress into l;
    if not found then
        return false;
    end if;
    update nasd_core.attempt set ended_at = clock_timestamp(), ended_how = 'expired', reason = 'lease_expired'
    where evaluation_id = p_evaluation and attempt = l.attempt;
    perform nasd_core.retry_or_fail(p_evaluation, p_spend, p_backoff, 'lease_expired',
                                    'its worker stopped renewing the lease');
    insert into nasd_core.event (study_id, trial_id, evaluation_id, attempt, kind, data)
    values (e.study_id, e.trial_id, p_evaluation, l.attempt, 'expired',
            jsonb_build_object('worker', l.worker_id, 'spent', p_spend, 'progress', l.progress));
    perform nasd_core.refold(array[e.trial_id], null, 'lease_expired', 'its workers stopped renewing their leases');
    return true;
end $$;

-- Cancels all open work of a study (end of study, operator); its trials become final.
create or replace function nasd_core.cancel_study(p_study bigint, p_why text) returns integer
language plpgsql as $$
declare
    t record;
    n integer := 0;
begin
    perform nasd_core.hold(array(
        select id from nasd_core.evaluation where study_id = p_study and state in ('queued', 'running')
    ));
    for t in select distinct trial_id from nasd_core.evaluation
             where study_id = p_study and state in ('queued', 'running') order by trial_id loop
        perform nasd_core.cancel_open(t.trial_id, p_why);
        perform nasd_core.refold(array[t.trial_id], null, p_why, null);
        n := n + 1;
    end loop;
    return n;
end $$;
