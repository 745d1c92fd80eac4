# disagree: a lying store kept a key that its host had lost, and showed it in the last of the cycles
#
# Host 1 makes a key while only the liar answers, and loses its ring. What the liar shows for the first time is
# a fault, too: hosts have two cycles from then on. No mistake of the product's.
world seed=2233448981015851004 hosts=3 stores=2 interval=60 lifetime=600 ahead=1 ratchet=0 floor=1 passive=0
lie host=0 store=0 other=-1 value=3 after=0 seed=1643687998491266789
cycle host=0 store=0 other=-1 value=0 after=60 seed=2185542288662696527
cycle host=1 store=0 other=-1 value=0 after=0 seed=3216523048972216385
cycle host=2 store=0 other=-1 value=0 after=0 seed=4277500472514031550
cycle host=0 store=0 other=-1 value=0 after=60 seed=2867510433037407682
cycle host=1 store=0 other=-1 value=0 after=0 seed=486719314353998709
cycle host=2 store=0 other=-1 value=0 after=0 seed=4390179808470276464
cycle host=0 store=0 other=-1 value=0 after=60 seed=4021375621628385137
cycle host=1 store=0 other=-1 value=0 after=0 seed=536815108171359150
cycle host=2 store=0 other=-1 value=0 after=0 seed=187135404915289766
outage host=0 store=1 other=-1 value=0 after=0 seed=3246877623377550862
cycle host=1 store=0 other=-1 value=0 after=60 seed=1947951215510719584
reboot host=1 store=0 other=-1 value=0 after=0 seed=3353974277718679058
