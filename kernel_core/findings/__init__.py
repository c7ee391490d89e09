"""What neighbors show: pairs, votes, disagreement and the map, as tables with documented columns."""
