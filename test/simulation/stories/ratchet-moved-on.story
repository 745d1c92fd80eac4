# fight: 2 writes after all hosts have run two cycles
#
# 16:45:25 the clock of host 1 is off by 1728000 s
# 16:45:27 host 1 runs a cycle
# 16:45:27     host 1 says: /h1/run/www.ring: made 2 keys, generation 1
# 16:45:27     host 1: done; made 2, wrote to 1, epoch 0, 2 keys, current 4eda26b4
# 16:45:57 all faults end
# 16:45:57     host 0 says: sim://0: its object is unusable: ; overwriting it with this host's ring
# 16:45:57     host 0 says: /h0/run/www.ring: made 2 keys, generation 1
# 16:45:57     host 0: done; made 2, wrote to 1, epoch 0, 2 keys, current 62bba015
# 16:45:57     host 1 says: /h1/state/fleet.secret: its day is ahead; check the clock, then copy the file from a host that is in step
# 16:45:57     host 1 says: sim://0: its object is unusable: ; overwriting it with this host's ring
# 16:45:57     host 1 says: /h1/run/www.ring: made 2 keys, generation 2
# 16:45:57     host 1: done; made 2, wrote to 1, epoch 0, 4 keys, current 9dc2e56b
# 16:45:57     host 0: done; made 0, wrote to 1, epoch 0, 2 keys, current 62bba015
# 16:45:57     host 1: done; made 0, wrote to 1, epoch 0, 4 keys, current 9dc2e56b
# 16:45:57     host 0: done; made 0, wrote to 1, epoch 0, 2 keys, current 62bba015
# 16:45:57     host 1: done; made 0, wrote to 1, epoch 0, 4 keys, current 9dc2e56b
# 16:45:57 FAILED (fight): 2 writes after all hosts have run two cycles
# 16:45:57 the fleet secret of host 0 is copied to host 1, as its log asked for
world seed=7853448679474380322 hosts=2 stores=1 interval=300 lifetime=86400 ahead=1 ratchet=1 floor=1 passive=0
clock host=1 store=0 other=-1 value=1728000 after=3 seed=579700077254065605
cycle host=1 store=0 other=-1 value=0 after=2 seed=5821481512904400553
