-- What was learned waits no longer, unless its values changed after they were read.
update nasd_core.trial as t
set learned_seq = coalesce(t.learned_seq, f.seq),
    pending = case
        when t.state in ('failed', 'cancelled') or nasd_core.plain_values(t.values) = f.values then null
        else 'revision'
    end
from jsonb_to_recordset(%(facts)s) as f (seq bigint, trial_id bigint, values jsonb)
where t.id = f.trial_id
