"""Tumour detection: does a classifier gain by synthetic images?"""
