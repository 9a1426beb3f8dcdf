"""Models behind a page and a JSON endpoint: uploads in, what the models say of them out."""
