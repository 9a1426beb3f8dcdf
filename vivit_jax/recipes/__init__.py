"""What training recipes have in common, for the config files: a module for each paper, one for drone_ir and one for clips of your own.

The modules of papers set every value that the paper gives, also where it is the default here; config files set what differs from it.
"""
