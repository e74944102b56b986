-- The leader's counters.
update nasd_core.study
set learned_seq = learned_seq + %(n_facts)s,
    n_trials = n_trials + %(n_trials)s,
    used_s = used_s + %(used_s)s,
    reference = reference || %(reference)s,
    strategy_version = coalesce(%(strategy_version)s, strategy_version),
    started_at = coalesce(started_at, clock_timestamp())
where id = %(study)s
