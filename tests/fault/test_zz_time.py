import time
def test_t(system):
    t=time.monotonic()
    system.create(trials=30,in_flight=1); print("create",time.monotonic()-t)
    w=system.worker(); c=system.controller(); 
    system.until_completed(1); print("first",time.monotonic()-t)
    system.until_completed(29); print("29",time.monotonic()-t)
    system.until_complete(); print("all",time.monotonic()-t)
    from fault_soundness import assert_study_is_sound
    assert_study_is_sound(system.database, trials=30); print("sound",time.monotonic()-t)
    for r in system.rows("select trial, created_at, started_at, finished_at from nasd.trials order by trial"): print(r[0], (r[2]-r[1]).total_seconds(), (r[3]-r[2]).total_seconds())
    print(open(w.log).read()[-2000:]); print(open(c.log).read()[-1000:])
