"""Address verification: whether mail for an address would be taken (Postfix's ADDRESS_VERIFICATION_README)."""
