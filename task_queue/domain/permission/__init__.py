"""What an agent may do: profiles, rules, and which project settings its owner accepted."""
