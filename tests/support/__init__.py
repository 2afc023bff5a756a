"""What the tests share: database servers, databases and tables of made-up files."""
