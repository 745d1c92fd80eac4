# revoked-returns: a floor that was sealed while the clock was ahead was moved aside
#
# Host 1 is cut off when all keys are revoked.  Host 0's clock is 20 days ahead for an hour: its ratchet
# moves on, and its floor is sealed under a key of that day.  Then the clock is right again, the host
# reboots, and it gets the fleet secret of a host that is in step.  Its floor must still open.
world seed=2 hosts=2 stores=1 interval=900 lifetime=604800 ahead=3 ratchet=1 floor=1 passive=0
cycle host=0 store=0 other=-1 value=0 after=10 seed=1
cycle host=1 store=0 other=-1 value=0 after=10 seed=3
cut host=1 store=0 other=-1 value=0 after=1 seed=4
revoke_all host=0 store=0 other=-1 value=0 after=10 seed=5
cycle host=0 store=0 other=-1 value=0 after=10 seed=7
clock host=0 store=0 other=-1 value=1728000 after=1 seed=6
cycle host=0 store=0 other=-1 value=0 after=10 seed=8
cycle host=0 store=0 other=-1 value=0 after=3700 seed=9
cycle host=0 store=0 other=-1 value=0 after=10 seed=10
clock host=0 store=0 other=-1 value=0 after=1 seed=11
reboot host=0 store=0 other=-1 value=0 after=1 seed=12
