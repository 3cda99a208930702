"""What is made and how it is judged: phases, commits, verification, audit, report."""
