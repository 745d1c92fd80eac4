# disagree: an object whose epoch was ten years ahead stayed in the stores for ever, because of a floor
#
# Host 1, which makes no keys, revokes all while its clock is ten years ahead. Host 0 writes its floor while its own
# is 40 days ahead. After that, each time that it looked, its clock might have been the wrong one, although its floor
# knew nothing of such an epoch.
world seed=4367591463826236685 hosts=2 stores=2 interval=900 lifetime=604800 ahead=3 ratchet=0 floor=1 passive=1
cycle host=0 store=1 other=-1 value=0 after=2 seed=10300957959015746359
revoke host=0 store=0 other=-1 value=0 after=7 seed=10319344998969762418
clock host=1 store=1 other=-1 value=315360000 after=0 seed=11949437382314707739
cycle host=0 store=0 other=-1 value=0 after=78 seed=13380377891075510901
cycle host=1 store=0 other=-1 value=0 after=0 seed=1058316548252064193
clock host=0 store=1 other=-1 value=3456000 after=25 seed=3525313540669070731
revoke_all host=1 store=0 other=-1 value=0 after=1017 seed=15730420083764040892
cycle host=0 store=0 other=-1 value=0 after=986 seed=5505399340007573547
cycle host=1 store=1 other=-1 value=0 after=0 seed=13357351553076845053
