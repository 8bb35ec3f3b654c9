"""Measurements that no page is made from: each prints what it finds."""
