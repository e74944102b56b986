-- Keeps the newest cache of a study; an older one of the same version and settings never replaces a newer one.
insert into nasd_core.strategy_cache as c (study_id, strategy_version, settings_hash, learned_seq, state)
values (%s, %s, %s, %s, %s)
on conflict (study_id) do update set
    strategy_version = excluded.strategy_version, settings_hash = excluded.settings_hash,
    learned_seq = excluded.learned_seq, state = excluded.state, at = clock_timestamp()
where c.learned_seq <= excluded.learned_seq
   or c.strategy_version <> excluded.strategy_version or c.settings_hash <> excluded.settings_hash
