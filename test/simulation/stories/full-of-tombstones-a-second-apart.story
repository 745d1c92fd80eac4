# fight: a ring full of a thief's tombstones, at the end of a slot: hosts whose clocks were a second apart took turns
# in writing the keys that the other side left out
world seed=20009 hosts=8 stores=1 interval=10 lifetime=60 ahead=1 ratchet=0 floor=1 passive=0
outage host=0 store=0 other=-1 value=0 after=1 seed=101
cycle host=0 store=0 other=-1 value=0 after=0 seed=102
cycle host=1 store=0 other=-1 value=0 after=0 seed=103
cycle host=2 store=0 other=-1 value=0 after=0 seed=104
cycle host=3 store=0 other=-1 value=0 after=0 seed=105
cycle host=4 store=0 other=-1 value=0 after=0 seed=106
cycle host=5 store=0 other=-1 value=0 after=0 seed=107
cycle host=6 store=0 other=-1 value=0 after=0 seed=108
cycle host=7 store=0 other=-1 value=0 after=0 seed=109
steal host=0 store=0 other=-1 value=1 after=0 seed=110
heal host=0 store=0 other=-1 value=0 after=0 seed=111
forge host=0 store=0 other=-1 value=4 after=0 seed=112
