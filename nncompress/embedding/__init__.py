"""Compressed embeddings, from codes and codebook to files and bridges, on NumPy alone.

Here a *table* is a matrix, original or compressed, with its words; a ``CodeTable`` is a compressed
matrix without words. Sums and products that are computed in advance and then looked up are
*look-up tables*, and the pieces that words are spelled with are a *symbol table*.
"""
