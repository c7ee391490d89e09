"""The report on an ensemble, the Markdown that shows it, and the figures."""
