# keyless: httpd on a host that makes no keys dropped them while its clock was 20 hours ahead, and did not read the
# ring again when it came back
world seed=4801033477275423350 hosts=2 stores=1 interval=3600 lifetime=64800 ahead=1 ratchet=0 floor=1 passive=1
settings host=0 store=0 other=-1 value=3 after=72 seed=7232459429337297259
cycle host=0 store=0 other=-1 value=0 after=0 seed=6734360324437755894
clock host=1 store=0 other=-1 value=72000 after=270 seed=6965683819873543993
cycle host=1 store=0 other=-1 value=0 after=3617 seed=11688277893534839346
