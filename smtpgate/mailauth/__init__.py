"""SPF, DKIM and Authentication-Results: evaluation only, no policy."""
