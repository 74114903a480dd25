"""What things are and what is legal. Pure values: no files, no clock, no network, no processes."""
