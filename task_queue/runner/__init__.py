"""One attempt's process: template, runner, and the phases of the work: implement, verify, audit, commit, land."""
