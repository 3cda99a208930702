"""One try: what its frames add up to, how it ended, what follows, what it cost, how it is recovered."""
