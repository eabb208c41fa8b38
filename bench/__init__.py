"""Measurements: smtpgate beside Postfix, what holds up its event loop, where its time goes. See docs/performance.md."""
