# disagree: a thief fills the ring, and sends keys for slots in ten years
#
# They took the room of old keys before they were ignored, in every cycle: the store that had them lacked nothing
# else, so nobody wrote it, and hosts that had not had those old keys before never got them.
world seed=3105224400317984476 hosts=2 stores=2 interval=60 lifetime=3600 ahead=1 ratchet=0 floor=1 passive=0
steal host=0 store=1 other=-1 value=1 after=0 seed=9501087098860605064
forge host=1 store=0 other=-1 value=5 after=291 seed=5892046222832882566
cycle host=0 store=0 other=-1 value=0 after=240 seed=6133358313143544559
forge host=0 store=0 other=-1 value=2 after=12 seed=6451094492855970770
