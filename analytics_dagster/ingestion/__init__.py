"""Upstream of dbt: the raw tables that its sources declare, loaded from the landing zone by dlt."""
