"""What served when: the log of every change of state and of the wanted state, and who made it; and its queries."""
