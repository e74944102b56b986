-- The leader's counters and what it let in. More may be wanted of a kind by now than what was granted: that stays.
update nasd_core.study
set learned_seq = learned_seq + %(n_facts)s,
    n_trials = n_trials + %(n_trials)s,
    used_s = used_s + %(used_s)s,
    reference = reference || %(reference)s,
    joined = joined || %(joined)s,
    wanted = wanted - array(select kind from jsonb_each_text(%(granted)s) as g (kind, which) where wanted ->> kind = which),
    strategy_version = coalesce(%(strategy_version)s, strategy_version),
    started_at = coalesce(started_at, clock_timestamp())
where id = %(study)s
