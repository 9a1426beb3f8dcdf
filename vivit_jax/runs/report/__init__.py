"""A training run on one page: `report.html`."""
