"""What the engine costs, measured against what one would otherwise do: `make bench`, one module per topic."""
