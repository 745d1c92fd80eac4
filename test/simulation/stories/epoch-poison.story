# stolen: the thief's key a86d4881 is in the live keyring of host 0 after the emergency procedure
#
# 15:05:46 a thief copies the current key and the fleet secret of host 0
# 15:05:54 the thief writes to store 0: the last epoch that there is
# 15:06:24 all faults end
# 15:06:24     host 0 says: /h0/run/www.ring: made 1 key, generation 2
# 15:06:24     host 0: done; made 1, wrote to 2, epoch 18446744073709551615, 2 keys, current a86d4881
# 15:06:24     host 1: done; made 0, wrote to 0, epoch 18446744073709551615, 2 keys, current a86d4881
# 15:06:24     host 0: done; made 0, wrote to 0, epoch 18446744073709551615, 2 keys, current a86d4881
# 15:06:24     host 1: done; made 0, wrote to 0, epoch 18446744073709551615, 2 keys, current a86d4881
# 15:06:24     host 0: done; made 0, wrote to 0, epoch 18446744073709551615, 2 keys, current a86d4881
# 15:06:24     host 1: done; made 0, wrote to 0, epoch 18446744073709551615, 2 keys, current a86d4881
# 15:06:24     host 0: done; made 0, wrote to 0, epoch 18446744073709551615, 2 keys, current a86d4881
# 15:06:24     host 1: done; made 0, wrote to 0, epoch 18446744073709551615, 2 keys, current a86d4881
# 15:06:24     host 0: done; made 0, wrote to 0, epoch 18446744073709551615, 2 keys, current a86d4881
# 15:06:24     host 1: done; made 0, wrote to 0, epoch 18446744073709551615, 2 keys, current a86d4881
# 15:06:24 the emergency procedure begins
# 15:06:24 host 0 gets a new fleet secret, and its sync is restarted
# 15:06:24     host 0 says: sim://0: its object is unusable: ; overwriting it with this host's ring
# 15:06:24     host 0 says: sim://1: its object is unusable: ; overwriting it with this host's ring
# 15:06:24     host 0: done; made 0, wrote to 2, epoch 18446744073709551615, 2 keys, current a86d4881
# 15:06:24 host 1 gets a new fleet secret, and its sync is restarted
# 15:06:24     host 1 says: sim://1: its object is unusable: ; overwriting it with this host's ring
# 15:06:24     host 1: done; made 0, wrote to 1, epoch 18446744073709551615, 2 keys, current a86d4881
# 15:06:24     host 0 says: sim://0: recovered after 1 failed cycle
# 15:06:24     host 0 says: sim://1: recovered after 1 failed cycle
# 15:06:24     host 0: done; made 0, wrote to 2, epoch 18446744073709551615, 2 keys, current a86d4881
# 15:06:24     host 1 says: sim://1: recovered after 1 failed cycle
# 15:06:24     host 1: done; made 0, wrote to 0, epoch 18446744073709551615, 2 keys, current a86d4881
# 15:06:26     host 0 says: /h0/run/www.ring: its epoch cannot be raised further; remove the ring and create a new one
# 15:06:26     host 0: 'stekctl revoke --all' ends with 3; epoch 18446744073709551615
# 15:06:26 it refused; its ring is removed, as it said, and a new one made
# 15:06:27     host 0: done; made 0, wrote to 0, epoch 18446744073709551615, 2 keys, current a86d4881
# 15:06:27     host 1: done; made 0, wrote to 0, epoch 18446744073709551615, 2 keys, current a86d4881
# 15:06:27     host 0: done; made 0, wrote to 0, epoch 18446744073709551615, 2 keys, current a86d4881
# 15:06:27     host 1: done; made 0, wrote to 0, epoch 18446744073709551615, 2 keys, current a86d4881
# 15:06:27     host 0: done; made 0, wrote to 0, epoch 18446744073709551615, 2 keys, current a86d4881
# 15:06:27 FAILED (stolen): the thief's key a86d4881 is in the live keyring of host 0 after the emergency procedure
world seed=1498584569773129546 hosts=2 stores=2 interval=300 lifetime=86400 ahead=1 ratchet=0 floor=1 passive=0
steal host=0 store=1 other=-1 value=1 after=0 seed=10759165549914587797
forge host=1 store=0 other=-1 value=1 after=8 seed=17395842232356619153
