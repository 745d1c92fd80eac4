# revoked-returns: one cycle of a host two hours ahead made it forget that a key was revoked
world seed=6215949615785065071 hosts=2 stores=2 interval=60 lifetime=600 ahead=2 ratchet=0 floor=1 passive=0
cycle host=1 store=1 other=0 value=0 after=92 seed=13607474144935813174
revoke host=0 store=0 other=-1 value=0 after=1 seed=1054783575121392926
clock host=0 store=1 other=-1 value=7200 after=367 seed=6449659199083217912
cycle host=0 store=0 other=-1 value=0 after=0 seed=16336355919511902103
