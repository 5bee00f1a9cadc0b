"""xAPI 1.0.3 and 2.0 (IEEE 9274.1.1) as rules on JSON values: nothing here reads, stores or asks for the time."""
