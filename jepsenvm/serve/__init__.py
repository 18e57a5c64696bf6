"""The store in a browser: runs and campaigns to search, compare, download and follow."""
