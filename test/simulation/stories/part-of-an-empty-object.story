# a fault of the simulator's: a part of an empty object had 2^64 - 1 bytes, and overwrote the simulator's own memory
#
# Nothing is left of the object in store 0; then somebody leaves a part of that, raises its version, and the store
# answers a part of it.
world seed=4367591463826236685 hosts=2 stores=1 interval=60 lifetime=600 ahead=1 ratchet=0 floor=1 passive=0
spoil host=0 store=0 other=-1 value=3 after=1 seed=13
spoil host=0 store=0 other=-1 value=3 after=1 seed=13
spoil host=0 store=0 other=-1 value=2 after=1 seed=13
lie host=0 store=0 other=-1 value=5 after=1 seed=0
cycle host=0 store=0 other=-1 value=0 after=1 seed=0
cycle host=1 store=0 other=-1 value=0 after=1 seed=10
