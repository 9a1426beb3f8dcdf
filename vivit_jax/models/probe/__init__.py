"""A frozen backbone of any family with a head that no family has of its own."""
