# keyless: keys of a thief that never encrypt took the place of the current key in a full ring
world seed=4815542215943430921 hosts=5 stores=2 interval=900 lifetime=604800 ahead=3 ratchet=0 floor=1 passive=0
cycle host=0 store=1 other=-1 value=0 after=0 seed=1778657525827615857
steal host=0 store=1 other=-1 value=1 after=0 seed=10413862193952262618
cycle host=2 store=0 other=-1 value=0 after=2757 seed=17891545737740322257
forge host=4 store=1 other=-1 value=5 after=0 seed=2465447433352645528
