-- The event that explains a study's new state.
insert into nasd_core.event (study_id, kind, data)
select %(study)s, 'study_' || %(state)s, jsonb_build_object('why', %(state_reason)s::text)
where %(state)s is not null
