-- All facts of a study in learned order.
select seq, kind, number, state, values, violation from nasd_core.fact where study_id = %(study)s order by seq
