"""One module per page; the module's name is the page's address."""
