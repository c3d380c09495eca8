"""Spans of requests, batches and loads, by OpenTelemetry."""
