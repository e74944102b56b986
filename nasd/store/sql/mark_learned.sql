-- What was learned waits no longer, unless its values changed after they were read.
update nasd_core.trial
set learned_seq = coalesce(learned_seq, %(seq)s),
    pending = case
        when state in ('failed', 'cancelled') or nasd_core.plain_values(values) = %(values)s then null
        else 'revision'
    end
where id = %(trial_id)s
