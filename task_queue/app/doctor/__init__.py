"""What ``doctor`` checks: each check says what it found and how to fix it."""
