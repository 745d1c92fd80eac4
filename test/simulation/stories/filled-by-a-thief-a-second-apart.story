# fight: a thief's keys fill the ring, one ends in every second: for the host whose clock was behind, one more had
# not ended and took another key's place, and both went on writing
world seed=1815327305291231532 hosts=4 stores=1 interval=10 lifetime=60 ahead=1 ratchet=0 floor=1 passive=0
cut host=2 store=0 other=-1 value=0 after=1 seed=12611331991828886543
cut host=0 store=0 other=-1 value=0 after=141 seed=7121934287528014585
steal host=1 store=0 other=-1 value=1 after=0 seed=11047578713101351515
cycle host=2 store=0 other=-1 value=0 after=0 seed=14514038882657398481
forge host=3 store=0 other=-1 value=5 after=26 seed=6582839275066205902
cycle host=1 store=0 other=-1 value=0 after=80 seed=9979801335547759115
cycle host=2 store=0 other=-1 value=0 after=0 seed=1950248608643417711
cycle host=0 store=0 other=-1 value=0 after=0 seed=6595578219611849818
