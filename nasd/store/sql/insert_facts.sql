-- Gives a fact its place in the learned order.
insert into nasd_core.fact (study_id, seq, kind, trial_id, number, state, values, violation)
values (%(study)s, %(seq)s, %(kind)s, %(trial_id)s, %(number)s, %(state)s, %(values)s, %(violation)s)
