"""What tests and load tests both stand on, and the makers of pages; knows neither of the two."""
