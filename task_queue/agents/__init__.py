"""What carries out an attempt: the Claude agent, or a configured command; and the texts that agents are given."""
