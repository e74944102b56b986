-- Gives facts their place in the learned order.
insert into nasd_core.fact (study_id, seq, kind, trial_id, number, state, values, violation)
select %(study)s, f.seq, f.kind, f.trial_id, f.number, f.state, f.values, f.violation
from jsonb_to_recordset(%(facts)s) as f (seq bigint, kind text, trial_id bigint, number integer, state text,
                                         values jsonb, violation double precision)
