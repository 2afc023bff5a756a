"""Database servers of the tests: started, found, limited, lost."""
