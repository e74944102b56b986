-- The leader's counters and the study's state.
update nasd_core.study
set learned_seq = learned_seq + %(n_facts)s,
    n_trials = n_trials + %(n_trials)s,
    used_s = used_s + %(used_s)s,
    reference = reference || %(reference)s,
    strategy_version = coalesce(%(strategy_version)s, strategy_version),
    started_at = coalesce(started_at, clock_timestamp()),
    state = coalesce(%(state)s, state),
    state_reason = case when %(state)s is null then state_reason else %(state_reason)s end,
    finished_at = case
        when %(state)s is null then finished_at
        when %(state)s in ('completed', 'stopped') then clock_timestamp()
    end
where id = %(study)s
