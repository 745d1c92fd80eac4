# full: the cycle of host 5 fails (125110)
#
# 09:58:05 store 0 is down
# 09:58:05 host 1 runs a cycle
# 09:58:05     host 1 says: sim://0: silent: no connection; continuing with the file ring
# 09:58:05     host 1 says: /h1/run/www.ring: made 740 keys, generation 1
# 09:58:05     host 1: done; made 740, wrote to 0, epoch 0, 740 keys, current fd01e066
# 09:58:05 host 2 runs a cycle
# 09:58:05     host 2 says: sim://0: silent: no connection; continuing with the file ring
# 09:58:05     host 2 says: /h2/run/www.ring: made 740 keys, generation 1
# 09:58:05     host 2: done; made 740, wrote to 0, epoch 0, 740 keys, current bcde2e7d
# 09:58:05 host 3 runs a cycle
# 09:58:05     host 3 says: sim://0: silent: no connection; continuing with the file ring
# 09:58:05     host 3 says: /h3/run/www.ring: made 740 keys, generation 1
# 09:58:05     host 3: done; made 740, wrote to 0, epoch 0, 740 keys, current fc0a2bce
# 09:58:05 host 4 runs a cycle
# 09:58:05     host 4 says: sim://0: silent: no connection; continuing with the file ring
# 09:58:05     host 4 says: /h4/run/www.ring: made 740 keys, generation 1
# 09:58:05     host 4: done; made 740, wrote to 0, epoch 0, 740 keys, current 54494be6
# 09:58:05 host 5 runs a cycle
# 09:58:05     host 5 says: sim://0: silent: no connection; continuing with the file ring
# 09:58:05     host 5 says: /h5/run/www.ring: made 740 keys, generation 1
# 09:58:05     host 5: done; made 740, wrote to 0, epoch 0, 740 keys, current 7aa18289
# 09:58:35 all faults end
# 09:58:35     host 0 says: /h0/run/www.ring: made 740 keys, generation 1
# 09:58:35     host 0: done; made 740, wrote to 1, epoch 0, 740 keys, current 62f9544c
# 09:58:35     host 1 says: sim://0: recovered after 1 failed cycle
# 09:58:35     host 1: done; made 0, wrote to 1, epoch 0, 1480 keys, current 62f9544c
# 09:58:35     host 2 says: sim://0: recovered after 1 failed cycle
# 09:58:35     host 2: done; made 0, wrote to 1, epoch 0, 2220 keys, current 62f9544c
# 09:58:35     host 3 says: sim://0: recovered after 1 failed cycle
# 09:58:35     host 3: done; made 0, wrote to 1, epoch 0, 2960 keys, current 62f9544c
# 09:58:35     host 4 says: sim://0: recovered after 1 failed cycle
# 09:58:35     host 4: done; made 0, wrote to 1, epoch 0, 3700 keys, current 54494be6
# 09:58:35     host 5 says: sim://0: recovered after 1 failed cycle
# 09:58:35     host 5 says: /h5/run/www.ring: is full
# 09:58:35     host 5: is full; made 0, wrote to 0, epoch 0, 740 keys, current 7aa18289
# 09:58:35 FAILED (full): the cycle of host 5 fails (125110)
world seed=4963937425251674285 hosts=6 stores=1 interval=60 lifetime=600 ahead=739 ratchet=0 floor=1 passive=0
outage host=3 store=0 other=-1 value=0 after=0 seed=14303807037438493262
cycle host=1 store=0 other=-1 value=0 after=0 seed=8726727510915634871
cycle host=2 store=0 other=-1 value=0 after=0 seed=3381824753529893854
cycle host=3 store=0 other=-1 value=0 after=0 seed=6205296564376613511
cycle host=4 store=0 other=-1 value=0 after=0 seed=10570414845410614416
cycle host=5 store=0 other=-1 value=0 after=0 seed=14314696978226789458
