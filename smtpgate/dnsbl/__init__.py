"""DNS block and allow lists (RFC 5782): what an answer means, and whether a list can be believed."""
