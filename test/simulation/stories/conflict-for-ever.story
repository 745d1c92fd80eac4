# keyless: host 9 has had no current key at the end of 3 cycles in a row
#
# 21:25:06 store 0: reads come from a replica that stands still
# 21:25:06 host 2 runs a cycle
# 21:25:06     host 2 says: /h2/run/www.ring: made 2 keys, generation 1
# 21:25:06     host 2: done; made 2, wrote to 1, epoch 0, 2 keys, current 7da76da9
# 21:25:06 host 9 runs a cycle
# 21:25:06     host 9 says: /h9/run/www.ring: there is no current key, so no tickets are issued; bring back a store, or a host that generates keys
# 21:25:06     host 9: done; made 0, wrote to 0, epoch 0, 0 keys, current none
# 00:25:06 host 9 runs a cycle
# 00:25:06     host 9: done; made 0, wrote to 0, epoch 0, 0 keys, current none
# 00:25:06 host 12 runs a cycle; another host is quicker
# 00:25:06     before host 12 writes:
# 00:25:06     host 9: done; made 0, wrote to 0, epoch 0, 0 keys, current none
# 00:25:06 FAILED (keyless): host 9 has had no current key at the end of 3 cycles in a row
# 00:25:06     host 12 says: /h12/run/www.ring: there is no current key, so no tickets are issued; bring back a store, or a host that generates keys
# 00:25:06     host 12: done; made 0, wrote to 0, epoch 0, 0 keys, current none
world seed=6134631155881640578 hosts=13 stores=1 interval=3600 lifetime=64800 ahead=1 ratchet=0 floor=1 passive=0
lag host=0 store=0 other=-1 value=1 after=10928 seed=17613001009703759500
cycle host=2 store=0 other=-1 value=0 after=0 seed=9328071315328574975
cycle host=9 store=0 other=-1 value=0 after=0 seed=6054738577061155702
cycle host=9 store=0 other=-1 value=0 after=10800 seed=9980983138890955351
cycle host=12 store=0 other=9 value=0 after=0 seed=7849891999132704152
