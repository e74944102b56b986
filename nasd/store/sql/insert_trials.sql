-- New trials with their evaluations and the events that explain them, in one statement.
with new as (
    select * from jsonb_to_recordset(%(trials)s) as x (
        number integer, architecture jsonb, architecture_key text, fidelity integer, seed bigint, operator text,
        parents integer[], notes jsonb, proposed_from bigint, strategy text, strategy_version text, values jsonb,
        violation double precision, evaluations jsonb)
), stored as (
    insert into nasd_core.trial (study_id, number, state, architecture, architecture_key, fidelity, seed, operator, parents,
                                 notes, proposed_from, strategy, strategy_version, values, violation, reason, message,
                                 pending, finished_at)
    select %(study)s, number, case when evaluations = '[]' then 'infeasible' else 'queued' end, architecture,
           architecture_key, fidelity, seed, operator, parents, notes, proposed_from, strategy, strategy_version, values,
           violation,
           case when evaluations = '[]' then 'over_limit' end,
           case when evaluations = '[]' then 'what is known of it ahead is over a hard limit; not queued' end,
           case when evaluations = '[]' then 'result' end,
           case when evaluations = '[]' then clock_timestamp() end
    from new order by number
    returning id, number
), queued as (
    insert into nasd_core.evaluation (study_id, trial_id, stage, device_kind, priority, replicate, round, needs, needs_memory_mib,
                                      awaits, is_required, max_attempts)
    select %(study)s, stored.id, e.stage, e.device_kind, e.priority, e.replicate, e.round, e.needs,
           e.needs_memory_mib, e.awaits, e.is_required, %(max_attempts)s
    from new join stored using (number),
         jsonb_to_recordset(new.evaluations) as e (stage text, device_kind text, priority integer, replicate integer, round integer,
                                                needs text[], needs_memory_mib integer, awaits text, is_required boolean)
    order by new.number, e.priority desc
)
insert into nasd_core.event (study_id, trial_id, kind, data)
select %(study)s, stored.id, 'proposed', jsonb_build_object('operator', new.operator, 'learned_seq', new.proposed_from)
from new join stored using (number) order by number
