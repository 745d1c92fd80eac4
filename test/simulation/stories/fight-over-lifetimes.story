# fight: a host with twice the lifetime, and one a second behind, took turns in writing what the other left out
world seed=6479835263765486823 hosts=3 stores=1 interval=10 lifetime=60 ahead=1 ratchet=0 floor=1 passive=0
settings host=1 store=0 other=-1 value=2 after=159 seed=17106395902711423426
cycle host=1 store=0 other=-1 value=0 after=38 seed=12258362914690706434
cycle host=2 store=0 other=-1 value=0 after=40 seed=2166528018172859429
cycle host=1 store=0 other=-1 value=0 after=160 seed=14697429033592040906
