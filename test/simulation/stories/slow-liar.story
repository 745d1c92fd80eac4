# keyless: a slow store that never takes a write kept a new host for two minutes from saving its keys
world seed=2401497673317875401 hosts=3 stores=2 interval=60 lifetime=3600 ahead=1 ratchet=0 floor=1 passive=0
lie host=2 store=1 other=-1 value=7 after=329 seed=2981028056457094473
cycle host=1 store=0 other=-1 value=0 after=0 seed=14834454755543954324
