-- How evaluations are handed out and how their outcomes are stored: what the functions of schema nasd_api share.
-- In plpgsql, because it keeps the plans of its statements; a function in sql is planned at every call.

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
              and (w.studies = '{}' or s.name = any (w.studies)) and ev.id <> all (p_except)
            order by ev.priority desc, ev.id
            limit p_n for update of ev skip locked
        ) as picked
    );
end $$;

-- Leases what was picked. The caller holds the evaluations and their trials.
create or replace function nasd_core.hand_out(p_worker bigint, p_duration double precision, p_evaluations bigint[])
returns table (evaluation_id bigint, token uuid, attempt integer, study_id bigint, study_name text, trial_number integer,
               stage text, device_kind text, replicate integer, seed bigint, fidelity integer, architecture jsonb)
language plpgsql as $$
#variable_conflict use_column
begin
    return query
    with begun as (
        update nasd_core.evaluation as e set state = 'running', attempt = e.attempt + 1, worker_id = p_worker,
            started_at = coalesce(e.started_at, clock_timestamp()), reason = null, message = null
        where e.id = any (p_evaluations)
        returning e.id, e.trial_id, e.study_id, e.stage, e.device_kind, e.replicate, e.attempt
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
           t.architecture
    from begun as b join leased as l on l.evaluation_id = b.id
    join nasd_core.trial as t on t.id = b.trial_id join nasd_core.study as s on s.id = b.study_id
    order by array_position(p_evaluations, b.id);
end $$;

-- Stores the measurements of attempts; the three arrays go together.
create or replace function nasd_core.record_measurements(p_evaluations bigint[], p_attempts integer[], p_outcomes jsonb[], p_status text)
returns void language plpgsql as $$
begin
    insert into nasd_core.measurement (study_id, trial_id, evaluation_id, attempt, worker_id, device_kind,
                                       name, value, unit, spread, n, conditions, status)
    select e.study_id, e.trial_id, e.id, a.attempt, a.worker_id, e.device_kind,
           m.name, m.value, m.unit, m.spread, coalesce(m.n, 1), coalesce(m.conditions, '{}'), p_status
    from unnest(p_evaluations, p_attempts, p_outcomes) as r (evaluation, attempt, outcome)
    join nasd_core.evaluation as e on e.id = r.evaluation
    join nasd_core.attempt as a on a.evaluation_id = r.evaluation and a.attempt = r.attempt,
    jsonb_to_recordset(r.outcome -> 'measurements') as m (name text, value double precision, unit text,
                                                          spread double precision, n integer, conditions jsonb);
end $$;

-- Ends attempts, and their evaluations with them, as their outcomes say (any but the world's faults). The caller has
-- taken the leases and the evaluations. Several at once are all completed, so that there is one reason for all.
create or replace function nasd_core.conclude(p_evaluations bigint[], p_attempts integer[], p_outcomes jsonb[], p_late boolean)
returns void language plpgsql as $$
begin
    perform nasd_core.record_measurements(p_evaluations, p_attempts, p_outcomes, 'current');
    with ended as (
        update nasd_core.attempt as a set ended_at = clock_timestamp(), ended_how = r.outcome ->> 'kind',
            reason = r.outcome ->> 'reason', message = r.outcome ->> 'message',
            log = nullif(r.outcome ->> 'log', ''), seconds = r.outcome -> 'seconds'
        from unnest(p_evaluations, p_attempts, p_outcomes) as r (evaluation, attempt, outcome)
        where a.evaluation_id = r.evaluation and a.attempt = r.attempt
        returning a.evaluation_id, a.attempt, a.worker_id, a.ended_how, a.reason, a.message
    ), done as (
        update nasd_core.evaluation as e set state = ended.ended_how, finished_at = clock_timestamp(),
            worker_id = ended.worker_id, reason = ended.reason, message = ended.message
        from ended where e.id = ended.evaluation_id
        returning e.study_id, e.trial_id, e.id, ended.attempt, ended.ended_how, ended.worker_id
    )
    insert into nasd_core.event (study_id, trial_id, evaluation_id, attempt, kind, data)
    select study_id, trial_id, id, attempt, ended_how,
           jsonb_build_object('worker', worker_id, 'late', p_late, 'next', ended_how)
    from done order by id;
    perform nasd_core.refold(array(select trial_id from nasd_core.evaluation where id = any (p_evaluations)),
                             (p_outcomes[1] ->> 'violation')::double precision,
                             p_outcomes[1] ->> 'reason', p_outcomes[1] ->> 'message');
end $$;

-- The world's fault as a worker reports it. The caller holds the trial's evaluations.
create or replace function nasd_core.fail_attempt(p_evaluation bigint, p_attempt integer, p_outcome jsonb, p_backoff double precision)
returns void language plpgsql as $$
declare
    next_state text;
begin
    update nasd_core.attempt set ended_at = clock_timestamp(), ended_how = 'failed', reason = p_outcome ->> 'reason',
        message = p_outcome ->> 'message', log = nullif(p_outcome ->> 'log', ''), seconds = p_outcome -> 'seconds'
    where evaluation_id = p_evaluation and attempt = p_attempt;
    next_state := nasd_core.retry_or_fail(p_evaluation, true, p_backoff, coalesce(p_outcome ->> 'reason', 'failed'), p_outcome ->> 'message');
    insert into nasd_core.event (study_id, trial_id, evaluation_id, attempt, kind, data)
    select e.study_id, e.trial_id, e.id, p_attempt, 'failed',
           jsonb_build_object('worker', a.worker_id, 'late', false, 'next', next_state)
    from nasd_core.evaluation as e join nasd_core.attempt as a on a.evaluation_id = e.id and a.attempt = p_attempt
    where e.id = p_evaluation;
    perform nasd_core.refold(array(select trial_id from nasd_core.evaluation where id = p_evaluation), null,
                             p_outcome ->> 'reason', p_outcome ->> 'message');
end $$;
