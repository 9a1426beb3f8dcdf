"""The commands of `vivit`: arguments in, one call, a table out."""
