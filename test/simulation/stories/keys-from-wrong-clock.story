# far-key: the file ring of host 0 holds key c7bf36f2, whose slot is 479 h away
#
# 06:37:57 the clock of host 7 is off by 1728000 s
# 06:37:57 host 7 runs a cycle
# 06:37:57     host 7 says: /h7/run/www.ring: made 2 keys, generation 1
# 06:37:57     host 7: done; made 2, wrote to 2, epoch 0, 2 keys, current c7bf36f2
# 06:38:27 all faults end
# 06:38:27     host 0 says: /h0/run/www.ring: made 2 keys, generation 2
# 06:38:27     host 0 says: /h0/run/www.ring: another host's clock is at least 1727971 s ahead of this host's; check both clocks
# 06:38:27     host 0: done; made 2, wrote to 2, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 1: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 2: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 3: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 4: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 5: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 6: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 7: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 0: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 1: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 2: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 3: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 4: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 5: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 6: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 7: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 0: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 1: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 2: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 3: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 4: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 5: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 6: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 7: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 0: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 1: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 2: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 3: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 4: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 5: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 6: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 7: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 0: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 1: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 2: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 3: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 4: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 5: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 6: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27     host 7: done; made 0, wrote to 0, epoch 0, 4 keys, current 070ee58e
# 06:38:27 FAILED (far-key): the file ring of host 0 holds key c7bf36f2, whose slot is 479 h away
world seed=7251470853513488539 hosts=8 stores=2 interval=300 lifetime=86400 ahead=1 ratchet=0 floor=1 passive=0
clock host=7 store=1 other=-1 value=1728000 after=938 seed=4860038050156339692
cycle host=7 store=1 other=-1 value=0 after=0 seed=9028128942255246075
