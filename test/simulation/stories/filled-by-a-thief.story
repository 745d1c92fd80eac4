# full: a thief filled the ring with keys that never encrypt, and the cycle failed
world seed=2127652744390486770 hosts=3 stores=1 interval=10 lifetime=60 ahead=1 ratchet=0 floor=1 passive=0
cycle host=0 store=0 other=-1 value=0 after=0 seed=14825358620283092417
steal host=0 store=0 other=-1 value=1 after=0 seed=889212296731078831
forge host=2 store=0 other=-1 value=5 after=48 seed=1763981924633266261
