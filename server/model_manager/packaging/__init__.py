"""What a data scientist hands over: an artifact and what is known of it."""
