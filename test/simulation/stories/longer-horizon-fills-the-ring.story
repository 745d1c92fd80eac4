# disagree: hosts with different settings, and more keys than a ring holds
#
# Host 2 looks three times as far ahead. The others ignore 83 of its keys because they begin too late, so that
# they have room for 83 keys which have no room on host 2. All of these give way to better ones of their
# slots. No mistake of the product's.
world seed=7169597335734168225 hosts=5 stores=2 interval=60 lifetime=600 ahead=845 ratchet=0 floor=1 passive=0
outage host=3 store=0 other=-1 value=0 after=0 seed=15934016735877103971
outage host=0 store=1 other=-1 value=0 after=0 seed=10295266374512742012
cycle host=1 store=1 other=-1 value=0 after=0 seed=930375139818291188
cycle host=2 store=0 other=-1 value=0 after=0 seed=8173778731924144199
cycle host=3 store=1 other=-1 value=0 after=0 seed=17715997608818983104
cycle host=4 store=1 other=-1 value=0 after=0 seed=13009610658405445889
settings host=2 store=0 other=-1 value=3 after=0 seed=3370429465243657398
