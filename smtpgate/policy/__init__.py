"""Postfix's policy delegation protocol, as its client (SMTPD_POLICY_README): asks services that others wrote."""
