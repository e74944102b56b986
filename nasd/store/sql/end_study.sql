-- The leader ends a study, with the event that explains it; what an operator paused or stopped meanwhile stays so.
with ended as (
    update nasd_core.study
    set state = %(state)s, state_reason = %(state_reason)s, finished_at = clock_timestamp()
    where id = %(study)s and state = 'running'
    returning id, state, state_reason
)
insert into nasd_core.event (study_id, kind, data)
select id, 'study_' || state, jsonb_build_object('why', state_reason) from ended
