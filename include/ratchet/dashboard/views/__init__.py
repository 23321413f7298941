"""One module per page; the module's name is the path of the page."""
