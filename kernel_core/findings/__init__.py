"""What neighbors show: pairs, votes, disagreement, the map; tables with documented columns."""
