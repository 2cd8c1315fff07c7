"""Requests, responses, TLS and HTTP/2, followed plainly."""
