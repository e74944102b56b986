-- Rows of work change state a few times and are then left alone; each change leaves a dead entry in the partial indexes
-- that hold what is waiting, and every look at them would step over those. Vacuum such tables by count, not by share.
alter table nasd_core.trial set (fillfactor = 85, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
                                 autovacuum_analyze_scale_factor = 0.05, autovacuum_analyze_threshold = 2000);
alter table nasd_core.evaluation set (fillfactor = 85, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
                                      autovacuum_analyze_scale_factor = 0.05, autovacuum_analyze_threshold = 2000);
alter table nasd_core.lease set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
alter table nasd_core.study set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
alter table nasd_core.worker set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
