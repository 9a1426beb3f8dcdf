"""What training recipes have in common, for the config files: one module for each paper, and one for clips of your own."""
