# disagree: host 1 has no file ring
#
# 02:16:01 host 1 loses store 0
# 02:18:22 host 0 runs a cycle
# 02:18:22     host 0 says: /h0/run/www.ring: made 2 keys, generation 1
# 02:18:22     host 0: done; made 2, wrote to 1, epoch 0, 2 keys, current e49ba30d
# 02:18:22 host 1 runs a cycle
# 02:18:22     host 1 says: sim://0: silent: no connection; continuing with the file ring
# 02:18:22     host 1 says: /h1/run/www.ring: there is no current key, so no tickets are issued; bring back a store, or a host that generates keys
# 02:18:22     host 1: done; made 0, wrote to 0, epoch 0, 0 keys, current none
# 02:18:22 on host 1 somebody runs 'rotate'
# 02:18:22     host 1 says: /h1/run/www.ring: no such ring; give its path with --ring, or create one: stekctl new
# 02:18:22     host 1: 'stekctl rotate' ends with 4; epoch 0
# 02:18:52 all faults end
# 02:18:52     host 0 says: /h0/run/www.ring: made 2 keys, generation 2
# 02:18:52     host 0 says: /h0/state/fleet.secret: check this host's clock: the objects in the stores are from 2 days ago. Either the clock is ahead or the whole fleet was down; sync keeps the old fleet secret until another host moves to the next one, or for one hour
# 02:18:52     host 0: done; made 2, wrote to 1, epoch 0, 2 keys, current e60f99bd
# 02:18:52     host 1 says: sim://0: its object is unusable: sealed with a secret that is not in the secret file; overwriting it with this host's ring
# 02:18:52     host 1: done; made 0, wrote to 0, epoch 0, 0 keys, current none
# 02:18:52     host 0: done; made 0, wrote to 0, epoch 0, 2 keys, current e60f99bd
# 02:18:52     host 1: done; made 0, wrote to 0, epoch 0, 0 keys, current none
# 02:18:52     host 0: done; made 0, wrote to 0, epoch 0, 2 keys, current e60f99bd
# 02:18:52     host 1: done; made 0, wrote to 0, epoch 0, 0 keys, current none
# 02:18:52     host 0: done; made 0, wrote to 0, epoch 0, 2 keys, current e60f99bd
# 02:18:52     host 1: done; made 0, wrote to 0, epoch 0, 0 keys, current none
# 02:18:52     host 0: done; made 0, wrote to 0, epoch 0, 2 keys, current e60f99bd
# 02:18:52     host 1: done; made 0, wrote to 0, epoch 0, 0 keys, current none
# 02:18:52     host 0: done; made 0, wrote to 0, epoch 0, 2 keys, current e60f99bd
# 02:18:52     host 1: done; made 0, wrote to 0, epoch 0, 0 keys, current none
# 02:18:52     host 0: done; made 0, wrote to 0, epoch 0, 2 keys, current e60f99bd
# 02:18:52     host 1: done; made 0, wrote to 0, epoch 0, 0 keys, current none
# 02:18:52 FAILED (disagree): host 1 has no file ring
world seed=7635201941414715358 hosts=2 stores=1 interval=300 lifetime=86400 ahead=1 ratchet=1 floor=1 passive=1
cut host=1 store=0 other=-1 value=0 after=3 seed=16352535032554068453
cycle host=0 store=0 other=-1 value=0 after=141 seed=12382767926752897958
cycle host=1 store=0 other=-1 value=0 after=86400 seed=3096854034546437863
rotate host=1 store=0 other=-1 value=0 after=86400 seed=18182010518936146654
