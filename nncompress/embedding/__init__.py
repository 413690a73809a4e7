"""Compressed embeddings, from codes and codebook to files and bridges, on NumPy alone.

A *table* here is a matrix, or a compressed one, with its words; ``CodeTable`` is a compressed one
without them. Sums and products that are worked out beforehand and then looked up are *look-up
tables*, and the pieces that words are written in are a *symbol table*.
"""
