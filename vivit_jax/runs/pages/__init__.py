"""Pages of runs: single HTML files that load nothing else, for a screen, a phone, a printer and a screen reader."""
