"""What scripts/oauth-clients lets real OAuth2 clients do, and with which of them."""
