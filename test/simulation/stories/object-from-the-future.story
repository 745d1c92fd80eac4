# disagree: an object whose epoch and time were ten years ahead stayed in the stores for ever
#
# Host 4, which makes no keys, revokes all while its clock is ten years ahead, and writes to both
# stores.  Then its clock is set right, and its ring and floor are removed, as its log asks for.  Each
# host left the object alone, because its own clock might have been the wrong one.
world seed=5994774479048058932 hosts=5 stores=2 interval=3600 lifetime=64800 ahead=1 ratchet=0 floor=1 passive=1 memcached=15
cycle host=2 store=0 other=-1 value=0 after=33 seed=15912088416452262663
cycle host=4 store=1 other=-1 value=0 after=0 seed=17318513946400459387
clock host=4 store=0 other=-1 value=315360000 after=7222 seed=4627582688865191423
revoke_all host=4 store=1 other=-1 value=0 after=14635 seed=15360300576793928648
cycle host=4 store=0 other=-1 value=0 after=0 seed=16856780464181545936
