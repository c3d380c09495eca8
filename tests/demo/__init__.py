"""`make demo`: a model that is right until the world changes, and who notices: console, alerts, canary."""
