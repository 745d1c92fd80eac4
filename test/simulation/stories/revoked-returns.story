# revoked-returns: key 8585bdad, which host 5's revocation ended, is in the file ring of host 5
#
# 20:44:42 store 1: reads come from a replica that stands still
# 20:44:42 host 5 runs a cycle
# 20:44:42     host 5 says: /h5/run/www.ring: made 3 keys, generation 1
# 20:44:42     host 5: done; made 3, wrote to 2, epoch 0, 3 keys, current 8585bdad
# 20:44:56 on host 5 somebody revokes the current key
# 20:44:56     host 5: 'stekctl revoke 8585bdad24ffe' ends with 0; epoch 0
# 20:44:56 the network breaks into parts
# 20:44:56 host 5 runs a cycle
# 20:44:56     host 5 says: sim://0: silent: no connection; continuing with the file ring
# 20:44:56     host 5: done; made 0, wrote to 0, epoch 0, 3 keys, current 44a58892
# 20:49:39 host 5 reboots; its runtime directory is gone
# 20:50:09 all faults end
# 20:50:09     host 0 says: /h0/run/www.ring: made 3 keys, generation 2
# 20:50:09     host 0: done; made 3, wrote to 2, epoch 0, 6 keys, current ba7e6fbb
# 20:50:09     host 1: done; made 0, wrote to 0, epoch 0, 6 keys, current ba7e6fbb
# 20:50:09     host 2: done; made 0, wrote to 0, epoch 0, 6 keys, current ba7e6fbb
# 20:50:09     host 3: done; made 0, wrote to 0, epoch 0, 6 keys, current ba7e6fbb
# 20:50:09     host 4: done; made 0, wrote to 0, epoch 0, 6 keys, current ba7e6fbb
# 20:50:09 FAILED (revoked-returns): key 8585bdad, which host 5's revocation ended, is in the file ring of host 5
# 20:50:09     host 5: done; made 0, wrote to 0, epoch 0, 6 keys, current ba7e6fbb
world seed=5865928857565245782 hosts=6 stores=2 interval=60 lifetime=3600 ahead=1 ratchet=0 floor=1 passive=0
lag host=3 store=1 other=0 value=1 after=100 seed=539113858296192854
cycle host=5 store=1 other=-1 value=0 after=0 seed=14448419551606420170
revoke host=5 store=0 other=-1 value=0 after=14 seed=12968827063751002277
partition host=1 store=1 other=-1 value=0 after=0 seed=13758389406110245674
cycle host=5 store=1 other=-1 value=0 after=0 seed=13902513495267626414
reboot host=5 store=1 other=-1 value=0 after=283 seed=5361790239174452129
