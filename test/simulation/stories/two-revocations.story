# two-revocations: key a852875e, which host 0's revocation ended, is in the file ring of host 2
#
# 01:27:04 host 0 runs a cycle
# 01:27:04     host 0 says: /h0/run/www.ring: made 2 keys, generation 1
# 01:27:04     host 0: done; made 2, wrote to 4, epoch 0, 2 keys, current fc0b207e
# 01:27:22 host 2 runs a cycle
# 01:27:22     host 2: done; made 0, wrote to 0, epoch 0, 2 keys, current fc0b207e
# 01:27:45 on host 2 somebody runs 'revoke --all'
# 01:27:45     host 2: 'stekctl revoke --all' ends with 0; epoch 1
# 01:41:09 on host 0 somebody runs 'revoke --all'
# 01:41:09     host 0: 'stekctl revoke --all' ends with 0; epoch 1
# 01:41:39 all faults end
# 01:41:39     host 0: done; made 0, wrote to 4, epoch 1, 2 keys, current 06b029c7
# 01:41:39     host 1: done; made 0, wrote to 0, epoch 1, 2 keys, current 06b029c7
# 01:41:39 FAILED (two-revocations): key a852875e, which host 0's revocation ended, is in the file ring of host 2
# 01:41:39     host 2: done; made 0, wrote to 4, epoch 1, 4 keys, current 06b029c7
world seed=3709305475905346009 hosts=3 stores=4 interval=300 lifetime=86400 ahead=1 ratchet=0 floor=1 passive=0
cycle host=0 store=0 other=-1 value=0 after=15 seed=1308542794132016639
cycle host=2 store=0 other=-1 value=0 after=18 seed=9924540423797049071
revoke_all host=2 store=3 other=-1 value=0 after=23 seed=7860029985009662712
revoke_all host=0 store=0 other=-1 value=0 after=804 seed=7245118044672957776
