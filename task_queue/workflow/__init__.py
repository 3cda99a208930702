"""How an attempt's work is organised inside its runner: implement, verify, audit, iterate, commit, land."""
