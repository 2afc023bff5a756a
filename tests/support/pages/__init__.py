"""Documents, deployment files and endpoints as tests read them."""
