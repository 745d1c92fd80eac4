# disagree: a lying store kept what a thief had written, and showed it in the last of the cycles
#
# The epoch is one that hosts take in. They have two cycles from when the liar first shows it. No mistake of the
# product's.
world seed=896130549272271328 hosts=3 stores=2 interval=60 lifetime=600 ahead=1 ratchet=0 floor=1 passive=0
cycle host=0 store=0 other=-1 value=0 after=0 seed=1983251063389741886
steal host=0 store=0 other=-1 value=1 after=0 seed=439857494835499545
lie host=0 store=0 other=-1 value=3 after=0 seed=2758776779213233388
cycle host=0 store=0 other=-1 value=0 after=60 seed=2207997333184677466
cycle host=1 store=0 other=-1 value=0 after=0 seed=1947417094587795124
cycle host=2 store=0 other=-1 value=0 after=0 seed=2346069755647910219
cycle host=0 store=0 other=-1 value=0 after=60 seed=3537998752666328794
cycle host=1 store=0 other=-1 value=0 after=0 seed=1502624356554625429
cycle host=2 store=0 other=-1 value=0 after=0 seed=4350933128409889718
cycle host=0 store=0 other=-1 value=0 after=60 seed=2588141550855585400
cycle host=1 store=0 other=-1 value=0 after=0 seed=2480579371557316140
cycle host=2 store=0 other=-1 value=0 after=0 seed=1197628252046744112
forge host=0 store=0 other=-1 value=3 after=0 seed=3100049003929404554
